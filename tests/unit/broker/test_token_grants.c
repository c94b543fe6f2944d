/* Tokens that no person stands behind, and the clock that judges what is signed. */
#include "broker/token_world.h"

#include <sodium.h>

#include "broker/key_maker.h"
#include "broker/oauth/verify.h"

/* The world's clock begins at 1700001000 s: 2023-11-14T22:30:00Z. */
#define TWO_HOURS_ON "Wed, 15 Nov 2023 00:30:00 GMT"
#define SHORT_LIVED                                                                                \
    "{\"error\":\"invalid_grant\",\"error_description\":\"Invalid JWT: Token must be a "           \
    "short-lived token (60 minutes) and in a reasonable timeframe.\"}"
#define NO_DELEGATION                                                                              \
    "{\"error\":\"unauthorized_client\",\"error_description\":\"Client is unauthorized to "        \
    "retrieve access tokens using this method\"}"
#define NO_MAILBOX                                                                                 \
    "{\"error\":\"invalid_grant\",\"error_description\":\"Invalid email or User ID\"}"

static struct made_key made;

static void apply_service_accounts(const char *const *emails, size_t count)
{
    char *memory = malloc(count * 4096);
    struct text json;

    text_init(&json, memory, count * 4096);
    for (size_t i = 0; i < count; i++)
        text_addf(&json,
                  "%s{\"email\":\"%s\",\"account_id\":\"u%zu\",\"provider\":\"gmail\","
                  "\"service_account\":{\"client_email\":\"sa@p.example\",\"private_key\":\"%s\"}}",
                  i ? "," : "[", emails[i], i, made.json_pem);
    text_add_char(&json, ']');
    apply(memory);
    free(memory);
}

static long long claim(const char *body, const char *name)
{
    const char *payload = strchr(strstr(body, "ssertion=ey"), '.') + 1;
    unsigned char octets[2048];
    size_t len;
    long long value;
    json_t *claims;

    assert_int_equal(sodium_base642bin(octets, sizeof(octets), payload, strcspn(payload, "."), NULL,
                                       &len, NULL, sodium_base64_VARIANT_URLSAFE_NO_PADDING),
                     0);
    claims = json_loadb((const char *)octets, len, 0, NULL);
    value = json_integer_value(json_object_get(claims, name));
    json_decref(claims);
    return value;
}

static void test_no_refresh_token_is_kept(void **state)
{
    struct account *account;

    (void)state;
    apply_accounts(1, ",\"client_secret\":\"s\",\"tenant\":\"t.example\","
                      "\"grant\":\"client_credentials\"");
    account = account_named("u0");
    assert_non_null(strstr(requests[0].body, "grant_type=client_credentials"));
    respond(200, ROTATED);
    assert_true(token_valid(account)); /* and nothing was to be saved */
    check_num("saves", (long long)save_count, 0);
    assert_string_equal(account->record->refresh_token, "rt");
}

static void test_nobody_can_consent(void **state)
{
    static const char *const emails[] = {"gone@a.example"};

    (void)state;
    apply_service_accounts(emails, 1);
    respond(400, NO_MAILBOX);
    check_num("state", told_state, ACCOUNT_MISCONFIGURED);
    assert_non_null(strstr(told_text, "a token for this mailbox: invalid_grant: Invalid email"));
    assert_null(strstr(told_text, "sign in again"));
}

/* A mailbox that is not there says nothing of the service account's others; a domain that
 * does not allow it says nothing of other domains. */
static void test_what_fails_together(void **state)
{
    static const char *const emails[] = {"u@a.example", "v@a.example", "w@b.example"};

    (void)state;
    apply_service_accounts(emails, 3);
    check_num("asked", (long long)request_count, 3);
    respond_with(&requests[0], 400, NO_MAILBOX, "");
    respond_with(&requests[1], 200, GOOD, "");
    respond_with(&requests[2], 200, GOOD, "");
    check_num("none is closed", (long long)tokens.gates_closed[GATE_APP], 0);
    for (size_t i = 0; i < 3; i++)
        token_reset(account_named(i == 0 ? "u0" : i == 1 ? "u1" : "u2"), false, NULL);
    respond_with(&requests[3], 401, NO_DELEGATION, "");
    respond_with(&requests[4], 401, NO_DELEGATION, "");
    check_num("of the domain", (long long)tokens.gates_closed[GATE_APP], 1);
    respond_with(&requests[5], 200, GOOD, "");
    check_num("still", (long long)tokens.gates_closed[GATE_APP], 1);
    assert_true(token_valid(account_named("u2")));
}

static void test_the_endpoint_s_time_counts(void **state)
{
    static const char *const emails[] = {"u@a.example"};
    struct account *account;

    (void)state;
    apply_service_accounts(emails, 1);
    account = account_named("u0");
    check_num("by our clock", claim(requests[0].body, "iat"), 1700000970);
    respond_date = TWO_HOURS_ON;
    respond(400, SHORT_LIVED);
    check_num("it passes", told_state, ACCOUNT_THROTTLED);
    pass(3000);
    check_num("again", (long long)request_count, 2);
    assert_in_range(claim(requests[1].body, "iat"), 1700000970 + 7200, 1700000970 + 7205);
    respond_date = "";
    respond(200, GOOD);
    assert_true(token_valid(account));
    assert_ptr_equal(clocks_worst(&tokens.clocks), account->token.gates[GATE_ENDPOINT]->clock);
}

/* A token's end is in the endpoint's time: setting our clock right moves nothing. */
static void test_expiry_is_judged_by_the_endpoint_s_time(void **state)
{
    struct account *account;

    (void)state;
    apply_accounts(1, "");
    account = account_named("u0");
    respond_date = TWO_HOURS_ON;
    respond(200, GOOD);
    check_num("ends by our clock", (long long)(token_expires_wall_ms(account) - clock_wall_ms()),
              3600000);
    wall_offset += 7200000; /* somebody sets it right; the next answers say so */
    respond_date = "Wed, 15 Nov 2023 00:30:00 GMT";
    token_wanted(account);
    while (open_requests)
        respond(200, GOOD);
    host_clock_sample(account->token.gates[GATE_ENDPOINT]->clock, slice_of(respond_date),
                      clock_wall_ms());
    host_clock_sample(account->token.gates[GATE_ENDPOINT]->clock, slice_of(respond_date),
                      clock_wall_ms());
    assert_true(token_valid(account));
}

static void on_done(struct verify *verify)
{
    *(int *)verify->owner += 1;
}

/* Who adds an account from a host with a wrong clock does not hear of it. */
static void test_verification_with_a_wrong_clock(void **state)
{
    static const char *const emails[] = {"u@a.example"};
    int done = 0;
    struct verifier *verifier = verifier_new(&world_loop, NULL, &tokens.clocks);
    struct verify verify = {.owner = &done, .done = on_done, .give_up_ms = UINT64_MAX};

    (void)state;
    verifier_configure(verifier, conf);
    apply_service_accounts(emails, 1);
    respond(200, GOOD);
    verify.record = account_named("u0")->record;
    assert_true(verify_begin(verifier, &verify));
    respond_date = TWO_HOURS_ON;
    respond(400, SHORT_LIVED);
    check_num("once more", (long long)open_requests, 1);
    respond(200, GOOD);
    pass(500);
    check_num("done", done, 1);
    check_num("class", verify.class_, OAUTH_OK);
    token_grant_clear(&verify.grant);
    verifier_free(verifier);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_no_refresh_token_is_kept),
        TEST(test_nobody_can_consent),
        TEST(test_what_fails_together),
        TEST(test_the_endpoint_s_time_counts),
        TEST(test_expiry_is_judged_by_the_endpoint_s_time),
        TEST(test_verification_with_a_wrong_clock),
    };
    int failed;

    if (!world_start())
        return 1;
    key_make(&made, 2048, 1893456000);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    key_free(&made);
    return failed;
}
