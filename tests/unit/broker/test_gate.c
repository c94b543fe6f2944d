/* Many accounts at one endpoint and one application: what one learns, all know. */
#include "broker/token_world.h"

#include <stdio.h>

static void test_an_application_fails_as_one(void **state)
{
    size_t before;

    (void)state;
    conf->oauth_concurrency = 5;
    apply_accounts(100, "");
    pass(2000);
    check_num("first", (long long)request_count, 5);
    respond_all(401, APP);
    before = request_count;
    respond_all(401, APP);
    pass(60000);
    assert_true(request_count <= before + 5);
    for (int i = 0; i < 100; i++) {
        char id[16];

        snprintf(id, sizeof(id), "u%d", i);
        check_num(id, account_state(account_named(id)), ACCOUNT_MISCONFIGURED);
    }
    /* One probe, not a hundred. */
    before = request_count;
    pass(600000);
    check_num("probe", (long long)(request_count - before), 1);
    respond_all(200, GOOD);
    for (int i = 0; i < 60; i++) {
        pass(500);
        respond_all(200, GOOD);
    }
    for (int i = 0; i < 100; i++) {
        char id[16];

        snprintf(id, sizeof(id), "u%d", i);
        check_num(id, account_state(account_named(id)), ACCOUNT_ACTIVE);
        assert_true(token_valid(account_named(id)));
    }
    check_num("concurrency", (long long)most_open, 5);
}

static void test_one_wrong_record_stops_no_other(void **state)
{
    (void)state;
    apply_accounts(3, "");
    respond_with(&requests[0], 401, APP, ""); /* says the endpoint, of this one only */
    respond_with(&requests[1], 200, GOOD, "");
    respond_with(&requests[2], 200, GOOD, "");
    check_num("u0", account_state(account_named("u0")), ACCOUNT_MISCONFIGURED);
    pass(3600000);
    respond_all(200, GOOD);
    check_num("u1", account_state(account_named("u1")), ACCOUNT_ACTIVE);
    check_num("u2", account_state(account_named("u2")), ACCOUNT_ACTIVE);
}

static void test_an_endpoint_that_is_down_is_left_in_peace(void **state)
{
    size_t before;

    (void)state;
    apply_accounts(90, "");
    check_num("all at once", (long long)request_count, 90);
    respond_all(0, "");
    before = request_count;
    for (int i = 0; i < 120; i++) {
        pass(500);
        respond_all(0, "");
    }
    /* A minute of outage: a probe every few seconds, for all 90 accounts. */
    assert_true(request_count - before < 20);
    check_num("state", account_state(account_named("u7")), ACCOUNT_THROTTLED);
    token_wanted(account_named("u7"));
    check_num("told", told_state, ACCOUNT_THROTTLED);
    for (int i = 0; i < 80; i++) {
        pass(500);
        respond_all(200, GOOD);
    }
    for (int i = 0; i < 90; i++) {
        char id[16];

        snprintf(id, sizeof(id), "u%d", i);
        assert_true(token_valid(account_named(id)));
    }
}

static void test_mail_goes_first(void **state)
{
    (void)state;
    conf->oauth_concurrency = 1;
    apply_accounts(50, "");
    pass(600);
    check_num("one", (long long)open_requests, 1);
    token_wanted(account_named("u49"));
    respond(200, GOOD);
    assert_ptr_equal(requests[1].owner, account_named("u49"));
}

static void test_many_accounts_start_slowly(void **state)
{
    (void)state;
    apply_accounts(1000, "");
    assert_true(request_count < 50);
    for (int i = 0; i < 24; i++) {
        pass(500);
        assert_true(open_requests < 120);
        respond_all(200, GOOD);
    }
    check_num("all", (long long)request_count, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_application_fails_as_one),
        TEST(test_one_wrong_record_stops_no_other),
        TEST(test_an_endpoint_that_is_down_is_left_in_peace),
        TEST(test_mail_goes_first),
        TEST(test_many_accounts_start_slowly),
    };

    if (!world_start())
        return 1;
    return cmocka_run_group_tests_name("broker/gate", tests, NULL, NULL);
}
