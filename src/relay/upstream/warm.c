#include "relay/upstream/warm.h"

#include <stdlib.h>

#include "relay/directory.h"
#include "relay/upstream/capacity.h"
#include "relay/upstream/pool.h"

#define LOOK_MS 60000

static uint64_t now_of(const struct account *account)
{
    return loop_now(&account->worker->loop);
}

/* Once a minute, each account at a moment of its own: so the logins of many accounts
 * that wake at the full hour are spread over the minute before. */
static void look_later(struct account *account)
{
    uint64_t moment = account_hash(slice_of(account->id)) % LOOK_MS;
    uint64_t since = (now_of(account) + LOOK_MS - moment) % LOOK_MS;

    loop_timer_set(&account->worker->loop, &account->warm_timer, LOOK_MS - since);
}

/* How many connections the mail that is expected would have at work. */
static uint32_t wanted(struct account *account)
{
    struct forecast forecast = demand_forecast(account->demand, now_of(account), account->idle_ms);
    uint32_t per = account->prewarm.messages_per_connection, most, wanted = forecast.at_once;

    if (!forecast.messages)
        return 0;
    most = per ? (forecast.messages + per - 1) / per : forecast.messages;
    if (wanted > most)
        wanted = most;
    if (wanted < account->prewarm.min_connections)
        wanted = account->prewarm.min_connections;
    return wanted < account->prewarm.max_connections ? wanted : account->prewarm.max_connections;
}

static void look(struct timer *timer)
{
    struct account *account = container_of(timer, struct account, warm_timer);

    account->warm = 0;
    if (demand_hour(account->demand, now_of(account)) < account->prewarm.min_messages)
        return; /* its next message has us look again */
    account->warm = wanted(account);
    look_later(account);
    warm_up(account);
}

void warm_init(struct account *account)
{
    timer_init(&account->warm_timer, look);
}

void warm_set(struct account *account, const struct ipc_account *from)
{
    account->prewarm = (struct conf_prewarm){
        .min_connections = from->prewarm_min_connections,
        .max_connections = from->prewarm_max_connections,
        .min_messages = from->prewarm_min_messages,
        .messages_per_connection = from->prewarm_messages_per_connection,
        .concurrency = from->prewarm_concurrency,
    };
    if (account->warm > account->prewarm.max_connections)
        account->warm = account->prewarm.max_connections;
}

void warm_clear(struct account *account)
{
    loop_timer_cancel(&account->worker->loop, &account->warm_timer);
    free(account->demand);
    account->demand = NULL;
    account->warm = 0;
}

void warm_note(struct account *account)
{
    if (!account->prewarm.max_connections)
        return;
    if (!account->demand)
        account->demand = calloc(1, sizeof(*account->demand));
    if (!account->demand)
        return; /* memory is out: then nothing is ready ahead */
    demand_add(account->demand, now_of(account), account->running.count + account->waiting.count);
    if (!timer_active(&account->warm_timer))
        look_later(account);
}

/* Mail keeps at least half of the logins of a minute. */
static bool has_logins(const struct account *account)
{
    uint32_t most = worker_conf(account->worker)->logins_per_minute;

    return !most || attempts_logins(account) < most / 2;
}

static bool may_warm(struct account *account)
{
    const struct endpoint *endpoint = account->endpoint;

    return !account->removed && !account->worker->draining && account->state == ACCOUNT_ACTIVE &&
           !account->on_trial && line_empty(&account->waiting) && !account->breaker.failures &&
           endpoint->breaker.state == BREAKER_CLOSED && !attempts_wait(account) &&
           has_logins(account) && endpoint_has_room(endpoint, account->prewarm.concurrency) &&
           pool_connections(account) < capacity_connections(account) && capacity_room(account);
}

static size_t open_now(const struct account *account)
{
    return pool_connections(account) - account->pool[POOL_DRAINING].count;
}

void warm_up(struct account *account)
{
    if (account->warm > open_now(account))
        account->warm = wanted(account); /* less by now, perhaps */
    while (account->warm > open_now(account)) {
        if (!may_warm(account))
            return;
        if (!account_token_valid(account)) {
            pool_ask_for_token(account);
            return;
        }
        if (!client_open(account))
            return;
        stats_add(&account->worker->stats->upstream_prewarmed_total, 1);
    }
}
