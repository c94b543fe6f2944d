#include "relay/upstream/ledger.h"

#include "relay/limit/saved.h"
#include "relay/request.h"
#include "relay/upstream/capacity.h"
#include "relay/upstream/upstream.h"

#define TELL_MS 1000

static bool has_limits(const struct account *account)
{
    for (size_t i = 0; i < LIMITS; i++) {
        if (account->limits.max[i])
            return true;
    }
    return false;
}

static void put_on_list(struct account *account)
{
    struct account_table *table = account->table;

    if (list_node_linked(&account->untold_node) || !has_limits(account))
        return;
    list_push_tail(&table->untold, &account->untold_node);
    if (!timer_active(&table->tell))
        loop_timer_set(&table->worker->loop, &table->tell, TELL_MS);
}

/* More may be missing from what was told than limits_restore reckons with. */
static bool is_due(const struct account *account)
{
    for (size_t i = 0; i < LIMITS; i++) {
        uint64_t untold = i == LIMIT_RECIPIENTS ? account->untold_recipients : account->untold;

        if (untold >= limits_unsaved_most(&account->limits, (enum limit)i))
            return true;
    }
    return false;
}

void ledger_sent(struct account *account, uint64_t messages, uint64_t recipients)
{
    account->untold += messages;
    account->untold_recipients += recipients;
    put_on_list(account);
    if (is_due(account))
        ledger_tell(account);
}

void ledger_moved(struct account *account)
{
    put_on_list(account);
}

void ledger_tell(struct account *account)
{
    struct worker *worker = account->worker;
    char memory[SAVED_MAX];
    struct text text;
    struct ipc_message message = {.type = IPC_LEDGER};

    if (!list_node_linked(&account->untold_node))
        return;
    list_remove(&account->table->untold, &account->untold_node);
    account->untold = account->untold_recipients = 0;
    text_init(&text, memory, sizeof(memory));
    limits_save(&account->limits, loop_now(&worker->loop), &text);
    assert(!text.cut);
    message.u.ledger = (struct ipc_ledger){slice_of(account->id), {text.at, text.len}};
    tell_broker(worker, &message);
}

void ledger_tell_all(struct account_table *table)
{
    struct list_node *node;

    while ((node = list_first(&table->untold)))
        ledger_tell(container_of(node, struct account, untold_node));
}

/* Once: what has come since then is in the account itself. */
void upstream_ledger(struct worker *worker, const struct ipc_ledger_put *put)
{
    struct account *account = account_find(worker->accounts, put->id);

    if (!account || account->has_ledger)
        return;
    account->has_ledger = true;
    if (!limits_restore(&account->limits, loop_now(&worker->loop), put->state, put->elapsed_ms,
                        put->lost_ms))
        log_event(LOG_WARN, "ledger_broken", log_s("account", account->id));
    if (put->lost_ms != SAVED_NOTHING)
        put_on_list(account); /* what was reckoned with is lost no second time */
    capacity_tell(account);
}

void upstream_tell_ledgers(struct worker *worker)
{
    ledger_tell_all(worker->accounts);
}
