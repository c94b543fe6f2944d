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

/* Accounts m0, m1... at an endpoint of their own. */
static void apply_two_providers(size_t count, size_t others)
{
    static char memory[200000];
    struct text text;

    text_init(&text, memory, sizeof(memory));
    for (size_t i = 0; i < count + others; i++)
        text_addf(&text,
                  "%s{\"email\":\"u%zu@x\",\"account_id\":\"%c%zu\",\"provider\":\"outlook\","
                  "\"client_id\":\"c\",\"refresh_token\":\"rt\"%s}",
                  i ? "," : "[", i, i < count ? 'u' : 'm', i < count ? i : i - count,
                  i < count ? "" : ",\"oauth_token_url\":\"https://other.example/token\"");
    text_add_char(&text, ']');
    assert_false(text.cut);
    apply(memory);
}

static void test_one_endpoint_does_not_hold_up_another(void **state)
{
    (void)state;
    conf->oauth_concurrency = 20;
    apply_two_providers(300, 3);
    /* Nobody has had an answer; the first refreshes are spread by chance. */
    for (int i = 0; i < 60 && open_requests < 20; i++)
        pass(1000);
    assert_true(open_requests > 18 && open_requests <= 20); /* 18 and the other's share */
    for (int round = 0; round < 5; round++) {
        for (size_t i = 0; i < request_count; i++) {
            if (requests[i].open && strstr(requests[i].url, "other"))
                respond_with(&requests[i], 200, GOOD, "");
        }
        pass(500);
    }
    for (int i = 0; i < 3; i++) {
        char id[16];

        snprintf(id, sizeof(id), "m%d", i);
        assert_true(token_valid(account_named(id)));
    }
    assert_true(most_open <= 20);
}

static void test_removal_from_a_queue(void **state)
{
    (void)state;
    conf->oauth_concurrency = 1;
    apply_two_providers(40, 5);
    pass(600);
    check_num("one runs, the rest is queued", (long long)open_requests, 1);
    apply_two_providers(2, 1);
    for (int i = 0; i < 6; i++) {
        pass(500);
        respond_all(200, GOOD);
    }
    assert_true(token_valid(account_named("u0")) && token_valid(account_named("u1")) &&
                token_valid(account_named("m0")));
    apply("[]");
    check_num("endpoints", (long long)HASH_COUNT(tokens.gates[GATE_ENDPOINT]), 0);
    check_num("turns", (long long)tokens.turns.count, 0);
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
        TEST(test_one_endpoint_does_not_hold_up_another),
        TEST(test_removal_from_a_queue),
        TEST(test_mail_goes_first),
        TEST(test_many_accounts_start_slowly),
    };

    if (!world_start())
        return 1;
    return cmocka_run_group_tests_name("broker/gate", tests, NULL, NULL);
}
