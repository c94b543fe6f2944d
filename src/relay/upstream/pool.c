#include "relay/upstream/pool.h"

#include "relay/upstream/capacity.h"
#include "relay/upstream/diagnosis.h"
#include "relay/upstream/probe.h"
#include "relay/upstream/warm.h"

/* The broker is told again that mail waits for a token: its answer may have
 * been that there is none now. */
#define ASK_AGAIN_MS 10000

size_t pool_connections(const struct account *account)
{
    size_t count = 0;

    for (size_t i = 0; i < POOL_LISTS; i++)
        count += account->pool[i].count;
    return count;
}

static struct worker *worker_of(const struct account *account)
{
    return account->worker;
}

static struct upstream_tx *tx_of(struct line_item *item)
{
    return item ? container_of(item, struct upstream_tx, turn) : NULL;
}

bool pool_wait(struct account *account, struct upstream_tx *tx)
{
    tx->state = TX_WAITING;
    if (!line_push(&account->waiting, &tx->turn, tx->job->client))
        return false;
    stats_add(&account->worker->stats->messages_waiting, 1);
    return true;
}

void pool_wait_first(struct account *account, struct upstream_tx *tx)
{
    tx->state = TX_WAITING;
    line_push_first(&account->waiting, &tx->turn);
    stats_add(&account->worker->stats->messages_waiting, 1);
}

void pool_leave(struct account *account, struct upstream_tx *tx)
{
    line_remove(&account->waiting, &tx->turn);
    stats_sub(&account->worker->stats->messages_waiting, 1);
}

void pool_fail_waiting(struct account *account, const struct smtp_reply *reply)
{
    size_t count = account->waiting.count;
    struct upstream_tx *tx;

    while (count-- && (tx = tx_of(line_head(&account->waiting))))
        tx_fail_waiting(tx, reply);
}

/* The newest idle connection that is still good; others met on the way are
 * closed. */
struct client *pool_take_idle(struct account *account, bool fresh)
{
    struct list_node *node;

    while ((node = list_first(&account->pool[POOL_IDLE]))) {
        struct client *client = container_of(node, struct client, pool_node);

        if (fresh && client->uses)
            return NULL;
        if (!client_fits(client)) {
            client_quit(client, "retired");
            continue;
        }
        /* What arrived since the last turn evicts it from its own callback. */
        conn_poke(client->conn);
        if (client->state == CLIENT_IDLE)
            return client;
    }
    return NULL;
}

/* Each worker has its share of the global limit, so that no lock is needed. */
static size_t running_limit(const struct account_table *table)
{
    uint32_t limit = worker_conf(table->worker)->global_concurrency;
    unsigned workers = table->worker->relay->worker_count;

    if (!limit)
        return SIZE_MAX;
    return limit / workers + (table->worker->index < limit % workers);
}

static bool may_run_another(struct account *account)
{
    struct account_table *table = account->table;

    if (account->max_concurrent && account->running.count >= account->max_concurrent)
        return false;
    if (account->on_trial && account->running.count)
        return false;
    if (table->running < running_limit(table))
        return true;
    if (!list_node_linked(&account->blocked_node))
        list_push_tail(&table->blocked, &account->blocked_node);
    return false;
}

/* The first job that any connection can serve. Those that want a fresh one are at
 * the head of the line, and few. */
static struct upstream_tx *first_undemanding(const struct account *account)
{
    struct line_item *item = line_head(&account->waiting);

    while (item && tx_of(item)->needs_fresh)
        item = line_next(&account->waiting, item);
    return tx_of(item);
}

static bool may_dial(const struct account *account)
{
    return account_token_valid(account) && !attempts_wait(account);
}

void pool_say_why(struct account *account, struct smtp_reply *reply)
{
    if (attempts_say_failed(account, reply))
        stats_add(&account->worker->stats->refused_broken_total, 1);
    else if (!account_token_valid(account) && !pool_connections(account))
        smtp_reply_set(reply, 454, (struct smtp_enhanced){4, 7, 0},
                       "no access token for this account yet");
    else
        capacity_say_full(account, reply);
}

static bool has_room(struct account *account, const struct upstream_tx *tx)
{
    uint64_t wait = capacity_wait(account, tx);

    if (wait)
        pool_pump_later(account, wait);
    return !wait;
}

static bool lend_one(struct account *account)
{
    struct upstream_tx *tx = tx_of(line_head(&account->waiting));
    struct client *client;

    if (!may_run_another(account) || !has_room(account, tx))
        return false;
    client = pool_take_idle(account, tx->needs_fresh);
    if (!client && tx->needs_fresh && (account->pool[POOL_DIALING].count || !may_dial(account))) {
        /* While it waits for its fresh connection, others use the old ones; not
         * when one of those must go to make room. */
        tx = first_undemanding(account);
        client = tx && has_room(account, tx) ? pool_take_idle(account, false) : NULL;
    }
    if (!client)
        return false;
    line_serve(&account->waiting, &tx->turn);
    stats_sub(&account->worker->stats->messages_waiting, 1);
    tx_start(tx, client);
    return true;
}

/* The nearest wish counts. */
void pool_pump_later(struct account *account, uint64_t ms)
{
    struct loop *loop = &worker_of(account)->loop;

    if (!timer_active(&account->pump_timer) || account->pump_timer.deadline > loop_now(loop) + ms)
        loop_timer_set(loop, &account->pump_timer, ms);
}

void pool_ask_for_token(struct account *account)
{
    struct ipc_message message = {.type = IPC_TOKEN_WANTED,
                                  .u.token_wanted = {.id = slice_of(account->id)}};
    uint64_t now = loop_now(&worker_of(account)->loop);

    if (account->token_asked_at && now - account->token_asked_at < ASK_AGAIN_MS)
        return;
    account->token_asked_at = now;
    tell_broker(worker_of(account), &message);
    pool_pump_later(account, ASK_AGAIN_MS);
}

/* Makes room for a fresh connection where the head of the line needs one and
 * old ones fill the cap. */
static void make_room(struct account *account)
{
    struct upstream_tx *head = tx_of(line_head(&account->waiting));
    struct list_node *idle = list_last(&account->pool[POOL_IDLE]);

    if (head->needs_fresh && idle && pool_connections(account) >= capacity_connections(account))
        client_close(container_of(idle, struct client, pool_node), "replaced");
}

/* No more than there are messages that could begin. */
static uint64_t wanted_dials(struct account *account)
{
    uint64_t room = capacity_room(account), waiting = account->waiting.count;
    uint64_t wanted = waiting < room ? waiting : room;

    return wanted && account->on_trial ? 1 : wanted;
}

static void serve_one(struct list_node *node)
{
    pool_pump(container_of(node, struct account, crowd_node));
}

static void dial_more(struct account *account)
{
    uint64_t wanted = wanted_dials(account);

    if (may_dial(account))
        make_room(account);
    while (account->pool[POOL_DIALING].count < wanted &&
           pool_connections(account) < capacity_connections(account)) {
        uint64_t wait = attempts_wait(account);

        /* A failing provider gets one attempt at a time. */
        if (account->breaker.failures && account->pool[POOL_DIALING].count)
            return;
        if (!account_token_valid(account)) {
            pool_ask_for_token(account);
            return;
        }
        if (wait) {
            pool_pump_later(account, wait);
            return;
        }
        if (!endpoint_has_room(account->endpoint, 0)) {
            endpoint_join_crowd(account->endpoint, &account->crowd_node, serve_one);
            return;
        }
        if (!client_open(account))
            return;
    }
}

/* Failing fast: what would have to be connected to fails, and nothing is open. */
static bool fail_fast(struct account *account)
{
    size_t count = account->waiting.count;
    struct smtp_reply reply;

    if (pool_connections(account) || !attempts_are_vain(account))
        return false;
    smtp_reply_init(&reply);
    if (!attempts_say_failed(account, &reply))
        smtp_reply_set(&reply, 451, (struct smtp_enhanced){4, 4, 1},
                       "the provider cannot be reached");
    stats_add(&account->worker->stats->refused_broken_total, count);
    pool_fail_waiting(account, &reply);
    smtp_reply_clear(&reply);
    return true;
}

static struct upstream_tx *first_overdue(struct account *account, struct smtp_reply *reply)
{
    struct line_item *item = line_head(&account->waiting);

    /* Where the head has room, who is behind it has hope. */
    if (!capacity_wait(account, tx_of(item)))
        return NULL;
    while (item && !capacity_refuses(account, tx_of(item), true, reply))
        item = line_next(&account->waiting, item);
    return tx_of(item);
}

/* Who would have to wait for room longer than he may is told now. */
static void refuse_overdue(struct account *account)
{
    struct smtp_reply reply;
    struct upstream_tx *tx;

    smtp_reply_init(&reply);
    while (!line_empty(&account->waiting) && (tx = first_overdue(account, &reply)))
        tx_fail_waiting(tx, &reply);
    smtp_reply_clear(&reply);
}

static void lend_all(struct account *account)
{
    while (!line_empty(&account->waiting) && lend_one(account))
        ;
    refuse_overdue(account);
}

static bool is_wanted(const struct account *account)
{
    return !line_empty(&account->waiting) || !list_empty(&account->probes) || account->diagnosis;
}

static void pump_mail(struct account *account)
{
    struct smtp_reply reply;

    smtp_reply_init(&reply);
    if (!account_may_send(account, &reply)) {
        pool_fail_waiting(account, &reply);
    } else if (!fail_fast(account)) {
        lend_all(account);
        if (!line_empty(&account->waiting) && may_run_another(account))
            dial_more(account);
        lend_all(account); /* behind one that now has its dial under way */
    }
    smtp_reply_clear(&reply);
}

/* A probe first: it is one command on one connection, and mail that never
 * ends would leave it none. */
static void pump(struct account *account)
{
    probe_pump(account);
    diagnosis_pump(account);
    if (!line_empty(&account->waiting))
        pump_mail(account);
}

void pool_pump(struct account *account)
{
    if (!is_wanted(account)) {
        warm_up(account);
        return;
    }
    if (account->pumping) {
        account->pump_again = true; /* from a callback of the pump itself */
        return;
    }
    account->pumping = true;
    account->jobs++; /* it must outlive what the callbacks do */
    do {
        account->pump_again = false;
        pump(account);
    } while (account->pump_again && is_wanted(account));
    account->jobs--;
    account->pumping = false;
    account_maybe_free(account);
}

void pool_serve_blocked(struct account_table *table)
{
    struct list_node *node;

    if (table->serving)
        return; /* the loop below goes on */
    table->serving = true;
    /* All of them, while there is room: the first may have nothing that waits
     * any more, or only begin to dial. */
    while (table->running < running_limit(table) && (node = list_pop_head(&table->blocked)))
        pool_pump(container_of(node, struct account, blocked_node));
    table->serving = false;
}

void pool_room(struct account *account)
{
    account->jobs++;
    pool_serve_blocked(account->table);
    account->jobs--;
    if (is_wanted(account)) {
        pool_pump(account);
    } else {
        warm_up(account);
        account_maybe_free(account);
    }
}

void pool_client_ready(struct client *client)
{
    struct account *account = client->account;

    if (worker_of(account)->draining && line_empty(&account->waiting)) {
        client_quit(client, "draining");
        return;
    }
    if (!client_fits(client) || pool_connections(account) > capacity_connections(account))
        client_quit(client, "retired");
    pool_room(account);
}

/* Each dial that fails counts as an attempt of the oldest job. */
static void count_attempt(struct account *account)
{
    struct upstream_tx *tx = tx_of(line_head(&account->waiting));

    if (tx)
        tx->job->attempts++;
}

void pool_client_failed(struct client *client, enum phase phase, unsigned code,
                        const struct verdict *verdict, const struct smtp_reply *reply)
{
    struct account *account = client->account;

    account->jobs++;
    count_attempt(account);
    if (verdict->class_ == VERDICT_TOKEN) {
        account_token_refused(account, client->token_serial, verdict, reply);
    } else {
        account_apply(account, verdict, reply);
        endpoint_forget_addresses(account->endpoint);
        if (verdict->pause_logins && !account->pool[POOL_IDLE].count &&
            !account->pool[POOL_BUSY].count)
            pool_fail_waiting(account, &account->last_failure);
    }
    probe_failed(account, phase, code, verdict, reply);
    account->jobs--;
    pool_room(account);
}

/* A login under way must not end at the old server with the new token, nor one
 * go on from an address that the account may not use. An administrator wants to see
 * for himself what a state says. */
static void stop_outdated_dials(struct account *account)
{
    struct list *dialing = &account->pool[POOL_DIALING];

    list_foreach_safe (dialing, node) {
        struct client *client = container_of(node, struct client, pool_node);

        if (account->removed || client->generation != account->generation ||
            (!client->diagnosis && !account_keeps_connections(account)))
            client_close(client, "the account has changed");
    }
}

void pool_retire(struct account *account)
{
    struct list *idle = &account->pool[POOL_IDLE];
    size_t kept;

    stop_outdated_dials(account);
    kept = pool_connections(account) - idle->count;
    list_foreach_safe (idle, node) {
        struct client *client = container_of(node, struct client, pool_node);

        if (!client_fits(client) || ++kept > capacity_connections(account))
            client_quit(client, "retired");
    }
}

void pool_close_idle(struct account *account)
{
    struct list *idle = &account->pool[POOL_IDLE];

    list_foreach_safe (idle, node)
        client_quit(container_of(node, struct client, pool_node), "drained");
}
