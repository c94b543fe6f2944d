/* Access tokens that outlive us: told to the store a while after they came, some together, so
 * that no message waits for a disk; and read back when mail first wants them, so that a start
 * with 100,000 accounts reads none of them.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "broker/oauth/policy.h"
#include "broker/oauth/token_private.h"
#include "broker/tell.h"
#include "broker/wipe.h"

#define KEEP_MS 5000 /* how long others may come along */
#define KEEP_MAX 500 /* in one transaction */
#define LEFT_MIN_MS 10000
#define CLOCK_MS 60000 /* a token that lives longer than it may: our clock was set back */

struct fetching {
    struct store_fetch fetch;
    struct account *account; /* NULL: it is gone, or has another token */
    char *id;
};

struct keeping {
    struct store_keep keep;
    struct tokens *tokens;
    struct store_access items[];
};

static struct account *account_of(struct token *token)
{
    return container_of(token, struct account, token);
}

/* --- keeping ---------------------------------------------------------------------- */

void kept_fill(const struct account *account, const char *refresh_token, uint64_t left_ms,
               uint64_t life_ms, struct store_access *access)
{
    access->expires_wall_ms = clock_wall_ms() + left_ms;
    access->life_ms = life_ms;
    record_binding(account->record, refresh_token, access->binding);
}

static void free_keeping(struct keeping *keeping)
{
    for (size_t i = 0; i < keeping->keep.count; i++) {
        char *id = (char *)(uintptr_t)keeping->items[i].id;
        char *value = (char *)(uintptr_t)keeping->items[i].value;

        free(id);
        secret_free(&value);
    }
    free(keeping);
}

static void set_timer(struct tokens *tokens)
{
    bool many = tokens->to_keep.count >= KEEP_MAX;

    if (list_empty(&tokens->to_keep) || tokens->keeps_running)
        return;
    if (many || !timer_active(&tokens->keep_timer))
        loop_timer_set(tokens->loop, &tokens->keep_timer, many ? 0 : KEEP_MS);
}

/* What was not kept is asked for anew by the next start: no loss. */
static void on_kept(struct store_keep *keep)
{
    struct keeping *keeping = container_of(keep, struct keeping, keep);
    struct tokens *tokens = keeping->tokens;

    tokens->keeps_running--;
    if (keep->status != STORE_OK)
        log_event(LOG_WARN, "access_tokens_not_kept", log_u("accounts", keep->count),
                  log_s("reason", keep->why.text));
    free_keeping(keeping);
    set_timer(tokens);
}

static bool take_item(struct account *account, struct store_access *access)
{
    const struct token *token = &account->token;
    uint64_t now = loop_now(token->tokens->loop);
    uint64_t left = token->expires_ms > now ? token->expires_ms - now : 0;

    *access = (struct store_access){.id = slice_dup(slice_of(account->record->id))};
    if (token->value)
        access->value = slice_dup(slice_of(token->value));
    kept_fill(account, token_newest_refresh_token(account), left, token->life_ms, access);
    return access->id && (access->value || !token->value);
}

/* Out of memory they stay on the list. */
static bool keep_some(struct tokens *tokens)
{
    size_t count = tokens->to_keep.count < KEEP_MAX ? tokens->to_keep.count : KEEP_MAX;
    struct keeping *keeping = calloc(1, sizeof(*keeping) + count * sizeof(keeping->items[0]));
    bool ok = keeping != NULL;

    while (ok && keeping->keep.count < count) {
        struct list_node *node = list_first(&tokens->to_keep);
        struct token *token = container_of(node, struct token, keep_node);

        ok = take_item(account_of(token), &keeping->items[keeping->keep.count++]);
        if (ok)
            list_remove(&tokens->to_keep, node);
    }
    if (!ok) {
        if (keeping)
            free_keeping(keeping);
        return false;
    }
    keeping->tokens = tokens;
    keeping->keep.items = keeping->items;
    keeping->keep.done = on_kept;
    tokens->keeps_running++;
    tokens->store->ops->keep(tokens->store, &keeping->keep);
    return true;
}

static void on_keep_timer(struct timer *timer)
{
    struct tokens *tokens = container_of(timer, struct tokens, keep_timer);

    if (!list_empty(&tokens->to_keep) && !tokens->keeps_running)
        keep_some(tokens);
    set_timer(tokens);
}

void kept_init(struct tokens *tokens)
{
    list_init(&tokens->to_keep);
    timer_init(&tokens->keep_timer, on_keep_timer);
}

void tokens_keep_all(struct tokens *tokens)
{
    loop_timer_cancel(tokens->loop, &tokens->keep_timer);
    while (!list_empty(&tokens->to_keep) && keep_some(tokens))
        ;
}

void kept_mark(struct account *account)
{
    struct token *token = &account->token;

    if (!token->tokens->store->ops->keep)
        return;
    if (!list_node_linked(&token->keep_node))
        list_push_tail(&token->tokens->to_keep, &token->keep_node);
    set_timer(token->tokens);
}

void kept_refused(struct account *account)
{
    struct tokens *tokens = account->token.tokens;

    kept_mark(account);
    if (!list_empty(&tokens->to_keep))
        loop_timer_set(tokens->loop, &tokens->keep_timer, 0);
}

void kept_forget(struct token *token)
{
    token->kept = false;
    if (token->fetching)
        token->fetching->account = NULL;
    token->fetching = NULL;
    if (list_node_linked(&token->keep_node))
        list_remove(&token->tokens->to_keep, &token->keep_node);
}

/* --- the next start --------------------------------------------------------------- */

bool kept_begin(struct account *account)
{
    const struct account_record *record = account->record;
    struct token *token = &account->token;
    struct tokens *tokens = token->tokens;
    uint64_t wall = clock_wall_ms(), now = loop_now(tokens->loop), left;

    if (!record->kept_expires_ms || !tokens->store->ops->fetch ||
        record->kept_expires_ms < wall + LEFT_MIN_MS)
        return false;
    left = record->kept_expires_ms - wall;
    if (left > record->kept_life_ms + CLOCK_MS)
        return false;
    token->kept = true;
    token->life_ms = record->kept_life_ms;
    token->expires_ms = now + left;
    token->expires_wall_ms = token_now_wall_ms(account) + left;
    token->half_ms = now + (left > token->life_ms / 2 ? left - token->life_ms / 2 : 0);
    token->refreshed_wall_ms = record->kept_expires_ms - record->kept_life_ms;
    return true;
}

static void free_fetching(struct fetching *fetching)
{
    secret_free(&fetching->fetch.value);
    free(fetching->id);
    free(fetching);
}

static bool is_ours(const struct account *account, const struct store_fetch *fetch)
{
    unsigned char binding[RECORD_BINDING];

    record_binding(account->record, token_newest_refresh_token(account), binding);
    return fetch->value && memcmp(binding, fetch->binding, RECORD_BINDING) == 0;
}

static void on_fetched(struct store_fetch *fetch)
{
    struct fetching *fetching = container_of(fetch, struct fetching, fetch);
    struct account *account = fetching->account;
    struct token *token = account ? &account->token : NULL;

    if (account) {
        token->fetching = NULL;
        token->kept = false;
        if (is_ours(account, fetch)) {
            token->value = fetch->value;
            fetch->value = NULL;
            token->serial++;
        } else {
            log_event(LOG_DEBUG, "kept_token_unusable", log_s("account", account->record->id),
                      log_s("reason", fetch->why.text[0] ? fetch->why.text
                                                         : "it was got with another grant"));
        }
        token_wanted(account); /* tells it, or asks for another one */
    }
    free_fetching(fetching);
}

void token_load(struct account *account)
{
    struct token *token = &account->token;
    struct store *store = token->tokens->store;
    struct fetching *fetching;

    if (!token->kept || token->fetching)
        return;
    fetching = calloc(1, sizeof(*fetching));
    if (!fetching || !(fetching->id = slice_dup(slice_of(account->record->id)))) {
        free(fetching);
        return;
    }
    fetching->account = account;
    fetching->fetch.id = fetching->id;
    fetching->fetch.done = on_fetched;
    token->fetching = fetching;
    store->ops->fetch(store, &fetching->fetch);
}
