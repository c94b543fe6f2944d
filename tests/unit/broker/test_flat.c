/* The line of refreshes: of many accounts it is flat, however they came to their tokens, and
 * those for which mail waits go first. On a simulated clock, with the real machine. */
#include "broker/token_world.h"

#include <sodium.h>
#include <stdlib.h>

#define MINUTE 60000u
#define STEP_MS 500
#define SECONDS_MAX (3 * 3600)

/* With 100,000 it takes a minute: 34 a second, 58 at most. */
#define MANY 20000

static uint32_t asked[SECONDS_MAX];

/* Time passes; each request is answered, a moment after it was made. */
static void run(uint64_t seconds)
{
    memset(asked, 0, sizeof(asked));
    assert_true(seconds <= SECONDS_MAX);
    for (uint64_t at = 0; at < seconds * 1000; at += STEP_MS) {
        uint64_t before = tokens.stats.requests;

        pass(STEP_MS);
        while (open_requests) {
            for (size_t i = 0, seen = request_count; i < seen; i++) {
                if (requests[i].open)
                    respond_with(&requests[i], 200, GOOD, "");
            }
            if (!open_requests)
                request_count = 0;
        }
        asked[at / 1000] += (uint32_t)(tokens.stats.requests - before);
    }
}

static double mean_of(size_t from, size_t to)
{
    double sum = 0;

    for (size_t i = from; i < to; i++)
        sum += asked[i];
    return sum / (double)(to - from);
}

/* No `window` of seconds has more than `times` the mean. */
static void check_flat(const char *what, size_t from, size_t to, size_t window, double times)
{
    double mean = mean_of(from, to), most = 0;

    for (size_t i = from; i + window <= to; i += window) {
        double here = mean_of(i, i + window);

        most = here > most ? here : most;
    }
    print_message("%s: %.2f a second; in %zu s at most %.2f\n", what, mean, window, most);
    assert_true(mean > 0);
    if (most > times * mean)
        fail_msg("%s: that is no flat line", what);
}

static void test_from_a_cold_start(void **state)
{
    (void)state;
    apply_accounts(MANY, "");
    run(3 * 3600);
    check_flat("the start", 0, MANY / 100 - 10 < 590 ? MANY / 100 - 10 : 590, 10, 1.3);
    check_flat("from then on", 3000, 3 * 3600, 1, 4);
    check_flat("from then on", 3000, 3 * 3600, 10, 1.8);
}

/* They would all be due in the same minute, for ever. */
static void test_from_one_moment(void **state)
{
    (void)state;
    conf->oauth_concurrency = 4000;
    apply_accounts(3000, "");
    check_num("at once", (long long)open_requests, 3000);
    run(3 * 3600);
    check_flat("from then on", 3000, 3 * 3600, 60, 2);
}

/* As the store gives them: tokens that end at any time of the next hour. */
static void test_after_a_restart(void **state)
{
    (void)state;
    world_keeps_tokens();
    for (size_t i = 0; i < MANY; i++) {
        char id[32];
        struct account_record *record;

        snprintf(id, sizeof(id), "u%zu", i);
        record = make_record(id, "");
        record->kept_life_ms = 60 * MINUTE;
        /* None was due yet when we ended. */
        record->kept_expires_ms =
            clock_wall_ms() + 10 * MINUTE + (uint64_t)randombytes_random() % (50 * MINUTE);
        registry_put(&registry, record, NULL);
    }
    tokens_spread(&tokens, MANY);
    for (size_t rounds = 0; rounds < 3; rounds++) {
        run(3000);
        check_flat("after a restart", rounds ? 0 : 300, 2700, 10, 1.8);
        while (keep_count)
            finish_keep(STORE_OK);
    }
}

/* The endpoint was away, and all of them have failed. */
static void test_after_an_outage(void **state)
{
    (void)state;
    apply_accounts(2000, "");
    run(600);
    for (size_t i = 0; i < 2 * 3600; i++) {
        pass(1000);
        respond_all(503, "");
        request_count = open_requests ? request_count : 0;
    }
    check_num("down", (long long)tokens.gates_closed[GATE_ENDPOINT], 1);
    run(3 * 3600);
    check_flat("from then on", 3000, 3 * 3600, 60, 3); /* two a second are nobody's trouble */
}

/* A few accounts wait for nobody, and nobody moves them from their usual time. */
static void test_few_keep_their_time(void **state)
{
    (void)state;
    apply_accounts(5, "");
    respond_all(200, GOOD);
    pass(47 * MINUTE);
    check_num("asked", (long long)request_count, 5);
    pass(4 * MINUTE);
    check_num("asked", (long long)request_count, 10);
}

static void test_mail_goes_first(void **state)
{
    struct account *late;

    (void)state;
    conf->oauth_concurrency = 10;
    apply_accounts(1000, "");
    pass(20000); /* all of them are due, and ten are at it */
    check_num("at once", (long long)open_requests, 10);
    late = account_named("u999");
    while (late->token.phase != TOKEN_QUEUED && late->token.phase != TOKEN_RESTING)
        late = container_of(late->by_id.prev, struct account, by_id);
    token_wanted(late);
    check_num("it waits", late->token.phase, TOKEN_URGENT);
    respond(200, GOOD);
    check_num("not for the crowd", late->token.phase, TOKEN_RUNNING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_from_a_cold_start), TEST(test_from_one_moment),     TEST(test_after_a_restart),
        TEST(test_after_an_outage),   TEST(test_few_keep_their_time), TEST(test_mail_goes_first),
    };

    return world_start() ? cmocka_run_group_tests_name("broker/flat", tests, NULL, NULL) : 1;
}
