/* The pool of an account's connections: what lending one, taking it back, closing one
 * and letting one expire cost with few and with many of them. The connections have no
 * descriptors; all else is the relay's own code. */
#include <stdlib.h>

#include "micro/micro.h"
#include "relay/directory.h"
#include "relay/settings.h"
#include "relay/upstream/account.h"
#include "relay/upstream/capacity.h"
#include "relay/upstream/client.h"
#include "relay/upstream/pool.h"
#include "relay/upstream/upstream.h"

#define SIZES 4
#define GOAL_NS 100
#define NEVER (UINT64_MAX / 4)
#define MINUTE 60000

static const uint32_t sizes[SIZES] = {1, 100, 10000, 50000};
static const char *const ids[SIZES] = {"a1", "a100", "a10000", "a50000"};

static struct relay relay;
static struct worker *worker;
static struct account *accounts[SIZES];
static struct conn no_conn = {.closed = true};

/* A connection that is logged in and idle. */
static struct client *add_client(struct account *account)
{
    struct client *client = calloc(1, sizeof(*client));

    if (!client)
        abort();
    client->account = account;
    client->endpoint = account->endpoint;
    client->endpoint->refs++;
    client->generation = account->generation;
    client->token_serial = account->token_serial;
    client->token_expires_wall_ms = account->token_expires_wall_ms;
    client->born_ms = client->used_ms = loop_now(&worker->loop);
    client->conn = &no_conn;
    dial_init(&client->dial, &worker->loop, client);
    smtp_reply_parser_init(&client->parser);
    client_set_state(client, CLIENT_IDLE);
    return client;
}

static void add_account(unsigned i)
{
    struct ipc_account account = {.id = slice_of(ids[i]),
                                  .login = slice_of(ids[i]),
                                  .sasl_user = slice_of(ids[i]),
                                  .provider = SLICE("gmail"),
                                  .host = SLICE("127.0.0.1"),
                                  .port = 465,
                                  .generation = 1,
                                  .max_connections = sizes[i] + 1,
                                  .max_age_ms = NEVER,
                                  .idle_ms = NEVER,
                                  .messages_per_minute = 1000000,
                                  .messages_per_hour = 100000000,
                                  .messages_per_day = 1000000000,
                                  .recipients_per_day = 1000000000};
    struct ipc_token token = {.id = account.id,
                              .token = SLICE("token"),
                              .generation = 1,
                              .serial = 1,
                              .expires_wall_ms = UINT64_MAX / 2};

    upstream_put(worker, &account);
    upstream_token(worker, &token);
    accounts[i] = account_find(worker->accounts, account.id);
    if (!accounts[i])
        abort();
    for (uint32_t n = 0; n < sizes[i]; n++)
        add_client(accounts[i]);
}

static void lend(struct account *account, uint64_t rounds)
{
    while (rounds--) {
        struct client *client = pool_take_idle(account, false);

        client_lend(client, NULL);
        client_release(client, false);
        keep(client);
    }
}

/* The oldest is closed, and another is there in its place. */
static void evict(struct account *account, uint64_t rounds)
{
    while (rounds--) {
        struct list_node *oldest = list_last(&account->pool[POOL_IDLE]);
        struct client *client = container_of(oldest, struct client, pool_node);

        client->conn = NULL;
        client_close(client, "evicted");
        client_bury(worker->accounts);
        add_client(account);
    }
}

#define RUNS(i)                                                                                    \
    static void lend_##i(uint64_t rounds)                                                          \
    {                                                                                              \
        lend(accounts[i], rounds);                                                                 \
    }                                                                                              \
    static void evict_##i(uint64_t rounds)                                                         \
    {                                                                                              \
        evict(accounts[i], rounds);                                                                \
    }
RUNS(0)
RUNS(1)
RUNS(2)
RUNS(3)

/* --- timeouts ------------------------------------------------------------------- */

/* So many timers of a minute, which are set again when they expire. */
struct wheel {
    struct timers timers;
    struct timer *each;
    uint64_t now, expired;
};

static struct wheel wheels[SIZES];
static struct wheel *turning;

static void on_expired(struct timer *timer)
{
    turning->expired++;
    timer_set(&turning->timers, timer, turning->now, MINUTE);
}

static void fill_wheel(struct wheel *wheel, uint32_t count)
{
    wheel->each = calloc(count, sizeof(*wheel->each));
    if (!wheel->each)
        abort();
    timers_init(&wheel->timers, 0);
    for (uint32_t i = 0; i < count; i++) {
        timer_init(&wheel->each[i], on_expired);
        timer_set(&wheel->timers, &wheel->each[i], 0, (uint64_t)MINUTE * i / count);
    }
}

static void expire(struct wheel *wheel, uint64_t rounds)
{
    uint64_t until = wheel->expired + rounds;

    turning = wheel;
    while (wheel->expired < until) {
        wheel->now += TIMER_TICK_MS;
        timers_run(&wheel->timers, wheel->now);
    }
}

static void expire_2(uint64_t rounds)
{
    expire(&wheels[2], rounds);
}

static void expire_3(uint64_t rounds)
{
    expire(&wheels[3], rounds);
}

/* --- limits --------------------------------------------------------------------- */

/* What each message asks: all four limits are on, and far away. */
static void run_room(uint64_t rounds)
{
    while (rounds--)
        keep_number(capacity_room(accounts[0]));
}

static void run_flight(uint64_t rounds)
{
    struct limits *limits = &accounts[0]->limits;

    while (rounds--) {
        limits_begin(limits, 1);
        limits_end(limits, loop_now(&worker->loop), 1, false, 0);
    }
}

void micro_pool_prepare(void)
{
    struct settings *settings = calloc(1, sizeof(*settings));
    struct reason why;

    relay.stats = aligned_alloc(128, sizeof(*relay.stats));
    if (!settings || !relay.stats)
        abort();
    memset(relay.stats, 0, sizeof(*relay.stats));
    relay.directory = directory_new();
    atomic_init(&settings->refs, 1);
    settings->conf = conf_default();
    settings->conf->logins_per_minute = 0;
    worker = worker_new(&relay, 0, settings, &why);
    if (!worker)
        abort();
    relay.workers[0] = worker;
    no_conn.loop = &worker->loop;
    timer_init(&no_conn.timeout, NULL); /* no loop runs */
    relay.worker_count = 1;
    for (unsigned i = 0; i < SIZES; i++) {
        add_account(i);
        fill_wheel(&wheels[i], sizes[i]);
    }
}

const struct micro micro_pool[] = {
    {"pool: lend and take back, 1 connection", lend_0, 0, NULL, GOAL_NS},
    {"pool: lend and take back, 100", lend_1, 0, NULL, GOAL_NS},
    {"pool: lend and take back, 10,000", lend_2, 0, NULL, GOAL_NS},
    {"pool: lend and take back, 50,000", lend_3, 0, NULL, GOAL_NS},
    {"pool: close the oldest, add one, 1", evict_0, 0, NULL, 0},
    {"pool: close the oldest, add one, 100", evict_1, 0, NULL, 0},
    {"pool: close the oldest, add one, 10,000", evict_2, 0, NULL, 0},
    {"pool: close the oldest, add one, 50,000", evict_3, 0, NULL, 0},
    {"pool: one expires, 10,000", expire_2, 0, NULL, GOAL_NS},
    {"pool: one expires, 50,000", expire_3, 0, NULL, GOAL_NS},
    {"limits: room, four of them", run_room, 0, NULL, 0},
    {"limits: a message begins and ends", run_flight, 0, NULL, 0},
    {0},
};
