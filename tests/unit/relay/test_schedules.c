/* Random schedules on a simulated clock: arrivals, cancels, replies, faults, reloads,
 * removals and deaths of the process, a million steps. After each one: no cap and no
 * limit is crossed as the provider counts, counters equal lists, nobody waits while he
 * could be served or for longer than he may, and a client's messages go in order.
 * SCHEDULES_SEED and SCHEDULES_STEPS change the run. */
#include "check.h"

#include <stdio.h>

#include "base/log.h"
#include "net/timer.h"
#include "relay/directory.h"
#include "relay/fake_provider.h"
#include "relay/link.h"
#include "relay/upstream/capacity.h"
#include "relay/upstream/group.h"
#include "relay/upstream/pool.h"
#include "relay/upstream/upstream.h"
#include "relay/worker.h"

#define ACCOUNTS 5
#define GROUP ACCOUNTS /* where its truth is */
#define MEMBERS 3      /* the first accounts */
#define CLIENTS 4
#define JOBS 150
#define EVENTS 4096 /* of a day, at least as many as any limit of ours */
#define MINUTE 60000ull
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define GROUP_STUCK_MS 15000
#define STUCK_MS 600 /* the longest that something may be left undone */

static const uint64_t spans[LIMITS] = {MINUTE, HOUR, DAY, DAY};
static const char *const ids[ACCOUNTS] = {"a@x", "b@x", "c@x", "d@x", "e@x"};

struct work {
    struct job job;
    struct login *login;
    bool used, waits_longer;
    unsigned account, client;
    uint64_t number, since;
};

/* What is true of an account, whatever the code believes. */
struct truth {
    struct ipc_account put; /* the newest settings */
    bool known;
    struct {
        uint64_t at, recipients;
    } taken[EVENTS]; /* ring */
    size_t next;
    uint64_t limited_since[LIMITS];
    uint64_t stuck_since;
    uint64_t numbers[CLIENTS], begun[CLIENTS]; /* of jobs, per client */
    char ledger[8192];                         /* as the broker has it */
    uint64_t ledger_at;
    bool has_ledger;
};

static struct relay relay;
static struct worker *worker;
static struct conf *conf;
static struct settings *settings;
static uint64_t now, wall_offset, steps, deaths, served, deferred, lost_at;
static struct work works[JOBS];
static struct truth truths[ACCOUNTS + 1]; /* and of the group that some are in */
static size_t under_way;
static bool closed; /* the mailboxes */
static bool deaf;   /* the process is dying: nobody hears it */
static struct mail *posted, **posted_last = &posted;

/* --- the world around ------------------------------------------------------------ */

uint64_t __wrap_clock_wall_ms(void);
uint64_t __wrap_clock_us(void);
bool __wrap_mailbox_post(struct mailbox *mailbox, struct mail *mail,
                         void (*deliver)(struct mail *mail));
void __wrap_conn_poke(struct conn *conn);

uint64_t __wrap_clock_wall_ms(void)
{
    return now + wall_offset;
}

uint64_t __wrap_clock_us(void)
{
    return now * 1000;
}

bool __wrap_mailbox_post(struct mailbox *mailbox, struct mail *mail,
                         void (*deliver)(struct mail *mail))
{
    (void)mailbox;
    if (closed)
        return false;
    mail->deliver = deliver;
    mail->next = NULL;
    *posted_last = mail;
    posted_last = &mail->next;
    return true;
}

void __wrap_conn_poke(struct conn *conn)
{
    (void)conn;
}

static void deliver_posted(void)
{
    while (posted) {
        struct mail *mail = posted;

        posted = mail->next;
        if (!posted)
            posted_last = &posted;
        mail->deliver(mail);
    }
}

static unsigned index_of(struct slice id)
{
    return (unsigned)(id.ptr[0] - 'a');
}

bool link_send(struct relay *to, const struct ipc_message *message)
{
    struct truth *truth;

    (void)to;
    if (message->type != IPC_LEDGER || deaf)
        return true;
    truth = &truths[message->u.ledger.group ? GROUP : index_of(message->u.ledger.id)];
    slice_copy(message->u.ledger.state, truth->ledger, sizeof(truth->ledger));
    truth->ledger_at = now;
    truth->has_ledger = true;
    return true;
}

void link_forward(struct worker *to, const struct ipc_message *message,
                  void (*take)(struct worker *, const struct ipc_message *))
{
    take(to, message);
}

void link_call(struct relay *of, void (*fn)(void *arg), void *arg)
{
    (void)of;
    fn(arg);
}

void link_worker_drained(struct worker *of)
{
    (void)of;
}

/* --- truth ------------------------------------------------------------------------- */

static struct account *find(unsigned i)
{
    return account_find(worker->accounts, slice_of(ids[i]));
}

static void fail_at(const struct account *account, const char *what)
{
    fail_msg("step %llu, at %llu ms, %s: %s", (unsigned long long)steps, (unsigned long long)now,
             account ? account->id : "", what);
}

static void note_taken(struct truth *truth, uint64_t at, uint64_t recipients)
{
    truth->taken[truth->next % EVENTS].at = at;
    truth->taken[truth->next++ % EVENTS].recipients = recipients;
}

static void on_taken(struct account *account, uint64_t at, uint64_t recipients)
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

        if (at + 2 * DAY < now)
            break;
        if (at + spans[which] > now && at >= truth->limited_since[which])
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

static void on_begin(struct upstream_tx *tx)
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

static void on_open(struct client *client)
{
    struct account *account = client->account;

    if (pool_connections(account) > account->max_connections ||
        pool_connections(account) > capacity_connections(account))
        fail_at(account, "one connection too many");
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

    if (limits_wait(&account->limits, now, 1, recipients, &which) ||
        concurrency_wait(&account->concurrency, now))
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
           !account->pool[POOL_DIALING].count;
}

static void check_line(struct account *account)
{
    size_t count = 0;

    for (struct line_item *item = line_head(&account->waiting); item;
         item = line_next(&account->waiting, item), count++) {
        const struct upstream_tx *tx = container_of(item, struct upstream_tx, turn);

        if (!timer_active(&tx->wait_timer) || tx->wait_timer.deadline + 100 < now)
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
        truth->stuck_since = now;
    else if (now - truth->stuck_since > patience)
        fail_at(account, "somebody waits while he could be served");
}

static void check_all(void)
{
    struct account_table *table = worker->accounts;
    struct account *account, *next;
    size_t running = 0, waiting = 0, jobs = 0;

    HASH_ITER (hh, table->accounts, account, next) {
        check_account(account);
        running += account->running.count;
        waiting += account->waiting.count;
        jobs += account->jobs;
    }
    if (table->running != running || table->jobs != jobs ||
        worker->stats->messages_running != running || worker->stats->messages_waiting != waiting)
        fail_at(NULL, "sums differ from the lists");
    for (size_t i = 0; i < JOBS; i++) {
        if (works[i].used && now - works[i].since > 3 * (conf->queue_wait_ms + 30000) + 60000)
            fail_at(find(works[i].account), "one has no answer");
    }
}

/* --- time ----------------------------------------------------------------------------- */

static void set_now(uint64_t to)
{
    now = to;
    worker->loop.uv.time = now;
}

static void run_until(uint64_t to)
{
    while (true) {
        uint64_t timer = timers_next(&worker->loop.timers, now), next = fake_next();

        deliver_posted();
        timer = timer == UINT64_MAX ? timer : now + timer;
        next = next < timer ? next : timer;
        if (next > to)
            break;
        set_now(next > now ? next : now);
        fake_run(now);
        deliver_posted();
        timers_run(&worker->loop.timers, now);
        deliver_posted();
        check_all();
    }
    set_now(to);
    timers_run(&worker->loop.timers, now);
    deliver_posted();
}

/* --- jobs ------------------------------------------------------------------------------ */

static void on_done(struct job *job)
{
    struct work *work = job->owner;

    assert_true(work->used);
    if (job->outcome == OUTCOME_NONE)
        fail_at(NULL, "no outcome");
    served += job->outcome == OUTCOME_DELIVERED;
    deferred += job->outcome == OUTCOME_DEFERRED;
    job_clear(job);
    login_unref(work->login);
    work->used = false;
    under_way--;
}

static struct work *free_work(void)
{
    for (size_t i = 0; i < JOBS; i++) {
        if (!works[i].used)
            return &works[i];
    }
    return NULL;
}

static void submit(void)
{
    struct work *work = free_work();
    unsigned i = (unsigned)fake_random(ACCOUNTS), rcpts = (unsigned)fake_random(4) + 1;
    struct smtp_mail mail = {.sender.mailbox = SLICE("s@x")};
    struct smtp_rcpt rcpt = {.recipient.mailbox = SLICE("r@x")};
    struct login *login = directory_find(relay.directory, slice_of(ids[i]));
    char client[16];

    if (!work || !login) {
        login_unref(login);
        return;
    }
    memset(work, 0, sizeof(*work));
    work->used = true;
    work->login = login;
    work->account = i;
    work->since = now;
    work->client = (unsigned)(fake_random(3) ? 0 : fake_random(CLIENTS));
    work->number = ++truths[i].numbers[work->client];
    snprintf(client, sizeof(client), "192.0.2.%u", work->client);
    job_init(&work->job, worker, login, client);
    work->job.done = on_done;
    work->job.owner = work;
    assert_true(envelope_set_sender(&work->job.envelope, &mail));
    while (rcpts--)
        assert_true(envelope_add_rcpt(&work->job.envelope, &rcpt));
    assert_true(body_add(&work->job.body, "x\r\n", 3));
    under_way++;
    job_submit(&work->job, JOB_DELIVER);
}

static void cancel(void)
{
    struct work *work = &works[fake_random(JOBS)];

    if (work->used)
        job_cancel(&work->job);
}

/* --- accounts ---------------------------------------------------------------------------- */

static uint32_t some(uint32_t most)
{
    return fake_random(3) ? (uint32_t)fake_random(most) + 1 : 0;
}

static void give_token(unsigned i)
{
    struct ipc_token token = {.id = slice_of(ids[i]),
                              .token = SLICE("token"),
                              .generation = truths[i].put.generation,
                              .serial = steps + 1,
                              .expires_wall_ms = UINT64_MAX / 4};

    upstream_token(worker, &token);
}

static void give_ledger(unsigned i)
{
    struct truth *truth = &truths[i];
    struct ipc_ledger_put put = {.group = i == GROUP,
                                 .id = i == GROUP ? SLICE("group") : slice_of(ids[i]),
                                 .lost_ms = UINT64_MAX};

    if (lost_at)
        put.lost_ms = now - lost_at;
    if (truth->has_ledger) {
        put.state = slice_of(truth->ledger);
        put.elapsed_ms = now - truth->ledger_at;
    } else {
        put.state = SLICE("");
    }
    if (truth->has_ledger || lost_at)
        upstream_ledger(worker, &put);
}

static void put(unsigned i)
{
    struct truth *truth = &truths[i];
    bool fresh = !find(i) || find(i)->removed;

    if (truth->put.group.len)
        upstream_group(worker, &truth->put);
    upstream_put(worker, &truth->put);
    directory_put(relay.directory, &truth->put);
    if (fresh)
        give_ledger(i);
    if (fresh && truth->put.group.len)
        give_ledger(GROUP);
    give_token(i);
    truth->known = true;
}

static void note_limit(unsigned i, enum limit which, uint32_t *field, uint32_t value)
{
    if (!*field && value)
        truths[i].limited_since[which] = now;
    *field = value;
}

/* A limit that is taken away is forgotten: what flies then is not its own. */
static void change(unsigned i, bool all)
{
    struct truth *truth = &truths[i];
    struct ipc_account *to = &truth->put;

    note_limit(i, LIMIT_MINUTE, &to->messages_per_minute, some(8));
    note_limit(i, LIMIT_HOUR, &to->messages_per_hour, some(60));
    note_limit(i, LIMIT_DAY, &to->messages_per_day, some(400));
    note_limit(i, LIMIT_RECIPIENTS, &to->recipients_per_day, fake_random(3) ? 0 : 4 + some(900));
    to->max_connections = (uint32_t)fake_random(4) + 1;
    to->connections_start = some(3);
    to->max_concurrent = some(4);
    to->max_messages_per_connection = some(50);
    to->breaker_failures = some(6);
    to->breaker_recovery_ms = 1000 + fake_random(60000);
    to->breaker_trials = some(2);
    to->generation += all;
    put(i);
}

static void reload(void)
{
    conf->queue_wait_ms = fake_random(4) ? 30000 : fake_random(90000) + 100;
    conf->logins_per_minute = some(30);
    upstream_settings_changed(worker);
}

static void remove_or_add(void)
{
    unsigned i = (unsigned)fake_random(ACCOUNTS);

    if (!truths[i].known) {
        put(i);
        return;
    }
    directory_remove(relay.directory, slice_of(ids[i]));
    upstream_remove(worker, slice_of(ids[i]));
    truths[i].known = false;
}

static void hold(void)
{
    unsigned i = (unsigned)fake_random(ACCOUNTS);
    struct ipc_state state = {.id = slice_of(ids[i]),
                              .generation = truths[i].put.generation,
                              .state = (uint32_t)fake_random(ACCOUNT_STATES),
                              .text = SLICE("held")};

    state.until_wall_ms = now + wall_offset + fake_random(10 * MINUTE);
    upstream_state(worker, &state);
}

static void change_weather(void)
{
    fake.down = !fake_random(20);
    fake.login_fails = fake_random(3) ? 0 : (unsigned)fake_random(500);
    fake.refuses = (unsigned)fake_random(60);
    fake.says_too_many = fake_random(3) ? 0 : (unsigned)fake_random(200);
    fake.breaks = (unsigned)fake_random(30);
    fake.says_goodbye = (unsigned)fake_random(200);
}

/* --- the process --------------------------------------------------------------------------- */

static void begin_process(void)
{
    struct reason why;

    worker = worker_new(&relay, 0, settings, &why);
    assert_non_null(worker);
    relay.workers[0] = worker;
    relay.worker_count = 1;
    timers_init(&worker->loop.timers, now);
    worker->loop.uv.time = now;
    for (unsigned i = 0; i < ACCOUNTS; i++) {
        if (truths[i].known)
            put(i);
    }
}

static void end_process(void)
{
    upstream_abort(worker);
    deliver_posted();
    assert_int_equal(under_way, 0);
    upstream_tell_ledgers(worker);
    closed = true;
    upstream_free(worker->accounts);
    closed = false;
    mailbox_close(&worker->mailbox);
    loop_close(&worker->loop);
    settings_unref(worker->settings);
    free(worker);
}

/* kill -9: what was not told is not known; the provider has what it has. */
static void die(void)
{
    bool gently = fake_random(3) == 0;

    deaths++;
    deaf = !gently;
    end_process();
    deaf = false;
    if (!gently)
        lost_at = now;
    now += fake_random(3000); /* no worker has a clock now */
    begin_process();
}

/* --- steps --------------------------------------------------------------------------------- */

static uint64_t some_time(void)
{
    switch (fake_random(64)) {
    case 0:
        return fake_random(2 * MINUTE);
    case 1:
        return fake_random(5000);
    case 2:
        return fake_random(400) ? 0 : fake_random(3 * HOUR);
    case 3:
        return fake_random(4000) ? 0 : fake_random(30 * HOUR);
    default:
        return fake_random(30);
    }
}

static void step(void)
{
    uint64_t dice = fake_random(1000);

    if (dice < 300)
        submit();
    else if (dice < 310)
        cancel();
    else if (dice < 312)
        change((unsigned)fake_random(ACCOUNTS), !fake_random(10));
    else if (dice < 314)
        change_weather();
    else if (dice == 314 && !fake_random(10))
        reload();
    else if (dice == 315 && !fake_random(10))
        remove_or_add();
    else if (dice == 316 && !fake_random(5))
        hold();
    else if (dice == 317 && !fake_random(2))
        die();
    else if (dice < 325)
        give_token((unsigned)fake_random(ACCOUNTS));
    else
        run_until(now + some_time());
    deliver_posted();
    check_all();
}

static void open_all(uint64_t seed)
{
    memset(&fake, 0, sizeof(fake));
    fake.random = seed;
    fake.on_begin = on_begin;
    fake.on_open = on_open;
    fake.on_taken = on_taken;
    relay.stats = aligned_alloc(128, sizeof(*relay.stats));
    memset(relay.stats, 0, sizeof(*relay.stats));
    relay.directory = directory_new();
    settings = calloc(1, sizeof(*settings));
    atomic_init(&settings->refs, 1);
    settings->conf = conf = conf_default();
    conf->queue_wait_ms = 30000;
    now = 1000000;
    wall_offset = 1700000000000;
}

static void test_a_million_steps(void **state)
{
    const char *seed = getenv("SCHEDULES_SEED"), *count = getenv("SCHEDULES_STEPS");
    uint64_t wanted = count ? strtoull(count, NULL, 10) : 1000000;

    (void)state;
    log_set_level(LOG_ERROR);
    open_all(seed ? strtoull(seed, NULL, 10) : 20251126);
    begin_process();
    for (unsigned i = 0; i < ACCOUNTS; i++) {
        truths[i].put = (struct ipc_account){.id = slice_of(ids[i]),
                                             .login = slice_of(ids[i]),
                                             .sasl_user = slice_of(ids[i]),
                                             .provider = SLICE("gmail"),
                                             .host = SLICE("127.0.0.1"),
                                             .port = 25,
                                             .bdat = CONF_ON,
                                             .generation = 1,
                                             .max_age_ms = 300000,
                                             .idle_ms = 60000};
        if (i < MEMBERS) {
            truths[i].put.group = SLICE("group");
            truths[i].put.group_messages_per_minute = 12;
            truths[i].put.group_messages_per_day = 700;
            truths[i].put.group_recipients_per_day = 1500;
        }
        change(i, false);
    }
    for (steps = 0; steps < wanted; steps++)
        step();
    run_until(now + 5 * MINUTE);
    assert_int_equal(under_way, 0);
    printf("%llu delivered, %llu deferred, %llu connections, %llu deaths in %llu h\n",
           (unsigned long long)served, (unsigned long long)deferred,
           (unsigned long long)fake.opened, (unsigned long long)deaths,
           (unsigned long long)((now - 1000000) / HOUR));
    assert_true(served > wanted / 100 && deferred > wanted / 100);
    end_process();
    directory_free(relay.directory);
    free(relay.stats);
    settings_unref(settings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_million_steps)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
