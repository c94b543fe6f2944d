#include "broker/account.h"

#include <stdlib.h>

#include "base/clock.h"
#include "broker/registry.h"
#include "broker/store/shared_text.h"
#include "broker/tell.h"

static void on_hold_end(struct timer *timer)
{
    struct account *account = container_of(timer, struct account, hold_timer);

    account_hold(account, HOLD_PROVIDER, ACCOUNT_ACTIVE, 0, NULL);
}

static void drop_text(const char *text)
{
    if (text)
        shared_text_drop(text);
}

struct account *account_new(struct registry *registry, struct account_record *record)
{
    struct account *account = calloc(1, sizeof(*account));

    if (!account)
        return NULL;
    account->registry = registry;
    account->record = record;
    timer_init(&account->hold_timer, on_hold_end);
    registry->states[ACCOUNT_ACTIVE]++;
    return account;
}

void account_free(struct account *account)
{
    loop_timer_cancel(account->registry->loop, &account->hold_timer);
    account->registry->states[account_state(account)]--;
    for (size_t i = 0; i < HOLDS; i++)
        drop_text(account->holds[i].text);
    record_free(account->record);
    free(account);
}

/* States are numbered by weight; of two equal ones the longer counts, and 0 is
 * for ever. */
static bool is_worse(const struct hold *a, const struct hold *b)
{
    if (a->state != b->state)
        return a->state > b->state;
    return b->until_wall_ms && (!a->until_wall_ms || a->until_wall_ms > b->until_wall_ms);
}

static enum hold_by find_worst(const struct account *account)
{
    size_t worst = 0;

    for (size_t i = 1; i < HOLDS; i++) {
        if (is_worse(&account->holds[i], &account->holds[worst]))
            worst = i;
    }
    return (enum hold_by)worst;
}

/* Nothing holds it since the last hold was lifted. */
uint64_t account_since(const struct account *account)
{
    uint64_t since = account_worst(account)->since_wall_ms;

    if (account_state(account) != ACCOUNT_ACTIVE)
        return since;
    for (size_t i = 0; i < HOLDS; i++) {
        if (account->holds[i].since_wall_ms > since)
            since = account->holds[i].since_wall_ms;
    }
    return since;
}

static bool same_text(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

static void arm_timer(struct account *account, const struct hold *hold)
{
    struct loop *loop = account->registry->loop;
    uint64_t now = clock_wall_ms();

    loop_timer_cancel(loop, &account->hold_timer);
    if (hold->state != ACCOUNT_ACTIVE && hold->until_wall_ms)
        loop_timer_set(loop, &account->hold_timer,
                       hold->until_wall_ms > now ? hold->until_wall_ms - now : 0);
}

void account_hold(struct account *account, enum hold_by by, enum account_state state,
                  uint64_t until_wall_ms, const char *text)
{
    enum account_state from = account_state(account);
    struct hold *hold = &account->holds[by];
    enum hold_by was_worst = account->worst;

    if (hold->state == state && hold->until_wall_ms == until_wall_ms && same_text(hold->text, text))
        return;
    if (hold->state != state)
        hold->since_wall_ms = clock_wall_ms();
    text = text ? shared_text(text) : NULL;
    drop_text(hold->text);
    hold->state = state;
    hold->until_wall_ms = until_wall_ms;
    hold->text = text;
    if (by == HOLD_PROVIDER)
        arm_timer(account, hold);
    account->worst = find_worst(account);
    account->registry->states[from]--;
    account->registry->states[account_state(account)]++;
    if (account_state(account) != from && account->settled && account->registry->changed)
        account->registry->changed(account->registry->owner, account, from);
    if (account->worst == by || account->worst != was_worst)
        tell_state(account);
}
