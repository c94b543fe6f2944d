/* What outlives restarts, renamings and old copies: access tokens that the store keeps, and the
 * refresh token that the endpoint gave out last. */
#include "broker/token_world.h"

#include <stdlib.h>

#include "broker/store/stale.h"

#define HOUR 3600000u
#define MINUTE 60000u

/* As the store gives it at a start: with a token that lives on for so long. */
static struct account *start_with_kept(uint64_t left_ms)
{
    struct account_record *record = make_record("u0", "");

    record->kept_expires_ms = clock_wall_ms() + left_ms;
    record->kept_life_ms = HOUR;
    registry_put(&registry, record, NULL);
    tokens_spread(&tokens, 1);
    return account_named("u0");
}

static const unsigned char *binding_of(const struct account *account)
{
    static unsigned char binding[RECORD_BINDING];

    record_binding(account->record, account->record->refresh_token, binding);
    return binding;
}

static int set_up(void **state)
{
    int rc = world_set_up(state);

    world_keeps_tokens();
    return rc;
}

/* --- keeping ---------------------------------------------------------------------- */

static void test_told_to_the_store_together_and_later(void **state)
{
    (void)state;
    apply_accounts(3, "");
    respond_all(200, GOOD);
    check_num("told the relay", (long long)told_tokens, 3);
    check_num("at once", (long long)keep_count, 0);
    pass(6000);
    check_num("later", (long long)keep_count, 1);
    check_num("together", (long long)keeps[0]->count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(keeps[0]->items[i].value, "at");
        check_num("life", (long long)keeps[0]->items[i].life_ms, HOUR);
        check_num("end", (long long)(keeps[0]->items[i].expires_wall_ms / 10000),
                  (long long)((clock_wall_ms() + HOUR - 6000) / 10000));
        assert_memory_equal(keeps[0]->items[i].binding, binding_of(account_named("u0")),
                            RECORD_BINDING);
    }
    finish_keep(STORE_OK);
    pass(MINUTE);
    check_num("once", (long long)keep_count, 0);
}

static void test_a_rotation_takes_it_along(void **state)
{
    unsigned char binding[RECORD_BINDING];

    (void)state;
    apply_accounts(1, "");
    respond(200, ROTATED);
    assert_non_null(saves[0]->access);
    assert_string_equal(saves[0]->access->value, "at");
    assert_string_equal(saves[0]->access->id, "u0");
    record_binding(account_named("u0")->record, "rt2", binding);
    assert_memory_equal(saves[0]->access->binding, binding, RECORD_BINDING);
    finish_save(STORE_OK);
    pass(MINUTE);
    check_num("not once more", (long long)keep_count, 0);
}

static void test_a_rotation_that_was_not_saved(void **state)
{
    (void)state;
    apply_accounts(1, "");
    respond(200, ROTATED);
    finish_save(STORE_FAILED);
    pass(6000);
    check_num("by itself", (long long)keep_count, 1);
}

static void test_a_refused_token_goes_at_once(void **state)
{
    struct account *account;

    (void)state;
    apply_accounts(1, "");
    account = account_named("u0");
    respond(200, GOOD);
    pass(6000);
    finish_keep(STORE_OK);
    token_rejected(account, account->token.serial, "535");
    pass(100);
    check_num("told", (long long)keep_count, 1);
    assert_null(keeps[0]->items[0].value);
    assert_string_equal(keeps[0]->items[0].id, "u0");
    respond(200, GOOD);
    pass(6000);
    check_num("one at a time", (long long)keep_count, 1);
    finish_keep(STORE_OK);
    pass(6000);
    check_num("the new one", (long long)keep_count, 1);
    assert_string_equal(keeps[0]->items[0].value, "at");
}

static void test_a_removed_account_is_not_kept(void **state)
{
    (void)state;
    apply_accounts(2, "");
    respond_all(200, GOOD);
    registry_remove(&registry, account_named("u0"));
    tokens_keep_all(&tokens);
    check_num("items", (long long)keeps[0]->count, 1);
    assert_string_equal(keeps[0]->items[0].id, "u1");
}

static void test_many_in_portions(void **state)
{
    size_t told = 0;

    (void)state;
    conf->oauth_concurrency = 2000;
    apply_accounts(1700, "");
    respond_all(200, GOOD);
    for (size_t rounds = 0; told < 1700 && rounds < 10; rounds++) {
        pass(6000);
        check_num("at once", (long long)keep_count, 1);
        assert_true(keeps[0]->count <= 500);
        told += keeps[0]->count;
        finish_keep(STORE_OK);
    }
    check_num("told", (long long)told, 1700);
}

/* --- after a start ---------------------------------------------------------------- */

static void test_nobody_is_asked_before_it_is_due(void **state)
{
    struct account *account = start_with_kept(50 * MINUTE);

    (void)state;
    assert_true(token_valid(account));
    pass(37 * MINUTE); /* ten minutes and a quarter of them ahead */
    check_num("asked", (long long)request_count, 0);
    check_num("read", (long long)fetch_count, 0);
    pass(4 * MINUTE);
    check_num("due", (long long)request_count, 1);
    respond(200, GOOD);
    check_text("told", slice_of(told_token), "at");
}

static void test_read_when_it_is_wanted(void **state)
{
    struct account *account = start_with_kept(50 * MINUTE);

    (void)state;
    token_wanted(account);
    token_wanted(account);
    check_num("read once", (long long)fetch_count, 1);
    check_num("told", (long long)told_tokens, 0);
    finish_fetch("kept", binding_of(account));
    check_text("told", slice_of(told_token), "kept");
    check_num("asked", (long long)request_count, 0);
    token_wanted(account);
    check_num("read once", (long long)fetch_count, 0);
    check_num("not kept once more", (long long)keep_count, 0);
}

static void test_one_that_cannot_be_read_is_asked_for(void **state)
{
    struct account *account = start_with_kept(50 * MINUTE);

    (void)state;
    token_wanted(account);
    finish_fetch(NULL, NULL);
    check_num("asked", (long long)request_count, 1);
    assert_false(token_valid(account));
    respond(200, GOOD);
    check_text("told", slice_of(told_token), "at");
}

/* The refresh token was edited while we did not run. */
static void test_one_of_another_grant_is_not_used(void **state)
{
    struct account *account = start_with_kept(50 * MINUTE);
    unsigned char binding[RECORD_BINDING];

    (void)state;
    record_binding(account->record, "another", binding);
    token_wanted(account);
    finish_fetch("kept", binding);
    check_num("told", (long long)told_tokens, 0);
    check_num("asked", (long long)request_count, 1);
}

static void test_what_a_binding_hangs_on(void **state)
{
    static const char *const others[] = {"{\"client_id\":\"d\"}", "{\"client_secret\":\"s\"}",
                                         "{\"oauth_token_url\":\"https://other.test/t\"}",
                                         "{\"scope\":\"https://other\"}",
                                         "{\"extra\":{\"a\":\"b\"}}"};
    static const char *const same[] = {"{\"vmta_name\":\"x\"}", "{\"disabled\":true}",
                                       "{\"email\":\"other@x\"}"};
    unsigned char one[RECORD_BINDING], two[RECORD_BINDING];
    struct account_record *record = make_record("u0", "");

    (void)state;
    record_binding(record, "rt", one);
    for (size_t i = 0; i < COUNT_OF(others) + COUNT_OF(same); i++) {
        bool is_other = i < COUNT_OF(others);
        struct account_record *with =
            make_record("u0", is_other ? others[i] : same[i - COUNT_OF(others)]);

        record_binding(with, "rt", two);
        if ((memcmp(one, two, RECORD_BINDING) != 0) != is_other)
            fail_msg("%s", is_other ? others[i] : same[i - COUNT_OF(others)]);
        record_free(with);
    }
    record_binding(record, "rt2", two);
    assert_memory_not_equal(one, two, RECORD_BINDING);
    record_free(record);
}

static void test_one_that_has_ended_or_nearly_so(void **state)
{
    (void)state;
    start_with_kept(5000);
    check_num("asked", (long long)request_count, 1);
}

static void test_one_that_lives_too_long_for_our_clock(void **state)
{
    (void)state;
    start_with_kept(2 * HOUR);
    check_num("asked", (long long)request_count, 1);
}

static void test_one_that_is_due_serves_meanwhile(void **state)
{
    struct account *account = start_with_kept(5 * MINUTE);

    (void)state;
    check_num("asked", (long long)request_count, 1);
    token_wanted(account);
    finish_fetch("kept", binding_of(account));
    check_text("told", slice_of(told_token), "kept");
    respond(503, "");
    check_num("state", account_state(account), ACCOUNT_ACTIVE);
    assert_true(token_valid(account));
}

static void test_a_new_one_comes_while_it_is_read(void **state)
{
    struct account *account = start_with_kept(5 * MINUTE);

    (void)state;
    token_wanted(account);
    respond(200, GOOD);
    finish_fetch("kept", binding_of(account));
    check_text("told", slice_of(told_token), "at");
    assert_string_equal(account->token.value, "at");
}

static void test_the_account_goes_while_it_is_read(void **state)
{
    (void)state;
    token_wanted(start_with_kept(50 * MINUTE));
    registry_remove(&registry, account_named("u0"));
    finish_fetch("kept", NULL);
    check_num("told", (long long)told_tokens, 0);
}

static void test_other_credentials_while_it_is_not_read(void **state)
{
    struct account *account = start_with_kept(50 * MINUTE);

    (void)state;
    registry_put(&registry, make_record("u0", "{\"refresh_token\":\"rt9\"}"), NULL);
    check_num("asked", (long long)request_count, 1);
    assert_false(token_valid(account));
}

/* --- another name ------------------------------------------------------------------ */

static void test_renamed_while_a_request_runs(void **state)
{
    struct account *account;

    (void)state;
    apply_accounts(1, "");
    account = account_named("u0");
    registry_put(&registry, make_record("u0", "{\"email\":\"new@x\"}"), NULL);
    assert_ptr_equal(registry_by_login(&registry, SLICE("new@x")), account);
    assert_null(registry_by_login(&registry, SLICE("u0@x")));
    check_num("open", (long long)open_requests, 1);
    respond(200, ROTATED);
    assert_string_equal(saves[0]->token, "rt2");
    finish_save(STORE_OK);
    assert_string_equal(account->record->refresh_token, "rt2");
    check_text("told", slice_of(told_token), "at");
    check_num("accounts", (long long)registry_count(&registry), 1);
}

/* The store knows it by its new id already: what is saved under the old one goes nowhere. */
static void test_another_id_while_a_token_is_saved(void **state)
{
    struct account *account;

    (void)state;
    apply_accounts(1, "");
    account = account_named("u0");
    respond(200, ROTATED);
    registry_put(&registry, make_record("u0", "{\"account_id\":\"new\"}"), NULL);
    assert_ptr_equal(account_named("new"), account);
    assert_null(registry_by_id(&registry, SLICE("u0")));
    finish_save(STORE_GONE);
    check_text("told", slice_of(told_token), "at");
    pass(2000);
    check_num("again", (long long)save_count, 1);
    assert_string_equal(saves[0]->id, "new");
    assert_string_equal(saves[0]->token, "rt2");
    assert_string_equal(saves[0]->expected, "rt");
    finish_save(STORE_OK);
    assert_string_equal(account->record->refresh_token, "rt2");
    assert_null(account->token.unsaved);
}

static void test_renamed_in_the_file(void **state)
{
    struct account *account;

    (void)state;
    apply_accounts(2, "");
    account = account_named("u0");
    apply("[{\"email\":\"new@x\",\"account_id\":\"u0\",\"provider\":\"outlook\","
          "\"client_id\":\"c\",\"refresh_token\":\"rt\"}]");
    check_num("accounts", (long long)registry_count(&registry), 1);
    assert_ptr_equal(registry_by_login(&registry, SLICE("new@x")), account);
    check_num("open", (long long)open_requests, 1);
    respond(200, GOOD);
    assert_true(token_valid(account));
}

/* Two mailboxes that change places are two others. */
static void test_logins_that_change_places(void **state)
{
    (void)state;
    apply_accounts(2, "");
    apply("[{\"email\":\"u1@x\",\"account_id\":\"u0\",\"provider\":\"outlook\","
          "\"client_id\":\"c\",\"refresh_token\":\"rt\"},"
          "{\"email\":\"u0@x\",\"account_id\":\"u1\",\"provider\":\"outlook\","
          "\"client_id\":\"c\",\"refresh_token\":\"rt\"}]");
    check_num("accounts", (long long)registry_count(&registry), 2);
    assert_ptr_equal(registry_by_login(&registry, SLICE("u1@x")), account_named("u0"));
    assert_ptr_equal(registry_by_login(&registry, SLICE("u0@x")), account_named("u1"));
}

static void test_a_walk_sees_a_renamed_one(void **state)
{
    struct registry_walk walk;
    size_t seen = 0;

    (void)state;
    apply_accounts(3, "");
    registry_walk_begin(&walk, &registry, 0);
    registry_put(&registry, make_record("u0", "{\"email\":\"new@x\"}"), NULL);
    while (registry_walk_next(&walk))
        seen++;
    registry_walk_end(&walk);
    check_num("seen", (long long)seen, 3);
}

/* --- refresh tokens that were replaced ---------------------------------------------- */

static struct account *rotated(void)
{
    apply_accounts(1, "");
    respond(200, ROTATED);
    finish_save(STORE_OK);
    return account_named("u0");
}

static void test_a_replaced_one_is_known(void **state)
{
    struct account *account = rotated();

    (void)state;
    assert_true(token_is_superseded(account, "rt"));
    assert_false(token_is_superseded(account, "rt2"));
    assert_false(token_is_superseded(account, "another"));
}

/* It was written while its replacement was on its way. */
static void test_a_replaced_one_that_comes_back(void **state)
{
    struct account *account = rotated();

    (void)state;
    registry_put(&registry, make_record("u0", ""), NULL);
    pass(2000);
    check_num("saved again", (long long)save_count, 1);
    assert_string_equal(saves[0]->expected, "rt");
    assert_string_equal(saves[0]->token, "rt2");
    finish_save(STORE_OK);
    assert_string_equal(account->record->refresh_token, "rt2");
    assert_true(token_is_superseded(account, "rt"));
}

/* The newer one is dead: the older one may be what an operator has left. */
static void test_a_dead_one_may_be_replaced_by_any(void **state)
{
    struct account *account = rotated();

    (void)state;
    pass(HOUR);
    respond(400, DEAD);
    check_num("state", account_state(account), ACCOUNT_NEEDS_CONSENT);
    assert_false(token_is_superseded(account, "rt"));
    registry_put(&registry, make_record("u0", ""), NULL);
    assert_string_equal(token_newest_refresh_token(account), "rt");
    assert_null(account->token.unsaved);
}

static void test_they_are_bounded(void **state)
{
    uint32_t *digests = NULL, count = 0;
    char text[32];

    (void)state;
    for (int i = 0; i < 100; i++) {
        snprintf(text, sizeof(text), "token %d", i);
        stale_push(&digests, &count, stale_digest(text));
        stale_push(&digests, &count, stale_digest(text));
    }
    check_num("count", count, STALE_MAX);
    assert_true(stale_has(digests, count, stale_digest("token 99")));
    assert_true(stale_has(digests, count, stale_digest("token 76")));
    assert_false(stale_has(digests, count, stale_digest("token 75")));
    free(digests);
}

#define KEPT_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        KEPT_TEST(test_told_to_the_store_together_and_later),
        KEPT_TEST(test_a_rotation_takes_it_along),
        KEPT_TEST(test_a_rotation_that_was_not_saved),
        KEPT_TEST(test_a_refused_token_goes_at_once),
        KEPT_TEST(test_a_removed_account_is_not_kept),
        KEPT_TEST(test_many_in_portions),
        KEPT_TEST(test_nobody_is_asked_before_it_is_due),
        KEPT_TEST(test_read_when_it_is_wanted),
        KEPT_TEST(test_one_that_cannot_be_read_is_asked_for),
        KEPT_TEST(test_one_of_another_grant_is_not_used),
        KEPT_TEST(test_what_a_binding_hangs_on),
        KEPT_TEST(test_one_that_has_ended_or_nearly_so),
        KEPT_TEST(test_one_that_lives_too_long_for_our_clock),
        KEPT_TEST(test_one_that_is_due_serves_meanwhile),
        KEPT_TEST(test_a_new_one_comes_while_it_is_read),
        KEPT_TEST(test_the_account_goes_while_it_is_read),
        KEPT_TEST(test_other_credentials_while_it_is_not_read),
        KEPT_TEST(test_renamed_while_a_request_runs),
        KEPT_TEST(test_another_id_while_a_token_is_saved),
        KEPT_TEST(test_renamed_in_the_file),
        KEPT_TEST(test_logins_that_change_places),
        KEPT_TEST(test_a_walk_sees_a_renamed_one),
        KEPT_TEST(test_a_replaced_one_is_known),
        KEPT_TEST(test_a_replaced_one_that_comes_back),
        KEPT_TEST(test_a_dead_one_may_be_replaced_by_any),
        KEPT_TEST(test_they_are_bounded),
    };

    return world_start() ? cmocka_run_group_tests_name("broker/kept", tests, NULL, NULL) : 1;
}
