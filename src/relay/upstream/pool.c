#include "relay/upstream/pool.h"

#include "base/clock.h"
#include "relay/upstream/probe.h"

/* After so many failures in a row the waiting jobs are told, and new ones are
 * told at once until the pause is over: a provider that is down costs each
 * client an answer, not a time-out. */
#define DIAL_FAILURES_MAX 3
#define DIAL_RETRY_MS 100
#define DIAL_PAUSE_MIN_MS 1000
#define DIAL_PAUSE_MAX_MS 30000
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

void pool_wait(struct account *account, struct upstream_tx *tx, bool at_head)
{
    tx->state = TX_WAITING;
    if (at_head)
        list_push_head(&account->waiting, &tx->wait_node);
    else
        list_push_tail(&account->waiting, &tx->wait_node);
    stats_add(&account->worker->stats->messages_waiting, 1);
}

void pool_leave(struct account *account, struct upstream_tx *tx)
{
    list_remove(&account->waiting, &tx->wait_node);
    stats_sub(&account->worker->stats->messages_waiting, 1);
}

void pool_fail_waiting(struct account *account, const struct smtp_reply *reply)
{
    size_t count = account->waiting.count;
    struct list_node *node;

    while (count-- && (node = list_first(&account->waiting)))
        tx_fail_waiting(container_of(node, struct upstream_tx, wait_node), reply);
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
    if (table->running < running_limit(table))
        return true;
    if (!list_node_linked(&account->blocked_node))
        list_push_tail(&table->blocked, &account->blocked_node);
    return false;
}

/* The oldest job that any connection can serve. Those that want a fresh one
 * are at the head of the line, and few. */
static struct upstream_tx *first_undemanding(const struct account *account)
{
    list_foreach (&account->waiting, node) {
        struct upstream_tx *tx = container_of(node, struct upstream_tx, wait_node);

        if (!tx->needs_fresh)
            return tx;
    }
    return NULL;
}

/* How long until a connection may be begun; 0: now. */
uint64_t pool_dial_wait(const struct account *account)
{
    uint64_t now = loop_now(&worker_of(account)->loop), login = account_login_wait(account);
    uint64_t dial = account->dial_not_before > now ? account->dial_not_before - now : 0;

    return dial > login ? dial : login;
}

static bool may_dial(const struct account *account)
{
    return account_token_valid(account) && !pool_dial_wait(account);
}

/* Which limit it was, and when there is room again where that is known. */
static void say_busy(const struct account *account, struct smtp_reply *reply)
{
    uint64_t login = account_login_wait(account);
    char line[200];
    struct text text;

    text_init(&text, line, sizeof(line));
    if (login)
        text_addf(&text,
                  "account busy: its logins at the provider are limited to %u a minute; "
                  "room in %llu s",
                  account->login_slots, (unsigned long long)(login + 999) / 1000);
    else
        text_addf(&text, "account busy: all its connections are at work (limit %u)",
                  account->max_connections);
    smtp_reply_set(reply, 451, (struct smtp_enhanced){4, 4, 5}, line);
}

void pool_say_why(const struct account *account, struct smtp_reply *reply)
{
    if (account->last_failure.code && account->dial_failures)
        smtp_reply_copy(reply, &account->last_failure);
    else if (!account_token_valid(account) && !pool_connections(account))
        smtp_reply_set(reply, 454, (struct smtp_enhanced){4, 7, 0},
                       "no access token for this account yet");
    else
        say_busy(account, reply); /* 4.4.5, as the original */
}

static bool lend_one(struct account *account)
{
    struct upstream_tx *tx =
        container_of(list_first(&account->waiting), struct upstream_tx, wait_node);
    struct client *client;

    if (!may_run_another(account))
        return false;
    client = pool_take_idle(account, tx->needs_fresh);
    if (!client && tx->needs_fresh && (account->pool[POOL_DIALING].count || !may_dial(account))) {
        /* While it waits for its fresh connection, others use the old ones; not
         * when one of those must go to make room. */
        tx = first_undemanding(account);
        client = tx ? pool_take_idle(account, false) : NULL;
    }
    if (!client)
        return false;
    pool_leave(account, tx);
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
    struct upstream_tx *head =
        container_of(list_first(&account->waiting), struct upstream_tx, wait_node);
    struct list_node *idle = list_last(&account->pool[POOL_IDLE]);

    if (head->needs_fresh && idle && pool_connections(account) >= account->max_connections)
        client_close(container_of(idle, struct client, pool_node), "replaced");
}

static void dial_more(struct account *account)
{
    if (may_dial(account))
        make_room(account);
    while (account->pool[POOL_DIALING].count < account->waiting.count &&
           pool_connections(account) < account->max_connections) {
        uint64_t wait = pool_dial_wait(account);

        /* A failing provider gets one attempt at a time. */
        if (account->dial_failures && account->pool[POOL_DIALING].count)
            return;
        if (!account_token_valid(account)) {
            pool_ask_for_token(account);
            return;
        }
        if (wait) {
            pool_pump_later(account, wait);
            return;
        }
        account_login_begun(account);
        if (!client_open(account))
            return;
    }
}

/* Failing fast: the provider was down a moment ago, and nothing is open. */
static bool fail_fast(struct account *account)
{
    if (account->dial_failures < DIAL_FAILURES_MAX || pool_connections(account) ||
        account->dial_not_before <= loop_now(&worker_of(account)->loop))
        return false;
    pool_fail_waiting(account, &account->last_failure);
    return true;
}

static void lend_all(struct account *account)
{
    while (!list_empty(&account->waiting) && lend_one(account))
        ;
}

static bool is_wanted(const struct account *account)
{
    return !list_empty(&account->waiting) || !list_empty(&account->probes);
}

static void pump_mail(struct account *account)
{
    struct smtp_reply reply;

    smtp_reply_init(&reply);
    if (!account_may_send(account, &reply)) {
        pool_fail_waiting(account, &reply);
    } else if (!fail_fast(account)) {
        lend_all(account);
        if (!list_empty(&account->waiting) && may_run_another(account))
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
    if (!list_empty(&account->waiting))
        pump_mail(account);
}

void pool_pump(struct account *account)
{
    if (!is_wanted(account))
        return;
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
    if (is_wanted(account))
        pool_pump(account);
    else
        account_maybe_free(account);
}

void pool_client_ready(struct client *client)
{
    struct account *account = client->account;

    if (worker_of(account)->draining && list_empty(&account->waiting)) {
        client_quit(client, "draining");
        return;
    }
    if (!client_fits(client) || pool_connections(account) > account->max_connections)
        client_quit(client, "retired");
    pool_room(account);
}

static uint64_t pause_after(unsigned failures)
{
    uint64_t pause = DIAL_PAUSE_MIN_MS;

    for (unsigned i = DIAL_FAILURES_MAX; i < failures && pause < DIAL_PAUSE_MAX_MS; i++)
        pause *= 2;
    return pause < DIAL_PAUSE_MAX_MS ? pause : DIAL_PAUSE_MAX_MS;
}

/* Each dial that fails counts as an attempt of the oldest job. */
static void count_attempt(struct account *account)
{
    struct list_node *node = list_first(&account->waiting);

    if (node)
        container_of(node, struct upstream_tx, wait_node)->job->attempts++;
}

void pool_client_failed(struct client *client, enum phase phase, unsigned code,
                        const struct verdict *verdict, const struct smtp_reply *reply)
{
    struct account *account = client->account;
    uint64_t now = loop_now(&worker_of(account)->loop);

    account->jobs++;
    count_attempt(account);
    verdict_reply(verdict, reply, &account->last_failure);
    if (verdict->class_ == VERDICT_TOKEN) {
        account_token_refused(account, client->token_serial, verdict, reply);
    } else {
        account_apply(account, verdict, reply);
        account->dial_failures++;
        account->dial_not_before = now + (account->dial_failures < DIAL_FAILURES_MAX
                                              ? DIAL_RETRY_MS
                                              : pause_after(account->dial_failures));
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
 * go on from an address that the account may not use. */
static void stop_outdated_dials(struct account *account)
{
    struct list *dialing = &account->pool[POOL_DIALING];

    list_foreach_safe (dialing, node) {
        struct client *client = container_of(node, struct client, pool_node);

        if (account->removed || client->generation != account->generation ||
            !account_keeps_connections(account))
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

        if (!client_fits(client) || ++kept > account->max_connections)
            client_quit(client, "retired");
    }
}

void pool_close_idle(struct account *account)
{
    struct list *idle = &account->pool[POOL_IDLE];

    list_foreach_safe (idle, node)
        client_quit(container_of(node, struct client, pool_node), "drained");
}

void upstream_submit(struct job *job)
{
    struct account *account = account_find(job->worker->accounts, slice_of(job->login->id));
    struct upstream_tx *tx = job->tx;

    if (tx) {
        tx_continue(tx);
        return;
    }
    if (account && account->waiting.count < worker_conf(job->worker)->queue_length)
        tx = tx_new(account, job);
    if (!tx) {
        job->outcome = OUTCOME_DEFERRED;
        if (account)
            account->messages[OUTCOME_DEFERRED]++;
        smtp_reply_set(&job->reply, 451, (struct smtp_enhanced){4, 3, 2},
                       account ? "too many messages wait for this account"
                               : "the account was removed");
        job_return(job);
        return;
    }
    if (!account_token_valid(account) && !pool_connections(account))
        stats_add(&job->worker->stats->token_wait_total, 1);
    pool_wait(account, tx, false);
    pool_pump(account);
}

void upstream_cancel(struct job *job)
{
    if (job->tx)
        tx_cancel(job->tx);
}
