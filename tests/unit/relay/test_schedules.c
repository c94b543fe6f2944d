/* Random schedules on a simulated clock: arrivals, cancels, replies, faults, reloads,
 * removals and deaths of the process, a million steps. After each one: no cap and no
 * limit is crossed as the provider counts, counters equal lists, nobody waits while he
 * could be served or for longer than he may, and a client's messages go in order.
 * SCHEDULES_SEED and SCHEDULES_STEPS change the run. */
#include "check.h"

#include <stdio.h>

#include "relay/schedules_truth.h"
#include "relay/upstream/capacity.h"
#include "relay/upstream/group.h"
#include "relay/upstream/pool.h"

struct work works[JOBS];
struct truth truths[ACCOUNTS + 1];
uint64_t steps;

static uint64_t deaths, served, deferred, lost_at;
static size_t under_way;
static bool deaf; /* the process is dying: nobody hears it */

static void on_heard(const struct ipc_message *message)
{
    struct truth *truth;

    if (message->type != IPC_LEDGER || deaf)
        return;
    truth = &truths[message->u.ledger.group ? GROUP : index_of(message->u.ledger.id)];
    slice_copy(message->u.ledger.state, truth->ledger, sizeof(truth->ledger));
    truth->ledger_at = world.now;
    truth->has_ledger = true;
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
    struct login *login = directory_find(world.relay.directory, slice_of(ids[i]));
    char client[16];

    if (!work || !login) {
        login_unref(login);
        return;
    }
    memset(work, 0, sizeof(*work));
    work->used = true;
    work->login = login;
    work->account = i;
    work->since = world.now;
    work->client = (unsigned)(fake_random(3) ? 0 : fake_random(CLIENTS));
    work->number = ++truths[i].numbers[work->client];
    snprintf(client, sizeof(client), "192.0.2.%u", work->client);
    job_init(&work->job, world.worker, login, client);
    work->job.done = on_done;
    work->job.owner = work;
    assert_true(envelope_set_sender(&work->job.envelope, &mail));
    while (rcpts--)
        assert_true(envelope_add_rcpt(&work->job.envelope, &rcpt));
    assert_true(body_add(&work->job.body, "x\r\n", 3));
    under_way++;
    truths[i].arrivals[truths[i].arrived++ % ARRIVALS] = world.now;
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
    fake_token(&truths[i].put);
}

static void give_ledger(unsigned i)
{
    struct truth *truth = &truths[i];
    struct ipc_ledger_put put = {.group = i == GROUP,
                                 .id = i == GROUP ? SLICE("group") : slice_of(ids[i]),
                                 .lost_ms = UINT64_MAX};

    if (lost_at)
        put.lost_ms = world.now - lost_at;
    if (truth->has_ledger) {
        put.state = slice_of(truth->ledger);
        put.elapsed_ms = world.now - truth->ledger_at;
    } else {
        put.state = SLICE("");
    }
    if (truth->has_ledger || lost_at)
        upstream_ledger(world.worker, &put);
}

static void put(unsigned i)
{
    struct truth *truth = &truths[i];
    bool fresh = !fake_find(ids[i]) || fake_find(ids[i])->removed;

    if (truth->put.group.len)
        upstream_group(world.worker, &truth->put);
    upstream_put(world.worker, &truth->put);
    directory_put(world.relay.directory, &truth->put);
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
        truths[i].limited_since[which] = world.now;
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
    to->prewarm_max_connections = some(4);
    to->prewarm_min_connections = some(2);
    to->prewarm_min_messages = some(40);
    to->prewarm_messages_per_connection = some(3);
    to->prewarm_concurrency = some(3);
    to->generation += all;
    put(i);
}

static void reload(void)
{
    world.conf->queue_wait_ms = fake_random(4) ? 30000 : fake_random(90000) + 100;
    world.conf->logins_per_minute = some(30);
    world.conf->concurrent_dials = some(6);
    upstream_settings_changed(world.worker);
}

static void remove_or_add(void)
{
    unsigned i = (unsigned)fake_random(ACCOUNTS);

    if (!truths[i].known) {
        put(i);
        return;
    }
    directory_remove(world.relay.directory, slice_of(ids[i]));
    upstream_remove(world.worker, slice_of(ids[i]));
    truths[i].known = false;
}

static void hold(void)
{
    unsigned i = (unsigned)fake_random(ACCOUNTS);
    struct ipc_state state = {.id = slice_of(ids[i]),
                              .generation = truths[i].put.generation,
                              .state = (uint32_t)fake_random(ACCOUNT_STATES),
                              .text = SLICE("held")};

    state.until_wall_ms = world.now + world.wall_offset + fake_random(10 * MINUTE);
    upstream_state(world.worker, &state);
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
    fake_process_begin();
    for (unsigned i = 0; i < ACCOUNTS; i++) {
        if (truths[i].known)
            put(i);
    }
}

static void end_process(void)
{
    fake_process_end();
    assert_int_equal(under_way, 0);
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
        lost_at = world.now;
    world.now += fake_random(3000); /* no worker has a clock now */
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
        fake_run_until(world.now + some_time());
    fake_deliver();
    truth_check();
}

static void open_all(uint64_t seed)
{
    fake_world_open(seed);
    fake.on_begin = truth_begin;
    fake.on_open = truth_open;
    fake.on_taken = truth_taken;
    world.heard = on_heard;
    world.moved = truth_check;
    world.conf->queue_wait_ms = 30000;
}

static void test_a_million_steps(void **state)
{
    const char *seed = getenv("SCHEDULES_SEED"), *count = getenv("SCHEDULES_STEPS");
    uint64_t wanted = count ? strtoull(count, NULL, 10) : 1000000;

    (void)state;
    open_all(seed ? strtoull(seed, NULL, 10) : 20251126);
    begin_process();
    for (unsigned i = 0; i < ACCOUNTS; i++) {
        truths[i].put = fake_account(ids[i], 1);
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
    fake_run_until(world.now + 5 * MINUTE);
    assert_int_equal(under_way, 0);
    printf("%llu delivered, %llu deferred, %llu connections, %llu deaths in %llu h\n",
           (unsigned long long)served, (unsigned long long)deferred,
           (unsigned long long)fake.opened, (unsigned long long)deaths,
           (unsigned long long)((world.now - 1000000) / HOUR));
    assert_true(served > wanted / 100 && deferred > wanted / 100);
    end_process();
    fake_world_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_million_steps)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
