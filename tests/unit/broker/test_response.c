/* Answers of token endpoints: each row of the table in PROVIDERS.md section 6
 * and of the lists in 3.1 and 3.2, as the providers word them. */
#include "check.h"

#include <stdio.h>

#include "broker/oauth/response.h"

#define NOW_MS 1767225600000u /* 2026-01-01T00:00:00Z */

struct row {
    const char *name;
    long status;
    const char *body;
    enum oauth_class wants;
    const char *error;
    unsigned aadsts;
};

/* The form of Microsoft's errors. */
#define MS(error, number)                                                                          \
    "{\"error\":\"" error "\",\"error_description\":\"AADSTS" #number                              \
    ": Words. Trace ID: 11 Correlation ID: 22 Timestamp: 2026-01-01 00:00:00Z\","                  \
    "\"error_codes\":[" #number "],\"timestamp\":\"2026-01-01 00:00:00Z\"}"
/* The same where only the text has the number. */
#define MS_TEXT(error, number)                                                                     \
    "{\"error\":\"" error "\",\"error_description\":\"AADSTS" #number ": Words.\"}"

static const struct row rows[] = {
    /* transient */
    {"500", 500, "", OAUTH_TRANSIENT, "", 0},
    {"502 page", 502, "<html><body>Bad Gateway</body></html>", OAUTH_TRANSIENT, "", 0},
    {"503 90033", 503, MS("temporarily_unavailable", 90033), OAUTH_TRANSIENT,
     "temporarily_unavailable", 90033},
    {"server_error", 400, "{\"error\":\"server_error\"}", OAUTH_TRANSIENT, "server_error", 0},
    {"temporarily_unavailable", 400, "{\"error\":\"temporarily_unavailable\"}", OAUTH_TRANSIENT,
     "temporarily_unavailable", 0},
    {"internal_failure", 400, "{\"error\":\"internal_failure\"}", OAUTH_TRANSIENT,
     "internal_failure", 0},
    {"408", 408, "", OAUTH_TRANSIENT, "", 0},
    {"50033", 400, MS("invalid_grant", 50033), OAUTH_TRANSIENT, "invalid_grant", 50033},
    {"90006", 400, MS("invalid_request", 90006), OAUTH_TRANSIENT, "invalid_request", 90006},
    {"90012", 400, MS("invalid_request", 90012), OAUTH_TRANSIENT, "invalid_request", 90012},
    {"90024", 400, MS("invalid_request", 90024), OAUTH_TRANSIENT, "invalid_request", 90024},
    {"70012", 400, MS("invalid_grant", 70012), OAUTH_TRANSIENT, "invalid_grant", 70012},
    {"50087", 400, MS("invalid_grant", 50087), OAUTH_TRANSIENT, "invalid_grant", 50087},
    {"90090", 400, MS_TEXT("invalid_request", 90090), OAUTH_TRANSIENT, "invalid_request", 90090},
    /* throttled */
    {"429 text", 429, "Too Many Requests", OAUTH_THROTTLED, "", 0},
    {"429 json", 429, "{\"error\":\"slow_down\"}", OAUTH_THROTTLED, "slow_down", 0},
    {"429 invalid_grant", 429, MS("invalid_grant", 70008), OAUTH_THROTTLED, "invalid_grant", 70008},
    {"403 page", 403, "<HTML><TITLE>User Rate Limit Exceeded</TITLE></HTML>", OAUTH_THROTTLED, "",
     0},
    {"403 json", 403, "{\"error\":\"rate_limit_exceeded\"}", OAUTH_THROTTLED, "rate_limit_exceeded",
     0},
    {"403 quota", 403,
     "{\"error\":{\"code\":403,\"message\":\"Quota exceeded\",\"status\":\"RESOURCE_EXHAUSTED\"}}",
     OAUTH_THROTTLED, "RESOURCE_EXHAUSTED", 0},
    {"50196", 400, MS("invalid_grant", 50196), OAUTH_THROTTLED, "invalid_grant", 50196},
    {"50196 in the text", 400, MS_TEXT("invalid_grant", 50196), OAUTH_THROTTLED, "invalid_grant",
     50196},
    {"50196 behind another", 400, "{\"error\":\"invalid_grant\",\"error_codes\":[70000,50196]}",
     OAUTH_THROTTLED, "invalid_grant", 70000},
    {"90055", 400, MS("temporarily_unavailable", 90055), OAUTH_THROTTLED, "temporarily_unavailable",
     90055},
    /* our clock */
    {"700024", 401, MS("invalid_client", 700024), OAUTH_TRANSIENT, "invalid_client", 700024},
    {"short-lived", 400,
     "{\"error\":\"invalid_grant\",\"error_description\":\"Invalid JWT: Token must be a "
     "short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values "
     "in the JWT claim.\"}",
     OAUTH_TRANSIENT, "invalid_grant", 0},
    /* the account */
    {"no such mailbox", 400,
     "{\"error\":\"invalid_grant\",\"error_description\":\"Invalid email or User ID\"}",
     OAUTH_CONSENT, "invalid_grant", 0},
    {"invalid_grant google", 400,
     "{\"error\":\"invalid_grant\",\"error_description\":\"Token has been expired or revoked.\"}",
     OAUTH_CONSENT, "invalid_grant", 0},
    {"invalid_rapt", 400,
     "{\"error\":\"invalid_grant\",\"error_subtype\":\"invalid_rapt\","
     "\"error_description\":\"reauth related error (invalid_rapt)\"}",
     OAUTH_CONSENT, "invalid_grant", 0},
    {"interaction_required", 400, MS("interaction_required", 50076), OAUTH_CONSENT,
     "interaction_required", 50076},
    {"consent_required", 400, "{\"error\":\"consent_required\"}", OAUTH_CONSENT, "consent_required",
     0},
    {"login_required", 400, "{\"error\":\"login_required\"}", OAUTH_CONSENT, "login_required", 0},
    {"admin_policy_enforced", 400, "{\"error\":\"admin_policy_enforced\"}", OAUTH_CONSENT,
     "admin_policy_enforced", 0},
    {"70000", 400, MS("invalid_grant", 70000), OAUTH_CONSENT, "invalid_grant", 70000},
    {"70008", 400, MS("invalid_grant", 70008), OAUTH_CONSENT, "invalid_grant", 70008},
    {"700082", 400, MS("invalid_grant", 700082), OAUTH_CONSENT, "invalid_grant", 700082},
    {"50173", 400, MS("invalid_grant", 50173), OAUTH_CONSENT, "invalid_grant", 50173},
    {"70043", 400, MS("invalid_grant", 70043), OAUTH_CONSENT, "invalid_grant", 70043},
    {"50057", 400, MS("invalid_grant", 50057), OAUTH_CONSENT, "invalid_grant", 50057},
    {"50034", 400, MS("invalid_grant", 50034), OAUTH_CONSENT, "invalid_grant", 50034},
    {"65001", 400, MS("invalid_grant", 65001), OAUTH_CONSENT, "invalid_grant", 65001},
    {"50079", 400, MS("interaction_required", 50079), OAUTH_CONSENT, "interaction_required", 50079},
    {"50074", 400, MS("invalid_grant", 50074), OAUTH_CONSENT, "invalid_grant", 50074},
    {"53003", 400, MS("invalid_grant", 53003), OAUTH_CONSENT, "invalid_grant", 53003},
    {"50105", 400, MS("invalid_grant", 50105), OAUTH_CONSENT, "invalid_grant", 50105},
    {"530035", 400, MS("access_denied", 530035), OAUTH_CONSENT, "access_denied", 530035},
    /* the application */
    {"invalid_client google", 401,
     "{\"error\":\"invalid_client\",\"error_description\":\"Unauthorized\"}", OAUTH_APP,
     "invalid_client", 0},
    {"unauthorized_client", 401, "{\"error\":\"unauthorized_client\"}", OAUTH_APP,
     "unauthorized_client", 0},
    {"JWT signature", 400,
     "{\"error\":\"invalid_grant\",\"error_description\":\"Invalid JWT Signature.\"}", OAUTH_APP,
     "invalid_grant", 0},
    {"JWT audience", 400,
     "{\"error\":\"invalid_grant\",\"error_description\":\"Invalid JWT: Failed audience check. "
     "The right audience is https://oauth2.googleapis.com/token\"}",
     OAUTH_APP, "invalid_grant", 0},
    {"service account gone", 400,
     "{\"error\":\"invalid_grant\",\"error_description\":\"Invalid grant: account not found\"}",
     OAUTH_APP, "invalid_grant", 0},
    {"no delegation", 401,
     "{\"error\":\"unauthorized_client\",\"error_description\":\"Client is unauthorized to "
     "retrieve access tokens using this method, or client not authorized for any of the scopes "
     "requested.\"}",
     OAUTH_APP, "unauthorized_client", 0},
    {"org_internal", 403, "{\"error\":\"org_internal\"}", OAUTH_APP, "org_internal", 0},
    {"7000216", 401, MS("invalid_client", 7000216), OAUTH_APP, "invalid_client", 7000216},
    {"700021", 401, MS("invalid_client", 700021), OAUTH_APP, "invalid_client", 700021},
    {"700023", 401, MS("invalid_client", 700023), OAUTH_APP, "invalid_client", 700023},
    {"50027", 401, MS("invalid_client", 50027), OAUTH_APP, "invalid_client", 50027},
    {"5002738", 401, MS("invalid_client", 5002738), OAUTH_APP, "invalid_client", 5002738},
    {"500011", 400, MS("invalid_resource", 500011), OAUTH_APP, "invalid_resource", 500011},
    {"1002012", 400, MS("invalid_scope", 1002012), OAUTH_APP, "invalid_scope", 1002012},
    {"28000", 400, MS("invalid_grant", 28000), OAUTH_APP, "invalid_grant", 28000},
    {"deleted_client", 401, "{\"error\":\"deleted_client\"}", OAUTH_APP, "deleted_client", 0},
    {"disabled_client", 401, "{\"error\":\"disabled_client\"}", OAUTH_APP, "disabled_client", 0},
    {"7000215", 401, MS("invalid_client", 7000215), OAUTH_APP, "invalid_client", 7000215},
    {"7000222", 401, MS("invalid_client", 7000222), OAUTH_APP, "invalid_client", 7000222},
    {"700027", 401, MS("invalid_client", 700027), OAUTH_APP, "invalid_client", 700027},
    {"7000218", 401, MS("invalid_client", 7000218), OAUTH_APP, "invalid_client", 7000218},
    {"700025", 401, MS("invalid_client", 700025), OAUTH_APP, "invalid_client", 700025},
    {"700016", 400, MS("unauthorized_client", 700016), OAUTH_APP, "unauthorized_client", 700016},
    {"7000112", 401, MS("unauthorized_client", 7000112), OAUTH_APP, "unauthorized_client", 7000112},
    {"90002", 400, MS("invalid_request", 90002), OAUTH_APP, "invalid_request", 90002},
    {"70011", 400, MS("invalid_scope", 70011), OAUTH_APP, "invalid_scope", 70011},
    {"invalid_scope", 400, "{\"error\":\"invalid_scope\"}", OAUTH_APP, "invalid_scope", 0},
    {"invalid_request", 400, "{\"error\":\"invalid_request\"}", OAUTH_APP, "invalid_request", 0},
    {"unsupported_grant_type", 400, "{\"error\":\"unsupported_grant_type\"}", OAUTH_APP,
     "unsupported_grant_type", 0},
    {"900144", 400, MS("invalid_request", 900144), OAUTH_APP, "invalid_request", 900144},
    {"9001023", 400, MS("invalid_grant", 9001023), OAUTH_APP, "invalid_grant", 9001023},
    /* what is no answer of a token endpoint */
    {"200 without token", 200, "{\"token_type\":\"Bearer\",\"expires_in\":3600}", OAUTH_TRANSIENT,
     "", 0},
    {"200 empty", 200, "", OAUTH_TRANSIENT, "", 0},
    {"200 page", 200, "<!doctype html><p>Please log in to the WiFi</p>", OAUTH_TRANSIENT, "", 0},
    {"200 cut", 200, "{\"access_token\":\"ya29.abc", OAUTH_TRANSIENT, "", 0},
    {"200 array", 200, "[1,2]", OAUTH_TRANSIENT, "", 0},
    {"302", 302, "", OAUTH_TRANSIENT, "", 0},
    {"404 page", 404, "<html>Not Found</html>", OAUTH_TRANSIENT, "", 0},
    {"unknown error", 400, "{\"error\":\"something_new\"}", OAUTH_TRANSIENT, "something_new", 0},
    {"error of a wrong type", 400, "{\"error\":7}", OAUTH_TRANSIENT, "", 0},
};

static void read_answer(struct oauth_response *response, long status, const char *body,
                        const char *retry_after)
{
    char *exact = exact_copy(slice_of(body));
    struct oauth_answer answer = {.status = status,
                                  .body = {exact, strlen(body)},
                                  .retry_after = slice_of(retry_after),
                                  .wall_ms = NOW_MS};

    oauth_response_read(response, &answer);
    free(exact);
}

static void test_classes(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct oauth_response got;

        read_answer(&got, rows[i].status, rows[i].body, "");
        if (got.class_ != rows[i].wants)
            fail_msg("%s: got %s, wanted %s", rows[i].name, oauth_class_names[got.class_],
                     oauth_class_names[rows[i].wants]);
        check_text(rows[i].name, slice_of(got.error), rows[i].error);
        check_num(rows[i].name, got.aadsts, rows[i].aadsts);
        assert_null(got.access_token);
        assert_null(got.refresh_token);
        if (!got.text[0])
            fail_msg("%s: no text", rows[i].name);
        for (const char *c = got.text; *c; c++) {
            if (*c < 32 || *c > 126)
                fail_msg("%s: unprintable text", rows[i].name);
        }
        oauth_response_clear(&got);
    }
}

static void test_clock_errors_are_told_apart(void **state)
{
    struct oauth_response got;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        bool clock =
            strcmp(rows[i].name, "700024") == 0 || strcmp(rows[i].name, "short-lived") == 0;

        read_answer(&got, rows[i].status, rows[i].body, "");
        check_num(rows[i].name, got.clock, clock);
        oauth_response_clear(&got);
    }
}

static void test_assertions_are_masked(void **state)
{
    struct oauth_response got;

    (void)state;
    read_answer(&got, 400,
                "{\"error\":\"invalid_request\",\"error_description\":\"bad assertion "
                "eyJhbGciOiJQUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJjaWQifQ.c2lnbmF0dXJl in request, "
                "eyJshort\"}",
                "");
    assert_null(strstr(got.text, "eyJhb"));
    assert_null(strstr(got.text, "c2lnb"));
    assert_non_null(strstr(got.text, "* in request, eyJshort"));
    oauth_response_clear(&got);
}

static const struct {
    const char *name, *body, *access, *refresh;
    uint64_t life_ms;
} good[] = {
    {"google",
     "{\"access_token\":\"ya29.a-_.~/+=\",\"expires_in\":3599,\"scope\":\"x\","
     "\"token_type\":\"Bearer\"}",
     "ya29.a-_.~/+=", NULL, 3599000},
    {"microsoft",
     "{\"token_type\":\"Bearer\",\"expires_in\":4242,\"ext_expires_in\":4242,"
     "\"access_token\":\"eyJ0\",\"refresh_token\":\"0.AX\"}",
     "eyJ0", "0.AX", 4242000},
    {"quoted life", "{\"access_token\":\"a\",\"expires_in\":\"3600\"}", "a", NULL, 3600000},
    {"no life", "{\"access_token\":\"a\"}", "a", NULL, 0},
    {"negative life", "{\"access_token\":\"a\",\"expires_in\":-5}", "a", NULL, 0},
    {"endless life", "{\"access_token\":\"a\",\"expires_in\":1e300}", "a", NULL, 2592000000},
    {"broken life", "{\"access_token\":\"a\",\"expires_in\":3.5}", "a", NULL, 3500},
    {"lower case type", "{\"access_token\":\"a\",\"token_type\":\"bearer\"}", "a", NULL, 0},
    {"empty refresh token", "{\"access_token\":\"a\",\"refresh_token\":\"\"}", "a", NULL, 0},
    {"null refresh token", "{\"access_token\":\"a\",\"refresh_token\":null}", "a", NULL, 0},
};

static void test_successes(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        struct oauth_response got;

        read_answer(&got, 200, good[i].body, "");
        check_num(good[i].name, got.class_, OAUTH_OK);
        check_text(good[i].name, slice_of(got.access_token), good[i].access);
        check_text(good[i].name, slice_of(got.refresh_token), good[i].refresh);
        check_num(good[i].name, (long long)got.expires_ms, (long long)good[i].life_ms);
        oauth_response_clear(&got);
        assert_null(got.access_token);
    }
}

static void test_tokens_that_cannot_be_used(void **state)
{
    static const char *const bodies[] = {
        "{\"access_token\":\"a b\"}",
        "{\"access_token\":\"a\\u0001auth=Bearer x\"}",
        "{\"access_token\":\"a\\r\\nRSET\"}",
        "{\"access_token\":\"\\u00e4\"}",
        "{\"access_token\":\"\"}",
        "{\"access_token\":7}",
        "{\"access_token\":\"a\",\"token_type\":\"mac\"}",
        "{\"access_token\":\"a\",\"refresh_token\":\"b c\"}",
    };
    struct oauth_response got;
    char *body;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bodies); i++) {
        read_answer(&got, 200, bodies[i], "");
        check_num(bodies[i], got.class_, OAUTH_TRANSIENT);
        assert_null(got.access_token);
        assert_null(got.refresh_token);
        oauth_response_clear(&got);
    }
    for (int over = 0; over < 2; over++) {
        assert_true(asprintf(&body, "{\"access_token\":\"%0*d\"}", 16384 + over, 0) > 0);
        read_answer(&got, 200, body, "");
        check_num("length", got.class_, over ? OAUTH_TRANSIENT : OAUTH_OK);
        oauth_response_clear(&got);
        free(body);
    }
}

static void test_retry_after(void **state)
{
    static const struct {
        const char *value;
        uint64_t ms;
    } values[] = {
        {"60", 60000},
        {" 7 ", 7000},
        {"0", 0},
        {"", 0},
        {"-5", 0},
        {"soon", 0},
        {"99999999999999999999999", 0},
        {"9999999999", 86400000},
        {"Thu, 01 Jan 2026 00:02:00 GMT", 120000},
        {"Thursday, 01-Jan-26 00:00:30 GMT", 30000},
        {"Wed, 31 Dec 2025 00:00:00 GMT", 0},
        {"Fri, 01 Jan 2100 00:00:00 GMT", 86400000},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        struct oauth_response got;

        read_answer(&got, 429, "Too Many Requests", values[i].value);
        check_num(values[i].value, (long long)got.retry_after_ms, (long long)values[i].ms);
        oauth_response_clear(&got);
    }
}

static void test_texts_for_people(void **state)
{
    struct oauth_response got;

    (void)state;
    read_answer(&got, 400,
                "{\"error\":\"invalid_grant\",\"error_description\":\"AADSTS70008: gone.\\r\\n"
                "Trace ID: 1-2\\r\\nCorrelation ID: 3\"}",
                "");
    assert_string_equal(got.text,
                        "invalid_grant: AADSTS70008: gone. Trace ID: 1-2 Correlation ID: 3");
    read_answer(&got, 403, "<html><script>x</script><h1>Rate  limit</h1>\n</html>", "");
    assert_string_equal(got.text, "HTTP 403: x Rate limit ");
    read_answer(&got, 503, "", "");
    assert_string_equal(got.text, "HTTP 503: no explanation");
    oauth_response_failed(&got, "Could not connect\nto server");
    assert_string_equal(got.text, "Could not connect to server");
    check_num("failed", got.class_, OAUTH_TRANSIENT);
}

static void test_secrets_are_masked(void **state)
{
    struct oauth_response got;

    (void)state;
    read_answer(&got, 400,
                "{\"error\":\"invalid_grant\",\"error_description\":\"token 0.SECRET is not "
                "0.SECRET\"}",
                "");
    oauth_response_mask(&got, "0.SECRET");
    assert_string_equal(got.text, "invalid_grant: token ******** is not ********");
    oauth_response_mask(&got, "");
    oauth_response_mask(&got, "is");
    assert_string_equal(got.text, "invalid_grant: token ******** is not ********");
}

static void test_garbage(void **state)
{
    uint64_t seed = 88172645463325252;

    (void)state;
    for (int round = 0; round < 5000; round++) {
        char body[200];
        size_t len = next_random(&seed) % sizeof(body);
        struct oauth_answer answer = {.status = (long)(next_random(&seed) % 700)};
        struct oauth_response got;

        for (size_t i = 0; i < len; i++)
            body[i] = "{}[]\":,ade_rorAADSTS7\\u0<>\x80\x01"[next_random(&seed) % 28];
        answer.body = (struct slice){exact_copy((struct slice){body, len}), len};
        oauth_response_read(&got, &answer);
        oauth_response_clear(&got);
        free((void *)(uintptr_t)answer.body.ptr);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_clock_errors_are_told_apart),
        cmocka_unit_test(test_assertions_are_masked),
        cmocka_unit_test(test_successes),
        cmocka_unit_test(test_tokens_that_cannot_be_used),
        cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_texts_for_people),
        cmocka_unit_test(test_secrets_are_masked),
        cmocka_unit_test(test_garbage),
    };

    return cmocka_run_group_tests_name("broker/response", tests, NULL, NULL);
}
