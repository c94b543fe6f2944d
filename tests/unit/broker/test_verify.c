/* Verification of records before they are accounts. */
#include "broker/token_world.h"

#include "broker/oauth/verify.h"

#define THROTTLED "{\"error\":\"slow_down\"}"

static struct verifier *verifier;
static struct verify checks[400];
static struct account_record *records[400];
static size_t checks_made, checks_done;

static void on_done(struct verify *verify)
{
    (void)verify;
    checks_done++;
}

static struct verify *begin(const char *more)
{
    char id[16];
    struct verify *verify = &checks[checks_made];

    if (!verifier) {
        verifier = verifier_new(&world_loop, NULL, &tokens.clocks);
        verifier_configure(verifier, conf);
    }
    snprintf(id, sizeof(id), "v%zu", checks_made);
    records[checks_made] = make_record(id, more);
    *verify = (struct verify){.record = records[checks_made], .done = on_done};
    verify->give_up_ms = now_ms + 100000;
    checks_made++;
    assert_true(verify_begin(verifier, verify));
    return verify;
}

static void begin_many(size_t count)
{
    for (size_t i = 0; i < count; i++)
        begin("");
}

static int clean_up(void **state)
{
    verifier_free(verifier);
    verifier = NULL;
    for (size_t i = 0; i < checks_made; i++) {
        token_grant_clear(&checks[i].grant);
        free(checks[i].refresh_token);
        record_free(records[i]);
    }
    checks_made = checks_done = 0;
    return world_tear_down(state);
}

static void test_a_token_is_kept(void **state)
{
    struct verify *verify = begin("");

    (void)state;
    check_num("asked", (long long)open_requests, 1);
    respond(200, ROTATED);
    check_num("not from inside", (long long)checks_done, 0);
    pass(500);
    check_num("done", (long long)checks_done, 1);
    check_num("class", verify->class_, OAUTH_OK);
    check_text("token", slice_of(verify->grant.value), "at");
    check_num("life", (long long)verify->grant.life_ms, 3600000);
    check_text("replaced", slice_of(verify->refresh_token), "rt2");
}

static void test_a_dead_grant_is_said_at_once(void **state)
{
    struct verify *verify = begin("");

    (void)state;
    respond(400, DEAD);
    pass(500);
    check_num("class", verify->class_, OAUTH_CONSENT);
    assert_non_null(strstr(verify->text, "revoked"));
    assert_null(verify->grant.value);
}

static void test_all_at_once_within_the_limit(void **state)
{
    (void)state;
    conf->oauth_verify_concurrency = 50;
    begin_many(200);
    check_num("at once", (long long)open_requests, 50);
    while (open_requests)
        respond_all(200, GOOD);
    pass(500);
    check_num("done", (long long)checks_done, 200);
    check_num("most", (long long)most_open, 50);
}

static void test_hosts_have_limits_of_their_own(void **state)
{
    (void)state;
    conf->oauth_verify_concurrency = 5;
    begin_many(20);
    begin("{\"oauth_token_url\": \"https://other.example/token\"}");
    check_num("at once", (long long)open_requests, 6);
    respond_with(&requests[5], 200, GOOD, "");
    pass(500);
    check_num("the other", checks[20].class_, OAUTH_OK);
    check_num("done", (long long)checks_done, 1);
}

static void test_one_without_an_answer_is_asked_once_more(void **state)
{
    struct verify *verify = begin("");

    (void)state;
    respond(0, "");
    check_num("again", (long long)open_requests, 1);
    assert_true(requests[1].fresh);
    respond(0, "");
    pass(500);
    check_num("class", verify->class_, OAUTH_TRANSIENT);
    check_num("requests", (long long)request_count, 2);
}

static void test_a_throttle_halves_and_waits(void **state)
{
    (void)state;
    conf->oauth_verify_concurrency = 40;
    begin_many(80);
    respond_with(&requests[0], 429, THROTTLED, "7");
    for (size_t i = 1; i < 40; i++)
        respond_with(&requests[i], 200, GOOD, "");
    pass(6000);
    check_num("paused", (long long)open_requests, 0);
    pass(2000);
    check_num("half", (long long)open_requests, 20);
    for (int round = 0; round < 20 && open_requests; round++)
        respond_all(200, GOOD);
    pass(500);
    check_num("done", (long long)checks_done, 80);
    for (size_t i = 0; i < 80; i++)
        check_num("class", checks[i].class_, OAUTH_OK);
    assert_true(most_open <= 40);
}

static void test_several_throttles_at_once_count_as_one(void **state)
{
    (void)state;
    conf->oauth_verify_concurrency = 40;
    begin_many(80);
    respond_all(429, THROTTLED);
    pass(61000);
    check_num("half, not a fraction", (long long)open_requests, 20);
}

static void test_a_pause_that_is_too_long_is_said(void **state)
{
    struct verify *verify = begin("");

    (void)state;
    verify->give_up_ms = now_ms + 5000;
    respond_with(&requests[0], 429, THROTTLED, "60");
    pass(500);
    check_num("class", verify->class_, OAUTH_THROTTLED);
    check_num("asked", (long long)request_count, 1);
    /* And so for whoever comes meanwhile, without a request. */
    verify = begin("");
    pass(500);
    check_num("waits", (long long)checks_done, 1);
    pass(60000);
    check_num("asked then", (long long)request_count, 2);
}

static void test_it_grows_again(void **state)
{
    (void)state;
    conf->oauth_verify_concurrency = 8;
    begin_many(100);
    respond_with(&requests[0], 429, THROTTLED, "1");
    for (size_t i = 1; i < 8; i++)
        respond_with(&requests[i], 200, GOOD, "");
    pass(2000);
    check_num("half", (long long)open_requests, 4);
    for (int i = 0; i < 40; i++)
        respond(200, GOOD);
    assert_true(open_requests > 6 && open_requests <= 8);
}

static void test_cancel_in_each_phase(void **state)
{
    (void)state;
    conf->oauth_verify_concurrency = 2;
    begin_many(5);
    verify_cancel(&checks[4]); /* waits */
    verify_cancel(&checks[0]); /* runs */
    respond_with(&requests[1], 200, GOOD, "");
    verify_cancel(&checks[1]); /* has its answer */
    pass(500);
    check_num("done", (long long)checks_done, 0);
    while (open_requests)
        respond_all(200, GOOD);
    pass(500);
    check_num("the others", (long long)checks_done, 2);
    verify_cancel(&checks[2]); /* is over: nothing happens */
}

static void test_secrets_are_masked(void **state)
{
    struct verify *verify = begin("{\"refresh_token\": \"very-secret-token\"}");

    (void)state;
    respond(400, "{\"error\":\"invalid_grant\",\"error_description\":\"bad very-secret-token\"}");
    pass(500);
    assert_null(strstr(verify->text, "very-secret-token"));
}

#define VERIFY_TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, clean_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        VERIFY_TEST(test_a_token_is_kept),
        VERIFY_TEST(test_a_dead_grant_is_said_at_once),
        VERIFY_TEST(test_all_at_once_within_the_limit),
        VERIFY_TEST(test_hosts_have_limits_of_their_own),
        VERIFY_TEST(test_one_without_an_answer_is_asked_once_more),
        VERIFY_TEST(test_a_throttle_halves_and_waits),
        VERIFY_TEST(test_several_throttles_at_once_count_as_one),
        VERIFY_TEST(test_a_pause_that_is_too_long_is_said),
        VERIFY_TEST(test_it_grows_again),
        VERIFY_TEST(test_cancel_in_each_phase),
        VERIFY_TEST(test_secrets_are_masked),
    };

    return world_start() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
