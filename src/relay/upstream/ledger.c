#include "relay/upstream/ledger.h"

#include "relay/limit/saved.h"
#include "relay/request.h"
#include "relay/upstream/capacity.h"
#include "relay/upstream/group.h"
#include "relay/upstream/upstream.h"

#define TELL_MS 1000

static bool has_limits(const struct limits *limits)
{
    for (size_t i = 0; i < LIMITS; i++) {
        if (limits->max[i])
            return true;
    }
    return false;
}

static void put_on_list(struct ledger *ledger)
{
    struct account_table *table = ledger->worker->accounts;

    if (list_node_linked(&ledger->node) || !has_limits(ledger->limits))
        return;
    list_push_tail(&table->untold, &ledger->node);
    if (!timer_active(&table->tell))
        loop_timer_set(&ledger->worker->loop, &table->tell, TELL_MS);
}

/* More may be missing from what was told than limits_restore reckons with. */
static bool is_due(const struct ledger *ledger)
{
    for (size_t i = 0; i < LIMITS; i++) {
        uint64_t untold = i == LIMIT_RECIPIENTS ? ledger->untold_recipients : ledger->untold;

        if (untold >= limits_unsaved_most(ledger->limits, (enum limit)i))
            return true;
    }
    return false;
}

void ledger_sent(struct ledger *ledger, uint64_t messages, uint64_t recipients)
{
    ledger->restored = true; /* whoever tells of it now has it from us */
    ledger->untold += messages;
    ledger->untold_recipients += recipients;
    put_on_list(ledger);
    if (is_due(ledger))
        ledger_tell(ledger);
}

void ledger_moved(struct ledger *ledger)
{
    put_on_list(ledger);
}

void ledger_tell(struct ledger *ledger)
{
    struct worker *worker = ledger->worker;
    char memory[SAVED_MAX];
    struct text text;
    struct ipc_message message = {.type = IPC_LEDGER};

    if (!list_node_linked(&ledger->node))
        return;
    list_remove(&worker->accounts->untold, &ledger->node);
    ledger->untold = ledger->untold_recipients = 0;
    text_init(&text, memory, sizeof(memory));
    limits_save(ledger->limits, loop_now(&worker->loop), &text);
    assert(!text.cut);
    message.u.ledger =
        (struct ipc_ledger){ledger->group, slice_of(ledger->name), {text.at, text.len}};
    tell_broker(worker, &message);
}

void ledger_tell_all(struct account_table *table)
{
    struct list_node *node;

    while ((node = list_first(&table->untold)))
        ledger_tell(container_of(node, struct ledger, node));
}

/* Once: what has come since then is in the limits themselves. */
static void restore(struct ledger *ledger, const struct ipc_ledger_put *put)
{
    if (ledger->restored)
        return;
    ledger->restored = true;
    if (!limits_restore(ledger->limits, loop_now(&ledger->worker->loop), put->state,
                        put->elapsed_ms, put->lost_ms))
        log_event(LOG_WARN, "ledger_broken",
                  log_s(ledger->group ? "group" : "account", ledger->name));
    if (put->lost_ms != SAVED_NOTHING)
        put_on_list(ledger); /* what was reckoned with is lost no second time */
}

void upstream_ledger(struct worker *worker, const struct ipc_ledger_put *put)
{
    struct account *account = put->group ? NULL : account_find(worker->accounts, put->id);
    struct group *group = put->group ? group_find(worker->accounts, put->id) : NULL;

    if (group)
        restore(group_ledger(group), put);
    if (!account)
        return;
    restore(&account->ledger, put);
    capacity_tell(account);
}

void upstream_tell_ledgers(struct worker *worker)
{
    ledger_tell_all(worker->accounts);
}
