#include "relay/schedules_truth.h"

#include <stdio.h>

#include "check.h"
#include "relay/upstream/capacity.h"
#include "relay/upstream/group.h"
#include "relay/upstream/pool.h"

#define GROUP_STUCK_MS 15000
#define STUCK_MS 600 /* the longest that something may be left undone */

static const uint64_t spans[LIMITS] = {MINUTE, HOUR, DAY, DAY};
const char *const ids[ACCOUNTS] = {"a@x", "b@x", "c@x", "d@x", "e@x"};

unsigned index_of(struct slice id)
{
    return (unsigned)(id.ptr[0] - 'a');
}

void fail_at(const struct account *account, const char *what)
{
    fail_msg("step %llu, at %llu ms, %s: %s", (unsigned long long)steps,
             (unsigned long long)world.now, account ? account->id : "", what);
}

static void note_taken(struct truth *truth, uint64_t at, uint64_t recipients)
{
    truth->taken[truth->next % EVENTS].at = at;
    truth->taken[truth->next++ % EVENTS].recipients = recipients;
}

void truth_taken(struct account *account, uint64_t at, uint64_t recipients)
{
    unsigned i = index_of(slice_of(account->id));

    note_taken(&truths[i], at, recipients);
    if (i < MEMBERS)
        note_taken(&truths[GROUP], at, recipients);
}

/* What the provider has counted within the span before now. */
static uint64_t counted(const struct truth *truth, enum limit which)
{
    uint64_t count = 0;

    for (size_t i = truth->next; i > 0 && i + EVENTS > truth->next; i--) {
        uint64_t at = truth->taken[(i - 1) % EVENTS].at;

        if (at + 2 * DAY < world.now)
            break;
        if (at + spans[which] > world.now && at >= truth->limited_since[which])
            count += which == LIMIT_RECIPIENTS ? truth->taken[(i - 1) % EVENTS].recipients : 1;
    }
    return count;
}

/* Those that lost a connection have their turn again before all others. */
static void check_order(const struct upstream_tx *tx)
{
    const struct work *work = tx->job->owner;
    uint64_t *begun = &truths[work->account].begun[work->client];

    if (tx->needs_fresh)
        return;
    if (work->number <= *begun)
        fail_at(tx->account, "a client's messages are out of order");
    *begun = work->number;
}

/* The new one is among those that fly. */
static void check_limits(const struct account *account, unsigned of, const uint32_t max[LIMITS])
{
    uint64_t flying = 0, flying_recipients = 0;

    for (size_t i = 0; i < FAKE_CLIENTS; i++) {
        const struct fake_client *client = &fake.clients[i];
        unsigned whose;

        if (!client->used || !client->began_at)
            continue;
        whose = index_of(slice_of(client->client.account->id));
        if (whose != of && !(of == GROUP && whose < MEMBERS))
            continue;
        flying++;
        flying_recipients += client->recipients;
    }
    for (size_t i = 0; i < LIMITS; i++) {
        uint64_t more = i == LIMIT_RECIPIENTS ? flying_recipients : flying;

        if (max[i] && counted(&truths[of], (enum limit)i) + more > max[i])
            fail_at(account, of == GROUP ? "a limit of the group" : limit_names[i]);
    }
}

void truth_begin(struct upstream_tx *tx)
{
    struct account *account = tx->account;
    unsigned i = index_of(slice_of(account->id));
    const struct ipc_account *own = &truths[i].put;

    check_limits(account, i,
                 (const uint32_t[]){own->messages_per_minute, own->messages_per_hour,
                                    own->messages_per_day, own->recipients_per_day});
    if (i < MEMBERS)
        check_limits(account, GROUP,
                     (const uint32_t[]){own->group_messages_per_minute,
                                        own->group_messages_per_hour, own->group_messages_per_day,
                                        own->group_recipients_per_day});
    if (account->max_concurrent && account->running.count > account->max_concurrent)
        fail_at(account, "max_concurrent");
    check_order(tx);
}

static uint64_t arrived_within(const struct truth *truth, uint64_t ms)
{
    uint64_t count = 0;

    for (size_t i = truth->arrived; i > 0 && i + ARRIVALS > truth->arrived; i--)
        count += truth->arrivals[(i - 1) % ARRIVALS] + ms >= world.now;
    return count;
}

/* No mail waits for it. */
static void check_ahead(struct account *account)
{
    const struct truth *truth = &truths[index_of(slice_of(account->id))];
    size_t open = pool_connections(account) - account->pool[POOL_DRAINING].count;

    if (open > truth->put.prewarm_max_connections)
        fail_at(account, "one connection too many ahead of mail");
    if (arrived_within(truth, HOUR + MINUTE) < truth->put.prewarm_min_messages)
        fail_at(account, "a connection ahead of no mail");
    if (truth->put.prewarm_concurrency &&
        account->endpoint->dialing > truth->put.prewarm_concurrency)
        fail_at(account, "dialled ahead of mail while others were");
}

void truth_open(struct client *client)
{
    struct account *account = client->account;
    uint32_t dials = world.conf->concurrent_dials;

    if (pool_connections(account) > account->max_connections ||
        pool_connections(account) > capacity_connections(account))
        fail_at(account, "one connection too many");
    if (dials && account->endpoint->dialing > dials)
        fail_at(account, "one set-up too many at the server");
    if (line_empty(&account->waiting) && list_empty(&account->probes))
        check_ahead(account);
    if (attempts_breaker_wait(account) && !client->trial && !client->endpoint_trial)
        fail_at(account, "dialled though the breaker is open");
}

/* --- checks after each step --------------------------------------------------------- */

/* As capacity_wait, but asks for nothing. The group is not known to be full: then its
 * owner is asked, and others' flights are waited for. */
static bool has_room(struct account *account, const struct upstream_tx *tx, uint64_t *patience)
{
    uint64_t recipients = tx->job->envelope.count;
    enum limit which;
    uint32_t max;

    if (limits_wait(&account->limits, world.now, 1, recipients, &which) ||
        concurrency_wait(&account->concurrency, world.now))
        return false;
    if (!account->share)
        return true;
    *patience = GROUP_STUCK_MS;
    return !share_full(account->share, &which, &max);
}

/* Everything is there for the first in line, and nobody does anything for longer than
 * *patience. */
static bool is_left_undone(struct account *account, uint64_t *patience)
{
    struct line_item *item = line_head(&account->waiting);
    struct upstream_tx *head;

    *patience = STUCK_MS;
    if (!item)
        return false;
    head = container_of(item, struct upstream_tx, turn);
    if (account->state != ACCOUNT_ACTIVE || !account_token_valid(account) ||
        !has_room(account, head, patience) || (account->on_trial && account->running.count) ||
        (account->max_concurrent && account->running.count >= account->max_concurrent))
        return false;
    if (account->pool[POOL_IDLE].count && !head->needs_fresh)
        return true;
    return pool_connections(account) < capacity_connections(account) && !attempts_wait(account) &&
           !account->pool[POOL_DIALING].count && endpoint_has_room(account->endpoint, 0);
}

static void check_line(struct account *account)
{
    size_t count = 0;

    for (struct line_item *item = line_head(&account->waiting); item;
         item = line_next(&account->waiting, item), count++) {
        const struct upstream_tx *tx = container_of(item, struct upstream_tx, turn);

        if (!timer_active(&tx->wait_timer) || tx->wait_timer.deadline + 100 < world.now)
            fail_at(account, "one waits for ever");
        if (tx->state != TX_WAITING || tx->client)
            fail_at(account, "one waits and does not");
    }
    if (count != account->waiting.count)
        fail_at(account, "waiting differs from the line");
}

static void check_account(struct account *account)
{
    struct truth *truth = &truths[index_of(slice_of(account->id))];
    uint64_t patience;
    size_t busy = 0;

    list_foreach (&account->running, node)
        busy++;
    if (busy != account->running.count || account->limits.flying != busy)
        fail_at(account, "flights differ from the list");
    check_line(account);
    if (!is_left_undone(account, &patience))
        truth->stuck_since = 0;
    else if (!truth->stuck_since)
        truth->stuck_since = world.now;
    else if (world.now - truth->stuck_since > patience)
        fail_at(account, "somebody waits while he could be served");
}

void truth_check(void)
{
    struct account_table *table = world.worker->accounts;
    struct account *account, *next;
    size_t running = 0, waiting = 0, jobs = 0;

    HASH_ITER (hh, table->accounts, account, next) {
        check_account(account);
        running += account->running.count;
        waiting += account->waiting.count;
        jobs += account->jobs;
    }
    if (table->running != running || table->jobs != jobs ||
        world.worker->stats->messages_running != running ||
        world.worker->stats->messages_waiting != waiting)
        fail_at(NULL, "sums differ from the lists");
    for (size_t i = 0; i < JOBS; i++) {
        if (works[i].used &&
            world.now - works[i].since > 3 * (world.conf->queue_wait_ms + 30000) + 60000)
            fail_at(fake_find(ids[works[i].account]), "one has no answer");
    }
}
