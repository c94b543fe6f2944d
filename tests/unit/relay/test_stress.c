/* Random schedules and random faults at every step, for a few seconds, with one
 * worker and with two: what the provider took is what was acknowledged or
 * called unknown, each job is answered once, no cap is exceeded, and nothing
 * is left. STRESS_SEED and STRESS_SECONDS change the run. */
#include "check.h"

#include <stdio.h>

#include "base/clock.h"
#include "relay/snapshot.h"
#include "relay/upstream_world.h"

#define ACCOUNTS 4
#define AT_ONCE 10 /* jobs under way, of each worker */
#define CAP 2

struct result {
    unsigned answers; /* final ones */
    enum job_outcome outcome;
    int code;
    bool busy; /* was told that all connections are at work */
};

/* Touched on its worker's thread only. */
struct driver {
    struct worker *worker;
    uint64_t random;
    unsigned next_id, step; /* ids are dealt round */
    unsigned under_way;
    unsigned live_left[WORLD_JOBS];
    struct timer cancel_timer;
    bool lively; /* cancels, live mode */
    bool begun;
};

static struct driver drivers[RELAY_WORKERS_MAX];
static struct result results[WORLD_JOBS];
static atomic_bool over;
static atomic_uint under_way;
static const char *const ids[ACCOUNTS] = {"a@x", "b@x", "c@x", "d@x"};

static uint64_t chance(struct driver *driver, uint64_t below)
{
    return next_random(&driver->random) % below;
}

static void begin_job(struct driver *driver);

static struct driver *driver_of(const struct sent *sent)
{
    return &drivers[sent->job.origin->index];
}

static void note(struct sent *sent)
{
    struct result *result = &results[sent->id];

    result->answers++;
    result->outcome = sent->job.outcome;
    result->code = sent->job.reply.code;
    result->busy = sent->job.reply.text && strstr(sent->job.reply.text, "account busy");
}

/* As sessions do: the job is freed inside its own callback. */
static void on_final(struct sent *sent)
{
    struct driver *driver = driver_of(sent);

    note(sent);
    world_forget(sent);
    driver->under_way--;
    atomic_fetch_sub(&under_way, 1);
    begin_job(driver);
}

static void go_on_live(struct sent *sent)
{
    struct driver *driver = driver_of(sent);
    struct recipient *rcpts = sent->job.envelope.rcpts;
    size_t accepted = 0;

    for (size_t i = 0; i < sent->job.envelope.count; i++)
        accepted += rcpts[i].reply.code / 100 == 2;
    if (atomic_load(&sent->job.cancelled)) {
        job_submit(&sent->job, JOB_ABORT);
    } else if (driver->live_left[sent->id]) {
        driver->live_left[sent->id]--;
        world_add_rcpt(sent, "more@example.net");
        job_submit(&sent->job, JOB_RCPT);
    } else {
        job_submit(&sent->job, accepted ? JOB_CONTENT : JOB_ABORT);
    }
}

static void on_done(struct job *job)
{
    struct sent *sent = job->owner;

    if (job->outcome == OUTCOME_NONE)
        go_on_live(sent);
    else
        on_final(sent);
}

static size_t some_size(struct driver *driver)
{
    static const size_t sizes[] = {60, 500, 5000, 20000, 300000, 1200000};

    return sizes[chance(driver, COUNT_OF(sizes))] + chance(driver, 50);
}

static void begin_job(struct driver *driver)
{
    bool live = driver->lively && chance(driver, 5) == 0;
    struct sent *sent;

    if (atomic_load(&over) || driver->next_id >= WORLD_JOBS)
        return;
    sent = world_job_of(driver->worker, ids[chance(driver, ACCOUNTS)], driver->next_id,
                        some_size(driver), live || chance(driver, 3) ? 1 : 3);
    driver->next_id += driver->step;
    driver->under_way++;
    atomic_fetch_add(&under_way, 1);
    sent->job.done = on_done;
    if (live) {
        driver->live_left[sent->id] = (unsigned)chance(driver, 3);
        job_submit(&sent->job, JOB_RCPT);
    } else {
        job_submit(&sent->job, JOB_DELIVER);
    }
}

/* An administrator looks on, and lets accounts log in. */
static void look_on(struct driver *driver)
{
    struct ipc_probe probe = {1, slice_of(ids[chance(driver, ACCOUNTS)])};
    struct ipc_snapshot query = {1, SLICE(""), SLICE(""), (uint32_t)chance(driver, 2 * ACCOUNTS)};

    upstream_probe(driver->worker, &probe);
    snapshot_take(relay, &query);
}

/* Clients go away at any moment. */
static void on_cancel_timer(struct timer *timer)
{
    struct driver *driver = container_of(timer, struct driver, cancel_timer);

    if (atomic_load(&over))
        return;
    for (unsigned tries = 0; driver->lively && tries < 20; tries++) {
        unsigned id = (unsigned)chance(driver, WORLD_JOBS / driver->step) * driver->step;
        struct sent *sent = &sents[id + driver->worker->index];

        if (sent->login)
            job_cancel(&sent->job);
    }
    if (driver->lively)
        look_on(driver);
    loop_timer_set(&driver->worker->loop, timer, 1 + chance(driver, 40));
}

static void begin_driver(struct worker *worker, void *arg)
{
    struct driver *driver = arg;

    (void)worker;
    timer_init(&driver->cancel_timer, on_cancel_timer);
    loop_timer_set(&driver->worker->loop, &driver->cancel_timer, 10);
    for (unsigned i = 0; i < AT_ONCE; i++)
        begin_job(driver);
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text ? strtoull(text, NULL, 10) : otherwise;
}

static void put_accounts(void)
{
    for (unsigned i = 0; i < ACCOUNTS; i++) {
        struct ipc_account account = world_account(ids[i], CAP);

        account.max_messages_per_connection = i == 1 ? 3 : 0;
        account.idle_ms = i == 2 ? 30 : 60000;
        account.group = SLICE("all"); /* letters go to and fro */
        account.group_messages_per_day = 1000000;
        world_put(&account);
        world_token(ids[i], 3600000);
    }
}

static bool all_back(void *unused)
{
    (void)unused;
    return atomic_load(&under_way) == 0;
}

static void run_drivers(unsigned workers, bool lively, uint64_t seed)
{
    uint64_t seconds = number_from("STRESS_SECONDS", 3);

    atomic_store(&over, false);
    atomic_store(&under_way, 0);
    memset(results, 0, sizeof(results));
    for (unsigned i = 0; i < workers; i++) {
        drivers[i] = (struct driver){.worker = relay->workers[i],
                                     .random = seed * 7919 + i + 1,
                                     .next_id = i,
                                     .step = workers,
                                     .lively = lively};
        if (workers == 1)
            begin_driver(first, &drivers[i]);
        else
            worker_call(relay->workers[i], begin_driver, &drivers[i]);
    }
    world_run((unsigned)seconds * 1000);
    atomic_store(&over, true);
    if (!world_until(all_back, NULL))
        fail_msg("seed %llu: %u jobs never came back", (unsigned long long)seed,
                 atomic_load(&under_way));
}

static void check_results(uint64_t seed, bool calm)
{
    unsigned counts[OUTCOMES] = {0}, taken = 0;

    for (unsigned id = 0; id < WORLD_JOBS; id++) {
        const struct result *result = &results[id];
        unsigned accepted = provider.accepted[id];
        bool good = result->outcome == OUTCOME_DELIVERED;

        if (!result->answers && !accepted)
            continue;
        counts[result->outcome]++;
        taken += accepted;
        if (result->answers != 1 || accepted > 1 || (good && !accepted) ||
            (accepted && !good && result->outcome != OUTCOME_UNKNOWN) ||
            (calm && (!good || result->busy)) || good != (result->code / 100 == 2))
            fail_msg("seed %llu: job %u: %u answers, %s %d, accepted %u times",
                     (unsigned long long)seed, id, result->answers,
                     job_outcome_names[result->outcome], result->code, accepted);
    }
    print_message("seed %llu:", (unsigned long long)seed);
    for (unsigned i = 0; i < OUTCOMES; i++)
        print_message(" %s %u", job_outcome_names[i], counts[i]);
    print_message(", at the provider %u over %u connections, %u at once\n", taken,
                  provider.connections, provider.most);
    assert_true(provider.most <= ACCOUNTS * CAP);
    assert_true(counts[OUTCOME_DELIVERED] > 0);
}

static void stress(unsigned workers, unsigned one_in, bool lively)
{
    uint64_t seed = number_from("STRESS_SEED", clock_us() % 1000000);

    world_open(workers);
    provider.seed = seed;
    provider.one_in = one_in;
    if (!one_in)
        provider_script(&provider,
                        &(struct fault){.nth = 2, .step = STEP_FINAL, .act = ACT_LATE, .text = "7"},
                        1);
    world_conf->upstream_command_ms = one_in ? 400 : 5000;
    world_conf->upstream_final_ms = one_in ? 400 : 5000;
    world_conf->queue_wait_ms = one_in ? 2000 : 10000;
    world_conf->probe_after_ms = 5;
    world_conf->global_concurrency = 5;
    world_conf->spill_threshold = 100000;
    world_conf->memory_limit = 4 * MIB;
    put_accounts();
    if (workers > 1)
        world_start();
    run_drivers(workers, lively, seed);
    world_close();
    check_results(seed, !one_in);
}

static void test_calm(void **state)
{
    (void)state;
    stress(1, 0, false);
    stress(2, 0, false);
}

static void test_faults(void **state)
{
    (void)state;
    stress(1, 25, true);
}

static void test_faults_with_threads(void **state)
{
    (void)state;
    stress(2, 25, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calm),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_faults_with_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
