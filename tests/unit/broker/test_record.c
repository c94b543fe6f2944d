/* Records of accounts.json: every field, its defaults, and what is said of a
 * wrong one. */
#include "check.h"

#include <stdio.h>

#include <sodium.h>

#include "broker/store/record.h"
#include "broker/wipe.h"

#define HEAD "\"email\":\"Some.One@Example.com\",\"client_id\":\"cid\",\"refresh_token\":\"rt\""
#define GMAIL "{" HEAD ",\"provider\":\"gmail\",\"client_secret\":\"cs\""
#define OUTLOOK "{" HEAD ",\"provider\":\"outlook\""
#define OWN                                                                                        \
    "{" HEAD ",\"provider\":\"mine\",\"oauth_endpoint\":\"mx.example.com:465\","                   \
    "\"oauth_token_url\":\"https://id.example.com/token\""

static struct conf *conf;

static struct account_record *parse(const char *text, struct problems *problems, struct reason *why)
{
    json_error_t error;
    json_t *json = json_loads(text, JSON_DECODE_ANY, &error);
    struct account_record *record;

    if (!json)
        fail_msg("the test's JSON is wrong: %s: %s", error.text, text);
    *problems = (struct problems){NULL, 0, 0, 0, 0};
    why->text[0] = '\0';
    record = record_parse(json, conf, "file: record 1", problems, why);
    json_decref(json);
    return record;
}

static struct account_record *good(const char *text)
{
    struct problems problems;
    struct reason why;
    struct account_record *record = parse(text, &problems, &why);

    if (!record)
        fail_msg("%s: %s", text, why.text);
    if (problems.count)
        fail_msg("%s: %s", text, problems.items[0].text);
    problems_clear(&problems);
    return record;
}

static void test_gmail_defaults(void **state)
{
    struct account_record *record = good(GMAIL "}");

    (void)state;
    assert_string_equal(record->id, "gmail_Some_One_Example_com");
    assert_string_equal(record->email, "Some.One@Example.com");
    assert_string_equal(record->login, "some.one@example.com");
    assert_string_equal(record->sasl_user, "Some.One@Example.com");
    assert_string_equal(record->host, "smtp.gmail.com");
    check_num("port", record->port, 587);
    check_num("tls", record->tls, CONF_UPSTREAM_STARTTLS);
    assert_string_equal(record->token_url, "https://oauth2.googleapis.com/token");
    assert_string_equal(record->scope, "");
    assert_string_equal(record->source_address, "");
    check_num("connections", record->terms->max_connections, 10);
    assert_false(record->disabled);
    record_free(record);
}

static void test_outlook_defaults(void **state)
{
    struct account_record *record = good(OUTLOOK "}");

    (void)state;
    assert_string_equal(record->host, "smtp.office365.com");
    assert_string_equal(record->token_url,
                        "https://login.microsoftonline.com/common/oauth2/v2.0/token");
    assert_string_equal(record->scope, "https://outlook.office.com/SMTP.Send offline_access");
    assert_string_equal(record->client_secret, "");
    check_num("connections", record->terms->max_connections, 3);
    record_free(record);
    record = good(OUTLOOK ",\"tenant\":\"contoso.example\"}");
    assert_string_equal(record->token_url,
                        "https://login.microsoftonline.com/contoso.example/oauth2/v2.0/token");
    record_free(record);
}

static void test_any_provider(void **state)
{
    struct account_record *record = good(OWN "}");

    (void)state;
    assert_string_equal(record->host, "mx.example.com");
    check_num("port", record->port, 465);
    check_num("tls", record->tls, CONF_UPSTREAM_IMPLICIT);
    record_free(record);
    record = good(OWN ",\"tls\":\"starttls\"}");
    check_num("tls", record->tls, CONF_UPSTREAM_STARTTLS);
    record_free(record);
    record = good("{" HEAD ",\"provider\":\"x\",\"oauth_endpoint\":\"[::1]:25\","
                  "\"oauth_token_url\":\"https://login.microsoftonline.us/t/oauth2/v2.0/token\"}");
    assert_string_equal(record->host, "::1");
    assert_string_equal(record->scope, "https://outlook.office.com/SMTP.Send offline_access");
    record_free(record);
}

static void test_all_fields(void **state)
{
    char text[2048];
    char hash[crypto_pwhash_STRBYTES];
    struct account_record *record;

    (void)state;
    assert_int_equal(
        crypto_pwhash_str(hash, "pw", 2, crypto_pwhash_OPSLIMIT_MIN, crypto_pwhash_MEMLIMIT_MIN),
        0);
    snprintf(text, sizeof(text),
             OUTLOOK ",\"account_id\":\"a 1\",\"ip_address\":\"192.0.2.1\",\"vmta_name\":\"v\","
                     "\"sasl_user\":\"shared@example.com\",\"mechanism\":\"oauthbearer\","
                     "\"bdat\":\"off\",\"scope\":\"s1 s2\",\"extra\":{\"a b\":\"c&d\",\"e\":\"\"},"
                     "\"disabled\":true,\"max_concurrent_messages\":7,\"password_hash\":\"%s\","
                     "\"max_messages_per_hour\":100,\"connection_settings\":"
                     "{\"max_connections_per_account\":2,\"max_messages_per_connection\":9,"
                     "\"connection_max_age_seconds\":100,\"connection_idle_timeout_seconds\":1.5,"
                     "\"_c\":1},\"rate_limiting\":{\"enabled\":true,\"messages_per_hour\":1},"
                     "\"retry\":{\"max_attempts\":0,\"backoff_factor\":1.5,\"max_delay_seconds\":9,"
                     "\"jitter_enabled\":false},\"circuit_breaker\":{\"failure_threshold\":5},"
                     "\"token\":null,\"messages_this_hour\":0,\"concurrent_messages\":0,"
                     "\"active_connections\":0,\"_comment\":[\"any\"]}",
             hash);
    record = good(text);
    assert_string_equal(record->id, "a 1");
    assert_string_equal(record->source_address, "192.0.2.1");
    assert_string_equal(record->sasl_user, "shared@example.com");
    assert_string_equal(record->extra, "a%20b=c%26d&e=");
    assert_string_equal(record->scope, "s1 s2");
    assert_string_equal(record->password_hash, hash);
    check_num("mechanism", record->mechanism, CONF_MECH_OAUTHBEARER);
    check_num("bdat", record->bdat, CONF_OFF);
    check_num("concurrent", record->terms->max_concurrent, 7);
    check_num("connections", record->terms->max_connections, 2);
    check_num("messages", record->terms->max_messages_per_connection, 9);
    check_num("age", (long long)record->terms->max_age_ms, 100000);
    check_num("idle", (long long)record->terms->idle_ms, 1500);
    check_num("attempts", record->terms->retry_max_attempts, 0);
    check_num("delay", (long long)record->terms->retry_max_delay_ms, 9000);
    assert_true(record->terms->retry_backoff == 1.5 && record->disabled);
    record_free(record);
}

static void test_the_providers_ceiling_holds(void **state)
{
    struct account_record *record =
        good(OUTLOOK ",\"connection_settings\":{\"max_connections_per_account\":40}}");

    (void)state;
    check_num("connections", record->terms->max_connections, 3);
    record_free(record);
}

/* Each line: what is wrong, and words that the reason must have. */
static const struct {
    const char *text, *field, *words;
} bad[] = {
    {"[]", "", "object"},
    {"7", "", "object"},
    {"{}", "\"email\"", "missing"},
    {"{\"email\":\"\"}", "\"email\"", "e-mail address"},
    {"{\"email\":\"a\"}", "\"email\": \"a\"", "e-mail address"},
    {"{\"email\":\"@x\"}", "\"email\"", "e-mail address"},
    {"{\"email\":\"a b@x\"}", "\"email\"", "e-mail address"},
    {"{\"email\":\"a\\nb@x\"}", "\"a b@x\"", "e-mail address"},
    {"{\"email\":7}", "\"email\": 7", "text in quotes"},
    {"{\"email\":{\"a\":1}}", "\"email\": {\"a\":1}", "text in quotes"},
    {"{\"email\":\"a@b\",\"provider\":\"gmail\"}", "\"client_id\"", "missing"},
    {"{" HEAD "}", "\"provider\"", "missing"},
    {"{" HEAD ",\"provider\":\"gmail\"}", "\"client_secret\"", "missing"},
    {"{" HEAD ",\"provider\":\"gmial\"}", "gmial", "oauth_endpoint"},
    {"{" HEAD ",\"provider\":\"x\",\"oauth_endpoint\":\"h:25\"}", "x", "oauth_token_url"},
    {"{" HEAD ",\"provider\":\"default\"}", "oauth_endpoint", "missing"},
    {GMAIL ",\"oauth_token_url\":\"http://x/token\"}", "http://x/token", "https"},
    {GMAIL ",\"oauth_token_url\":\"https://u:p@x/\"}", "oauth_token_url", "without user name"},
    {GMAIL ",\"oauth_token_url\":\"https:///x\"}", "oauth_token_url", "complete"},
    {GMAIL ",\"oauth_endpoint\":\"smtp.gmail.com\"}", "oauth_endpoint", "host:port"},
    {GMAIL ",\"oauth_endpoint\":\"smtp.gmail.com:0\"}", "oauth_endpoint", "host:port"},
    {GMAIL ",\"oauth_endpoint\":\"smtp.gmail.com:65536\"}", "oauth_endpoint", "host:port"},
    {GMAIL ",\"oauth_endpoint\":\"a b:25\"}", "oauth_endpoint", "host:port"},
    {GMAIL ",\"oauth_endpoint\":\"[::1:25\"}", "oauth_endpoint", "host:port"},
    {GMAIL ",\"ip_address\":\"300.1.1.1\"}", "300.1.1.1", "IP address"},
    {GMAIL ",\"tls\":\"none\"}", "\"none\"", "starttls, implicit"},
    {GMAIL ",\"tls\":true}", "true", "starttls, implicit"},
    {GMAIL ",\"disabled\":\"no\"}", "\"no\"", "true or false"},
    {GMAIL ",\"max_concurrent_messages\":0}", "max_concurrent_messages", "1 to 10000"},
    {GMAIL ",\"max_concurrent_messages\":1.5}", "1.5", "whole number"},
    {GMAIL ",\"max_concurrent_messages\":\"5\"}", "\"5\"", "whole number"},
    {GMAIL ",\"max_messages_per_hour\":-1}", "-1", "from 0"},
    {GMAIL ",\"connection_settings\":7}", "connection_settings", "object"},
    {GMAIL ",\"connection_settings\":{\"connection_max_age_seconds\":-1}}", "age", "from 0"},
    {GMAIL ",\"retry\":{\"backoff_factor\":0}}", "backoff_factor", "from 1"},
    {GMAIL ",\"extra\":{\"a\":1}}", "extra", "text in quotes"},
    {GMAIL ",\"password_hash\":\"secret\"}", "password_hash", "bearerctl passwd"},
    {GMAIL ",\"tenant\":\"x\"}", "tenant", "oauth_token_url"},
    {OUTLOOK ",\"tenant\":\"a/b\"}", "tenant", "tenant"},
    {GMAIL ",\"sasl_user\":\"a b\"}", "sasl_user", "mailbox"},
    {"{\"email\":\"a@b\",\"client_id\":\"c\",\"provider\":\"outlook\",\"refresh_token\":\"\"}",
     "refresh_token", "empty"},
};

static void test_bad_records(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct problems problems;
        struct reason why;
        struct account_record *record = parse(bad[i].text, &problems, &why);

        if (record)
            fail_msg("%s is taken", bad[i].text);
        if (!strstr(why.text, bad[i].field) || !strstr(why.text, bad[i].words))
            fail_msg("%s: \"%s\" lacks \"%s\" or \"%s\"", bad[i].text, why.text, bad[i].field,
                     bad[i].words);
        problems_clear(&problems);
    }
}

static void test_secrets_are_not_shown(void **state)
{
    static const char *const texts[] = {
        "{\"email\":\"a@b\",\"refresh_token\":\"TOP SECRET\"}",
        "{\"email\":\"a@b\",\"client_secret\":[\"TOP SECRET\"]}",
        "{\"email\":\"a@b\",\"password_hash\":\"TOP SECRET\"}",
        "{\"email\":\"a@b\",\"extra\":\"TOP SECRET\"}",
    };
    struct problems problems;
    struct reason why;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        assert_null(parse(texts[i], &problems, &why));
        assert_null(strstr(why.text, "SECRET"));
        assert_non_null(strstr(why.text, "not shown"));
        problems_clear(&problems);
    }
}

static void test_unknown_keys_are_warnings(void **state)
{
    struct problems problems;
    struct reason why;
    struct account_record *record =
        parse(GMAIL ",\"vtma_name\":\"x\",\"connection_settings\":{\"xyzzyxyzzyxyzzy\":1}}",
              &problems, &why);

    (void)state;
    assert_non_null(record);
    check_num("problems", (long long)problems.count, 2);
    assert_false(problems.items[0].skipped);
    assert_string_equal(problems.items[0].text,
                        "file: record 1: key \"vtma_name\" is not known and has no effect; do you "
                        "mean \"vmta_name\"?");
    check_num("skipped", (long long)problems.skipped, 0);
    problems_clear(&problems);
    record_free(record);
}

static void test_comparisons(void **state)
{
    static const struct {
        const char *name, *text;
        bool credentials, identity, all;
    } others[] = {
        {"same", GMAIL "}", true, true, true},
        {"comment", GMAIL ",\"_c\":1}", true, true, true},
        {"vmta", GMAIL ",\"vmta_name\":\"v\"}", true, true, false},
        {"limit", GMAIL ",\"max_concurrent_messages\":3}", true, true, false},
        {"disabled", GMAIL ",\"disabled\":true}", true, true, false},
        {"address", GMAIL ",\"ip_address\":\"192.0.2.9\"}", true, false, false},
        {"user", GMAIL ",\"sasl_user\":\"z@z\"}", true, false, false},
        {"endpoint", GMAIL ",\"oauth_endpoint\":\"smtp.gmail.com:465\"}", true, false, false},
        {"scope", GMAIL ",\"scope\":\"s\"}", false, false, false},
        {"url", GMAIL ",\"oauth_token_url\":\"https://x/\"}", false, false, false},
    };
    struct account_record *one = good(GMAIL "}");

    (void)state;
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        struct account_record *other = good(others[i].text);

        check_num(others[i].name, record_same_credentials(one, other), others[i].credentials);
        check_num(others[i].name, record_same_identity(one, other), others[i].identity);
        check_num(others[i].name, record_same(one, other), others[i].all);
        record_free(other);
    }
    record_free(one);
}

static int set_up(void **state)
{
    (void)state;
    json_set_alloc_funcs(wipe_malloc, wipe_free);
    conf = conf_default();
    return sodium_init() < 0 || !conf;
}

static int tear_down(void **state)
{
    (void)state;
    conf_free(conf);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gmail_defaults),
        cmocka_unit_test(test_outlook_defaults),
        cmocka_unit_test(test_any_provider),
        cmocka_unit_test(test_all_fields),
        cmocka_unit_test(test_the_providers_ceiling_holds),
        cmocka_unit_test(test_bad_records),
        cmocka_unit_test(test_secrets_are_not_shown),
        cmocka_unit_test(test_unknown_keys_are_warnings),
        cmocka_unit_test(test_comparisons),
    };

    return cmocka_run_group_tests_name("broker/record", tests, set_up, tear_down);
}
