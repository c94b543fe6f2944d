/* One account's change at a time, walks, and the endpoint's word on one account. */
#include "broker/token_world.h"

#include <stdlib.h>

static enum oauth_class told_class;
static size_t told_verdicts;
static char told_verdict[128];

static void on_verdict(struct token_waiter *waiter, enum oauth_class class_, const char *text)
{
    assert_null(waiter->list);
    told_class = class_;
    told_verdicts++;
    slice_copy(slice_of(text), told_verdict, sizeof(told_verdict));
}

static struct token_waiter ask(const char *id)
{
    return (struct token_waiter){.done = on_verdict, .owner = (void *)(uintptr_t)id};
}

static void expect_verdict(enum oauth_class class_)
{
    check_num("verdicts", (long long)told_verdicts, 1);
    check_num("class", told_class, class_);
    told_verdicts = 0;
}

/* --- put and remove ----------------------------------------------------------- */

static void test_put_adds(void **state)
{
    struct account *account = registry_put(&registry, make_record("u0", ""), NULL);

    (void)state;
    assert_non_null(account);
    tokens_spread(&tokens, 1);
    check_num("asked", (long long)open_requests, 1);
    respond(200, GOOD);
    assert_true(token_valid(account));
}

static void test_put_with_a_token_asks_nobody(void **state)
{
    struct token_grant grant = {slice_dup(SLICE("verified")), 3600000, now_ms};
    struct account *account = registry_put(&registry, make_record("u0", ""), &grant);

    (void)state;
    assert_null(grant.value);
    tokens_spread(&tokens, 1);
    check_num("asked", (long long)request_count, 0);
    assert_true(token_valid(account));
    check_text("told", slice_of(told_token), "verified");
}

static void test_put_of_other_credentials_replaces_the_token(void **state)
{
    struct token_grant grant = {slice_dup(SLICE("new")), 3600000, now_ms};
    struct account *account = registry_put(&registry, make_record("u0", ""), NULL);
    uint64_t generation = account->generation, serial = account->serial;

    (void)state;
    tokens_spread(&tokens, 1);
    check_num("asked", (long long)open_requests, 1);
    account = registry_put(&registry, make_record("u0", "{\"refresh_token\":\"rt9\"}"), &grant);
    check_num("the old request", (long long)open_requests, 0);
    check_text("told", slice_of(told_token), "new");
    assert_true(account->generation != generation);
    check_num("its place", (long long)account->serial, (long long)serial);
    check_num("accounts", (long long)registry_count(&registry), 1);
}

static void test_put_of_the_same_keeps_a_running_request(void **state)
{
    struct token_grant grant = {slice_dup(SLICE("older")), 3600000, now_ms};

    (void)state;
    registry_put(&registry, make_record("u0", ""), NULL);
    tokens_spread(&tokens, 1);
    registry_put(&registry, make_record("u0", ""), &grant);
    check_num("still asked", (long long)open_requests, 1);
    assert_non_null(grant.value);
    token_grant_clear(&grant);
    respond(200, ROTATED); /* its refresh token must not be lost */
    check_num("saved", (long long)save_count, 1);
}

static void test_put_with_another_login_is_another_account(void **state)
{
    struct account *account = registry_put(&registry, make_record("u0", ""), NULL);
    uint64_t serial = account->serial;

    (void)state;
    account = registry_put(&registry, make_record("u0", "{\"email\":\"other@x\"}"), NULL);
    check_num("accounts", (long long)registry_count(&registry), 1);
    assert_true(account->serial > serial);
    assert_null(registry_by_login(&registry, SLICE("u0@x")));
    assert_ptr_equal(registry_by_login(&registry, SLICE("OTHER@X")), account);
}

static void test_put_that_takes_the_login_of_another(void **state)
{
    (void)state;
    registry_put(&registry, make_record("u0", ""), NULL);
    registry_put(&registry, make_record("u1", ""), NULL);
    registry_put(&registry, make_record("u2", "{\"email\":\"u0@x\"}"), NULL);
    check_num("accounts", (long long)registry_count(&registry), 2);
    assert_null(registry_by_id(&registry, SLICE("u0")));
    assert_non_null(registry_by_id(&registry, SLICE("u1")));
}

static void test_disabled_and_enabled(void **state)
{
    struct account *account = registry_put(&registry, make_record("u0", ""), NULL);

    (void)state;
    account = registry_put(&registry, make_record("u0", "{\"disabled\":true}"), NULL);
    check_num("state", account_state(account), ACCOUNT_DISABLED);
    tokens_spread(&tokens, 1);
    check_num("asks not", (long long)open_requests, 0);
    account = registry_put(&registry, make_record("u0", ""), NULL);
    check_num("state", account_state(account), ACCOUNT_ACTIVE);
    check_num("asks", (long long)open_requests, 1);
}

/* --- walks ----------------------------------------------------------------------- */

static void test_a_walk_survives_changes(void **state)
{
    struct registry_walk walk;
    struct account *account;
    size_t seen = 0;

    (void)state;
    apply_accounts(6, "");
    registry_walk_begin(&walk, &registry, 0);
    account = registry_walk_next(&walk);
    check_text("first", slice_of(account->record->id), "u0");
    registry_remove(&registry, account_named("u1")); /* would be next */
    registry_remove(&registry, account_named("u0")); /* is behind */
    registry_put(&registry, make_record("u2", "{\"refresh_token\":\"x\"}"), NULL);
    registry_put(&registry, make_record("u9", ""), NULL);
    account = registry_walk_next(&walk);
    check_text("next", slice_of(account->record->id), "u2");
    while (registry_walk_next(&walk))
        seen++;
    check_num("the rest", (long long)seen, 4);
    registry_walk_end(&walk);
}

static void test_a_walk_begins_where_it_is_told(void **state)
{
    struct registry_walk walk;
    uint64_t serial;

    (void)state;
    apply_accounts(6, "");
    serial = account_named("u2")->serial;
    registry_remove(&registry, account_named("u2"));
    registry_walk_begin(&walk, &registry, serial);
    check_text("next", slice_of(registry_walk_next(&walk)->record->id), "u3");
    registry_walk_end(&walk);
}

/* --- the endpoint's word --------------------------------------------------------- */

static void test_verify_asks_in_spite_of_a_valid_token(void **state)
{
    struct token_waiter waiter = ask("u0");

    (void)state;
    apply_accounts(1, "");
    respond(200, GOOD);
    token_verify(account_named("u0"), &waiter);
    check_num("not from inside", (long long)open_requests, 0);
    pass(500);
    check_num("asked", (long long)open_requests, 1);
    respond(200, GOOD);
    expect_verdict(OAUTH_OK);
    pass(600000);
    check_num("no further request", (long long)request_count, 2);
}

static void test_verify_joins_a_request(void **state)
{
    struct token_waiter waiters[2] = {ask("u0"), ask("u0")};

    (void)state;
    apply_accounts(1, "");
    token_verify(account_named("u0"), &waiters[0]);
    token_verify(account_named("u0"), &waiters[1]);
    pass(500);
    check_num("one request", (long long)request_count, 1);
    respond(400, DEAD);
    check_num("both heard", (long long)told_verdicts, 2);
    check_num("class", told_class, OAUTH_CONSENT);
    told_verdicts = 0;
}

static void test_verify_asks_a_parked_account(void **state)
{
    struct token_waiter waiter = ask("u0");

    (void)state;
    apply_accounts(1, "");
    respond(400, DEAD);
    check_num("state", account_state(account_named("u0")), ACCOUNT_NEEDS_CONSENT);
    token_verify(account_named("u0"), &waiter);
    pass(500);
    respond(200, GOOD);
    expect_verdict(OAUTH_OK);
    check_num("state", account_state(account_named("u0")), ACCOUNT_ACTIVE);
}

static void test_verify_respects_a_throttle(void **state)
{
    struct token_waiter waiter = ask("u0");

    (void)state;
    apply_accounts(1, "");
    respond(429, "");
    token_verify(account_named("u0"), &waiter);
    pass(500);
    check_num("asked", (long long)request_count, 1);
    expect_verdict(OAUTH_THROTTLED);
    assert_non_null(strstr(told_verdict, "429"));
    pass(70000);
    check_num("by itself", (long long)request_count, 2);
    respond(200, GOOD);
}

/* Nobody who has mended the application waits for the hour to be over; the others do. */
static void test_an_insistent_one_probes_for_all(void **state)
{
    struct token_waiter patient = ask("u0"), insistent = ask("u1");
    size_t asked;

    (void)state;
    insistent.insists = true;
    apply_accounts(3, ",\"client_secret\":\"s\"");
    for (size_t i = 0; i < 3; i++)
        respond_with(&requests[i], 401, APP, "");
    check_num("closed", (long long)tokens.gates_closed[GATE_APP], 1);
    asked = request_count;
    token_verify(account_named("u1"), &insistent);
    pass(500);
    check_num("not so soon", (long long)request_count, (long long)asked);
    expect_verdict(OAUTH_APP);
    pass(10000);
    token_verify(account_named("u0"), &patient);
    pass(500);
    check_num("a verification waits", (long long)request_count, (long long)asked);
    expect_verdict(OAUTH_APP);
    token_verify(account_named("u1"), &insistent);
    pass(500);
    check_num("it is asked", (long long)request_count, (long long)asked + 1);
    respond_with(&requests[asked], 200, GOOD, "");
    expect_verdict(OAUTH_OK);
    check_num("open", (long long)tokens.gates_closed[GATE_APP], 0);
}

/* A hundred thousand may want tokens when somebody looks at one of them. */
static void test_an_insistent_one_goes_before_the_others(void **state)
{
    struct token_waiter waiter = ask("u3");
    struct account *wanted;

    (void)state;
    conf->oauth_concurrency = 1;
    apply_accounts(5, "");
    pass(10000);
    check_num("one at a time", (long long)request_count, 1);
    if (requests[0].owner == account_named("u3"))
        waiter = ask("u4");
    waiter.insists = true;
    wanted = account_named(waiter.owner);
    token_verify(wanted, &waiter);
    pass(500);
    respond_with(&requests[0], 200, GOOD, "");
    assert_ptr_equal(requests[1].owner, wanted);
    respond_with(&requests[1], 200, GOOD, "");
    expect_verdict(OAUTH_OK);
    conf->oauth_concurrency = 100;
}

static void test_verify_a_disabled_account(void **state)
{
    struct token_waiter waiter = ask("u0");

    (void)state;
    apply_accounts(1, ",\"disabled\":true");
    token_verify(account_named("u0"), &waiter);
    pass(500);
    respond(400, DEAD);
    expect_verdict(OAUTH_CONSENT);
    check_num("state", account_state(account_named("u0")), ACCOUNT_DISABLED);
    pass(36000000);
    check_num("left alone", (long long)request_count, 1);
    token_verify(account_named("u0"), &waiter);
    pass(500);
    respond(200, GOOD);
    expect_verdict(OAUTH_OK);
    pass(36000000);
    check_num("left alone", (long long)request_count, 2);
}

static void test_verify_of_an_account_that_goes(void **state)
{
    struct token_waiter waiter = ask("u0");

    (void)state;
    apply_accounts(1, "");
    token_verify(account_named("u0"), &waiter);
    registry_remove(&registry, account_named("u0"));
    expect_verdict(OAUTH_TRANSIENT);
}

static void test_verify_of_an_account_that_changes(void **state)
{
    struct token_waiter waiter = ask("u0");

    (void)state;
    apply_accounts(1, "");
    token_verify(account_named("u0"), &waiter);
    registry_put(&registry, make_record("u0", "{\"refresh_token\":\"rt9\"}"), NULL);
    check_num("asked anew", (long long)open_requests, 1);
    check_num("not told of the old", (long long)told_verdicts, 0);
    respond(200, GOOD);
    expect_verdict(OAUTH_OK);
}

static void test_verify_cancelled(void **state)
{
    struct token_waiter waiter = ask("u0");

    (void)state;
    apply_accounts(1, "");
    token_verify(account_named("u0"), &waiter);
    token_verify_cancel(&waiter);
    token_verify_cancel(&waiter);
    respond(200, GOOD);
    check_num("told", (long long)told_verdicts, 0);
}

static void test_verify_behind_a_closed_gate(void **state)
{
    struct token_waiter waiter = ask("u0");

    (void)state;
    apply_accounts(10, "");
    respond_all(401, APP);
    told_verdicts = 0;
    token_verify(account_named("u5"), &waiter);
    pass(500);
    expect_verdict(OAUTH_APP);
    assert_non_null(strstr(told_verdict, "secret"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_put_adds),
        TEST(test_put_with_a_token_asks_nobody),
        TEST(test_put_of_other_credentials_replaces_the_token),
        TEST(test_put_of_the_same_keeps_a_running_request),
        TEST(test_put_with_another_login_is_another_account),
        TEST(test_put_that_takes_the_login_of_another),
        TEST(test_disabled_and_enabled),
        TEST(test_a_walk_survives_changes),
        TEST(test_a_walk_begins_where_it_is_told),
        TEST(test_verify_asks_in_spite_of_a_valid_token),
        TEST(test_verify_joins_a_request),
        TEST(test_verify_asks_a_parked_account),
        TEST(test_verify_respects_a_throttle),
        TEST(test_an_insistent_one_probes_for_all),
        TEST(test_an_insistent_one_goes_before_the_others),
        TEST(test_verify_a_disabled_account),
        TEST(test_verify_of_an_account_that_goes),
        TEST(test_verify_of_an_account_that_changes),
        TEST(test_verify_cancelled),
        TEST(test_verify_behind_a_closed_gate),
    };

    return world_start() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
