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

/* What the endpoint takes in half a second; then it says 429. */
static size_t capacity, throttled;

static void answer_one(struct http_request *request, size_t *room)
{
    if (!*room)
        throttled++;
    respond_with(request, *room ? 200 : 429, *room ? GOOD : "Too Many Requests", *room ? "" : "60");
    *room -= *room > 0;
}

/* Time passes; each request is answered, a moment after it was made. */
static void run(uint64_t seconds)
{
    memset(asked, 0, sizeof(asked));
    assert_true(seconds <= SECONDS_MAX);
    for (uint64_t at = 0; at < seconds * 1000; at += STEP_MS) {
        uint64_t before = tokens.stats.requests;
        size_t room = capacity ? capacity : SIZE_MAX;

        pass(STEP_MS);
        while (open_requests) {
            for (size_t i = 0, seen = request_count; i < seen; i++) {
                if (requests[i].open)
                    answer_one(&requests[i], &room);
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

static int set_up(void **state)
{
    capacity = throttled = 0;
    return world_set_up(state);
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

static size_t with_token(void)
{
    struct registry_walk walk;
    const struct account *account;
    size_t count = 0;

    registry_walk_begin(&walk, &registry, 0);
    while ((account = registry_walk_next(&walk)))
        count += token_valid(account);
    registry_walk_end(&walk);
    return count;
}

/* It takes half of what a start asks: the crowd finds its pace, and all are served. */
static void test_an_endpoint_that_takes_less(void **state)
{
    size_t early;

    (void)state;
    capacity = 25; /* 50 a second */
    apply_accounts(MANY, "");
    run(60);
    early = throttled;
    assert_true(early > 10);
    run(840);
    print_message("throttled: %zu in the first minute, %zu of %llu in all; with a token: %zu\n",
                  early, throttled, (unsigned long long)tokens.stats.requests, with_token());
    assert_true(throttled < tokens.stats.requests / 10);
    assert_true(with_token() > MANY * 9 / 10);
    run(3 * 3600);
    assert_true(throttled < tokens.stats.requests / 20);
    check_num("with a token", (long long)with_token(), MANY);
}

/* One account that asks too often slows down nobody. */
static void test_one_that_is_throttled(void **state)
{
    (void)state;
    apply_accounts(2, "");
    respond_with(&requests[1], 200, GOOD, "");
    for (int i = 0; i < 30; i++) {
        respond(429, "Too Many Requests");
        pass(80000);
    }
    check_num("gap", (long long)account_named("u0")->token.gates[GATE_ENDPOINT]->gap_ms, 0);
    respond_all(200, GOOD);
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

#define FLAT(name) cmocka_unit_test_setup_teardown(name, set_up, world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FLAT(test_from_a_cold_start),
        FLAT(test_from_one_moment),
        FLAT(test_after_a_restart),
        FLAT(test_after_an_outage),
        FLAT(test_an_endpoint_that_takes_less),
        FLAT(test_one_that_is_throttled),
        FLAT(test_few_keep_their_time),
        FLAT(test_mail_goes_first),
    };

    return world_start() ? cmocka_run_group_tests_name("broker/flat", tests, NULL, NULL) : 1;
}
