/* The life of one account's token. */
#include "broker/token_world.h"

static void test_the_first_token(void **state)
{
    struct account *account;

    (void)state;
    apply_accounts(1, "");
    account = account_named("u0");
    check_num("requests", (long long)request_count, 1);
    assert_string_equal(requests[0].url,
                        "https://login.microsoftonline.com/common/oauth2/v2.0/token");
    assert_string_equal(requests[0].body,
                        "grant_type=refresh_token&client_id=c&refresh_token=rt&"
                        "scope=https%3A%2F%2Foutlook.office.com%2FSMTP.Send%20offline_access");
    assert_false(token_valid(account));
    respond(200, GOOD);
    assert_true(token_valid(account));
    assert_string_equal(told_token, "at");
    check_num("serial", (long long)account->token.serial, 1);
    check_num("state", account_state(account), ACCOUNT_ACTIVE);
}

static void test_the_client_secret_goes_along_where_there_is_one(void **state)
{
    (void)state;
    apply_accounts(1, ",\"client_secret\":\"s&s\",\"extra\":{\"x\":\"y\"},\"scope\":\"sc\"");
    assert_string_equal(requests[0].body,
                        "grant_type=refresh_token&client_id=c&client_secret=s%26s&"
                        "refresh_token=rt&scope=sc&x=y");
}

static void test_refresh_ahead_of_expiry(void **state)
{
    struct account *account;

    (void)state;
    apply_accounts(1, "");
    account = account_named("u0");
    respond(200, GOOD);
    pass(2840000);
    check_num("not yet", (long long)request_count, 1);
    pass(161000);
    check_num("now", (long long)request_count, 2);
    assert_true(token_valid(account)); /* it serves meanwhile */
    respond(200, GOOD);
    check_num("serial", (long long)account->token.serial, 2);
}

static void test_clocks_that_jump(void **state)
{
    struct account *account;

    (void)state;
    apply_accounts(1, "");
    account = account_named("u0");
    respond(200, GOOD);
    wall_offset -= 86400000;
    assert_true(token_valid(account));
    pass(3600000);
    assert_false(token_valid(account)); /* although the wall clock says otherwise */
    respond(200, GOOD);
    wall_offset += 7200000; /* the machine slept */
    assert_false(token_valid(account));
}

static void test_one_request_at_a_time(void **state)
{
    struct account *account;

    (void)state;
    apply_accounts(1, "");
    account = account_named("u0");
    for (int i = 0; i < 50; i++)
        token_wanted(account);
    pass(10000);
    check_num("requests", (long long)request_count, 1);
    respond(200, GOOD);
    for (int i = 0; i < 50; i++)
        token_wanted(account);
    check_num("requests", (long long)request_count, 1);
    check_num("told", (long long)told_tokens, 51);
}

static void test_short_lives_make_no_loop(void **state)
{
    struct account *account;

    (void)state;
    apply_accounts(1, "");
    account = account_named("u0");
    for (int second = 0; second < 30; second++) {
        if (open_requests)
            respond(200, "{\"access_token\":\"at\",\"expires_in\":3}");
        for (int i = 0; i < 10; i++)
            token_wanted(account);
        pass(1000);
    }
    assert_true(request_count <= 31);
}

static void test_transient_failures(void **state)
{
    struct account *account;

    (void)state;
    apply_accounts(1, "");
    account = account_named("u0");
    respond(0, "");
    check_num("state", told_state, ACCOUNT_THROTTLED);
    assert_non_null(strstr(told_text, "cannot connect"));
    assert_non_null(strstr(told_text, "next try in"));
    /* Waiting mail does not make it sooner, and hears so each time. */
    told_states = 0;
    token_wanted(account);
    token_wanted(account);
    check_num("requests", (long long)request_count, 1);
    check_num("told", (long long)told_states, 2);
    for (int i = 0; i < 20; i++) {
        pass(31000);
        respond(503, "");
        assert_true(requests[request_count - 1].fresh);
    }
    pass(31000);
    respond(200, GOOD);
    check_num("state", told_state, ACCOUNT_ACTIVE);
    check_num("failures", account->token.failures, 0);
}

static void test_a_valid_token_outlives_an_outage(void **state)
{
    struct account *account;

    (void)state;
    apply_accounts(1, "");
    account = account_named("u0");
    respond(200, GOOD);
    told_states = 0;
    while (now_ms < account->token.expires_ms - 1000) {
        pass(500);
        if (open_requests)
            respond(500, "");
        check_num("state", account_state(account), ACCOUNT_ACTIVE);
    }
    assert_true(request_count > 5);
    check_num("told", (long long)told_states, 0);
    pass(2000);
    token_wanted(account);
    if (open_requests)
        respond(500, "");
    check_num("state", told_state, ACCOUNT_THROTTLED);
}

static void test_throttling(void **state)
{
    (void)state;
    apply_accounts(1, "");
    respond_with(&requests[0], 429, "Too Many Requests", "120");
    check_num("state", told_state, ACCOUNT_THROTTLED);
    token_wanted(account_named("u0"));
    pass(119000);
    check_num("requests", (long long)request_count, 1);
    pass(17000);
    check_num("requests", (long long)request_count, 2);
}

static void test_a_dead_grant_parks_at_once_without_a_token(void **state)
{
    struct account *account;

    (void)state;
    apply_accounts(2, "");
    account = account_named("u0");
    respond_with(&requests[0], 400, DEAD, "");
    respond_with(&requests[1], 200, GOOD, "");
    check_num("u0", account_state(account), ACCOUNT_NEEDS_CONSENT);
    check_num("u1", account_state(account_named("u1")), ACCOUNT_ACTIVE);
    token_wanted(account);
    check_num("told", told_state, ACCOUNT_NEEDS_CONSENT);
    assert_non_null(strstr(told_text, "sign in again"));
    pass(3500000);
    check_num("no storm", (long long)request_count, 3); /* the other's refresh ahead */
    pass(1100000);
    assert_true(request_count <= 5); /* one probe */
    /* A new grant in the file ends it. */
    apply("[{\"email\":\"u0@x\",\"account_id\":\"u0\",\"provider\":\"outlook\",\"client_id\":\"c\","
          "\"refresh_token\":\"new\"}]");
    check_num("state", account_state(account), ACCOUNT_ACTIVE);
    assert_non_null(strstr(requests[request_count - 1].body, "refresh_token=new"));
}

static void test_a_dead_grant_is_confirmed_with_a_token(void **state)
{
    struct account *account;

    (void)state;
    apply_accounts(1, "");
    account = account_named("u0");
    respond(200, GOOD);
    pass(3001000);
    respond(400, DEAD);
    check_num("not yet", account_state(account), ACCOUNT_ACTIVE);
    pass(59000);
    check_num("waits a minute", (long long)request_count, 2);
    pass(17000);
    respond(400, DEAD);
    check_num("now", account_state(account), ACCOUNT_NEEDS_CONSENT);
}

static void test_a_misunderstood_grant_recovers(void **state)
{
    struct account *account;

    (void)state;
    apply_accounts(1, "");
    account = account_named("u0");
    respond(200, GOOD);
    pass(3001000);
    respond(400, DEAD);
    pass(76000);
    respond(200, GOOD);
    check_num("state", account_state(account), ACCOUNT_ACTIVE);
    check_num("confirming", account->token.confirming, false);
}

static void test_rotation_is_saved_before_use(void **state)
{
    struct account *account;

    (void)state;
    apply_accounts(1, "");
    account = account_named("u0");
    respond(200, ROTATED);
    check_num("told", (long long)told_tokens, 0);
    assert_string_equal(saves[0]->id, "u0");
    assert_string_equal(saves[0]->expected, "rt");
    assert_string_equal(saves[0]->token, "rt2");
    assert_true(tokens_busy(&tokens));
    finish_save(STORE_OK);
    check_num("told", (long long)told_tokens, 1);
    assert_string_equal(account->record->refresh_token, "rt2");
    assert_false(tokens_busy(&tokens));
    pass(3001000);
    assert_non_null(strstr(requests[1].body, "refresh_token=rt2"));
    /* The same one again is no rotation. */
    respond(200, ROTATED);
    check_num("saves", (long long)save_count, 0);
}

static void test_a_failed_save_loses_nothing(void **state)
{
    struct account *account;

    (void)state;
    apply_accounts(1, "");
    account = account_named("u0");
    respond(200, ROTATED);
    finish_save(STORE_FAILED);
    check_num("told", (long long)told_tokens, 1);
    assert_string_equal(account->record->refresh_token, "rt");
    pass(1500);
    assert_string_equal(saves[0]->token, "rt2"); /* tried again */
    assert_string_equal(saves[0]->expected, "rt");
    finish_save(STORE_FAILED);
    /* A reload of the old file does not bring the old one back. */
    apply_accounts(1, "");
    pass(3001000);
    assert_non_null(strstr(requests[1].body, "refresh_token=rt2"));
    while (save_count)
        finish_save(STORE_FAILED);
    respond(200, "{\"access_token\":\"at\",\"expires_in\":3600,\"refresh_token\":\"rt3\"}");
    while (save_count)
        finish_save(STORE_FAILED);
    pass(61000);
    assert_string_equal(saves[0]->token, "rt3");
    finish_save(STORE_OK);
    assert_string_equal(account->record->refresh_token, "rt3");
    pass(120000);
    check_num("saves", (long long)save_count, 0);
}

static void test_a_newer_token_survives_the_save_of_an_older(void **state)
{
    struct account *account;
    struct store_save *older;

    (void)state;
    apply_accounts(1, "");
    account = account_named("u0");
    respond(200, ROTATED);
    finish_save(STORE_FAILED);
    pass(1500);
    older = saves[0]; /* on its way, and takes long */
    pass(3001000);
    respond(200, "{\"access_token\":\"at\",\"expires_in\":3600,\"refresh_token\":\"rt3\"}");
    assert_string_equal(account->token.unsaved, "rt3");
    save_count = 0;
    older->status = STORE_OK;
    older->done(older);
    assert_string_equal(account->record->refresh_token, "rt2");
    assert_string_equal(account->token.unsaved, "rt3");
    pass(61000);
    assert_string_equal(saves[0]->token, "rt3");
    assert_string_equal(saves[0]->expected, "rt2");
    finish_save(STORE_OK);
    assert_null(account->token.unsaved);
}

#define SCOPE ",\"scope\":\"s2\""
#define ROTATED_AGAIN "{\"access_token\":\"at3\",\"expires_in\":3600,\"refresh_token\":\"rt3\"}"

/* Somebody edits the account while its request runs: the endpoint may have replaced
 * the refresh token already, which the edit knows nothing of. */
static void test_an_edit_during_a_request_loses_no_token(void **state)
{
    struct account *account;

    (void)state;
    apply_accounts(1, "");
    account = account_named("u0");
    apply_accounts(1, SCOPE);
    check_num("requests", (long long)request_count, 1);
    assert_true(tokens_busy(&tokens));
    respond(200, ROTATED);
    check_num("told", (long long)told_tokens, 0); /* it is one of the old scope */
    assert_string_equal(saves[0]->expected, "rt");
    assert_string_equal(saves[0]->token, "rt2");
    finish_save(STORE_OK);
    check_num("told", (long long)told_tokens, 0);
    assert_string_equal(account->record->refresh_token, "rt2");
    assert_string_equal(account->record->scope, "s2");
    check_num("requests", (long long)request_count, 2);
    assert_non_null(strstr(requests[1].body, "refresh_token=rt2"));
    assert_non_null(strstr(requests[1].body, "scope=s2"));
    respond(200, GOOD);
    check_num("told", (long long)told_tokens, 1);
    assert_false(account->token.outdated);
}

static void test_an_edit_during_a_request_that_fails(void **state)
{
    (void)state;
    apply_accounts(2, "");
    apply_accounts(2, SCOPE);
    respond_with(&requests[0], 400, DEAD, ""); /* says nothing of the new record */
    check_num("state", account_state(account_named("u0")), ACCOUNT_ACTIVE);
    respond_with(&requests[1], 200, GOOD, "");
    check_num("told", (long long)told_tokens, 0);
    check_num("requests", (long long)request_count, 4);
    respond_all(200, GOOD);
    check_num("told", (long long)told_tokens, 2);
    check_num("saves", (long long)save_count, 0);
}

static void test_an_edit_during_a_save_loses_no_token(void **state)
{
    struct account *account;

    (void)state;
    apply_accounts(1, "");
    account = account_named("u0");
    respond(200, ROTATED);
    apply_accounts(1, SCOPE); /* read before the save was carried out */
    check_num("requests", (long long)request_count, 1);
    finish_save(STORE_OK);
    check_num("told", (long long)told_tokens, 0);
    assert_string_equal(account->record->refresh_token, "rt2");
    assert_non_null(strstr(requests[1].body, "refresh_token=rt2"));
    respond(200, GOOD);
    check_num("told", (long long)told_tokens, 1);
}

static void test_an_edit_keeps_a_token_that_is_in_memory_only(void **state)
{
    struct account *account;

    (void)state;
    apply_accounts(1, "");
    account = account_named("u0");
    respond(200, ROTATED);
    finish_save(STORE_FAILED);
    apply_accounts(1, SCOPE);
    assert_non_null(strstr(requests[1].body, "refresh_token=rt2"));
    respond(200, ROTATED_AGAIN);
    finish_save(STORE_OK);
    assert_string_equal(account->record->refresh_token, "rt3");
    assert_null(account->token.unsaved);
}

static void sign_in(const char *id)
{
    registry_put(&registry, make_record(id, "{\"refresh_token\":\"mine\"}"), NULL);
}

/* The operator's word counts: he has signed in anew. */
static void test_an_edit_of_the_refresh_token_itself(void **state)
{
    (void)state;
    apply_accounts(2, "");
    respond_with(&requests[0], 200, ROTATED, "");
    sign_in("u0");
    sign_in("u1");
    check_num("requests", (long long)request_count, 4);
    check_num("open", (long long)open_requests, 2); /* of the old ones none */
    assert_non_null(strstr(requests[2].body, "refresh_token=mine"));
    finish_save(STORE_CHANGED);
    assert_string_equal(account_named("u0")->record->refresh_token, "mine");
    respond_all(200, GOOD);
}

/* An outdated request, and the operator changes his mind twice more. */
static void test_edits_in_a_row(void **state)
{
    struct account *account;

    (void)state;
    apply_accounts(1, "");
    account = account_named("u0");
    apply_accounts(1, SCOPE);
    apply_accounts(1, "");
    respond(200, ROTATED);
    apply_accounts(1, SCOPE);
    finish_save(STORE_FAILED); /* the disk is full: asked with it all the same */
    assert_string_equal(account->token.unsaved, "rt2");
    assert_non_null(strstr(requests[1].body, "refresh_token=rt2"));
    sign_in("u0");
    assert_null(account->token.unsaved);
    assert_false(account->token.outdated);
    respond(200, GOOD);
    check_num("told", (long long)told_tokens, 1);
}

/* One with another id and login is another account. */
static void test_a_save_that_outlives_its_account_is_read_back(void **state)
{
    (void)state;
    apply_accounts(1, "");
    respond(200, ROTATED);
    apply("[]");
    apply("[{\"email\":\"other@x\",\"account_id\":\"u0\",\"provider\":\"outlook\","
          "\"client_id\":\"c\",\"refresh_token\":\"rt\"}]");
    check_num("reloads", (long long)store_changes, 0);
    finish_save(STORE_OK);
    check_num("reloads", (long long)store_changes, 1);
}

static void test_an_edited_file_is_loaded_again(void **state)
{
    (void)state;
    apply_accounts(1, "");
    respond(200, ROTATED);
    finish_save(STORE_CHANGED);
    check_num("reloads", (long long)store_changes, 1);
    check_num("told", (long long)told_tokens, 1); /* mail flows meanwhile */
}

static void test_removal_while_things_are_under_way(void **state)
{
    (void)state;
    apply_accounts(2, "");
    respond_with(&requests[0], 200, ROTATED, "");
    apply("[]"); /* one is saving, one is asking */
    check_num("accounts", (long long)registry_count(&registry), 0);
    check_num("open", (long long)open_requests, 0);
    check_num("saves", (long long)save_count, 1);
    finish_save(STORE_OK);
    check_num("told", (long long)told_tokens, 0);
}

static void test_a_rejected_token_is_replaced_once(void **state)
{
    struct account *account;

    (void)state;
    apply_accounts(1, "");
    account = account_named("u0");
    respond(200, GOOD);
    token_rejected(account, 1, "535 5.7.8 no");
    assert_false(token_valid(account));
    check_num("forced", (long long)request_count, 2);
    token_rejected(account, 1, "535 5.7.8 no"); /* the other connection's */
    check_num("once", (long long)request_count, 2);
    respond(200, GOOD);
    check_num("state", account_state(account), ACCOUNT_ACTIVE);
    token_rejected(account, 1, "late");
    assert_true(token_valid(account));
    /* The fresh one, too: it is not the token. */
    token_rejected(account, 2, "535 5.7.8 no");
    check_num("state", account_state(account), ACCOUNT_MISCONFIGURED);
    assert_non_null(strstr(told_text, "535 5.7.8 no"));
    token_wanted(account);
    pass(890000);
    check_num("rests", (long long)request_count, 2);
    pass(20000);
    check_num("tries", (long long)request_count, 3);
    respond(200, GOOD);
    check_num("state", account_state(account), ACCOUNT_ACTIVE);
    token_rejected(account, 3, "535 5.7.8 no");
    check_num("state", account_state(account), ACCOUNT_MISCONFIGURED);
    pass(1790000);
    check_num("rests longer", (long long)request_count, 3);
}

static void test_a_rejection_long_after_is_the_first_again(void **state)
{
    struct account *account;

    (void)state;
    apply_accounts(1, "");
    account = account_named("u0");
    respond(200, GOOD);
    token_rejected(account, 1, "no");
    respond(200, GOOD);
    pass(3001000); /* its successor comes in time */
    respond(200, GOOD);
    token_rejected(account, 3, "no");
    check_num("state", account_state(account), ACCOUNT_ACTIVE);
    check_num("forced", (long long)open_requests, 1);
}

static void test_disabled_accounts_ask_for_nothing(void **state)
{
    struct account *account;

    (void)state;
    apply_accounts(1, ",\"disabled\":true");
    account = account_named("u0");
    check_num("requests", (long long)request_count, 0);
    check_num("state", account_state(account), ACCOUNT_DISABLED);
    token_wanted(account);
    check_num("told", told_state, ACCOUNT_DISABLED);
    check_num("requests", (long long)request_count, 0);
    apply_accounts(1, "");
    check_num("requests", (long long)request_count, 1);
    check_num("state", account_state(account), ACCOUNT_ACTIVE);
    apply_accounts(1, ",\"disabled\":true"); /* while it asks */
    respond(200, GOOD);
    check_num("state", account_state(account), ACCOUNT_DISABLED);
    pass(4000000);
    check_num("requests", (long long)request_count, 1);
}

static void test_a_providers_hold_outlives_a_token(void **state)
{
    struct account *account;

    (void)state;
    apply_accounts(1, "");
    account = account_named("u0");
    account_hold(account, HOLD_PROVIDER, ACCOUNT_PARKED, clock_wall_ms() + 60000, "550 5.4.5");
    respond(200, GOOD);
    check_num("parked", told_state, ACCOUNT_PARKED);
    pass(59000);
    check_num("parked", account_state(account), ACCOUNT_PARKED);
    pass(2000);
    check_num("over", told_state, ACCOUNT_ACTIVE);
}

static void test_draining(void **state)
{
    struct account *all[3];

    (void)state;
    conf->oauth_concurrency = 1;
    apply_accounts(3, "");
    all[0] = account_named("u0");
    all[1] = account_named("u1");
    all[2] = account_named("u2");
    pass(100);
    tokens_set_stage(&tokens, TOKENS_DRAIN);
    assert_true(tokens_busy(&tokens));
    respond(200, ROTATED);
    assert_true(tokens_busy(&tokens));
    finish_save(STORE_OK);
    assert_false(tokens_busy(&tokens));
    pass(10000);
    check_num("requests", (long long)request_count, 1);
    for (size_t i = 0; i < COUNT_OF(all); i++) /* for mail that waits */
        token_wanted(all[i]);
    check_num("requests", (long long)request_count, 2);
    tokens_set_stage(&tokens, TOKENS_STOP);
    respond(200, GOOD);
    check_num("requests", (long long)request_count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_first_token),
        TEST(test_the_client_secret_goes_along_where_there_is_one),
        TEST(test_refresh_ahead_of_expiry),
        TEST(test_clocks_that_jump),
        TEST(test_one_request_at_a_time),
        TEST(test_short_lives_make_no_loop),
        TEST(test_transient_failures),
        TEST(test_a_valid_token_outlives_an_outage),
        TEST(test_throttling),
        TEST(test_a_dead_grant_parks_at_once_without_a_token),
        TEST(test_a_dead_grant_is_confirmed_with_a_token),
        TEST(test_a_misunderstood_grant_recovers),
        TEST(test_rotation_is_saved_before_use),
        TEST(test_a_failed_save_loses_nothing),
        TEST(test_a_newer_token_survives_the_save_of_an_older),
        TEST(test_an_edit_during_a_request_loses_no_token),
        TEST(test_an_edit_during_a_request_that_fails),
        TEST(test_an_edit_during_a_save_loses_no_token),
        TEST(test_an_edit_keeps_a_token_that_is_in_memory_only),
        TEST(test_an_edit_of_the_refresh_token_itself),
        TEST(test_edits_in_a_row),
        TEST(test_a_save_that_outlives_its_account_is_read_back),
        TEST(test_an_edited_file_is_loaded_again),
        TEST(test_removal_while_things_are_under_way),
        TEST(test_a_rejected_token_is_replaced_once),
        TEST(test_a_rejection_long_after_is_the_first_again),
        TEST(test_disabled_accounts_ask_for_nothing),
        TEST(test_a_providers_hold_outlives_a_token),
        TEST(test_draining),
    };

    if (!world_start())
        return 1;
    return cmocka_run_group_tests_name("broker/token", tests, NULL, NULL);
}
