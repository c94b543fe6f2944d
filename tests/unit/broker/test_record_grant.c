/* Records and their grants: which one it is, what it needs, and what applications of the
 * configuration give. */
#include "check.h"

#include <sodium.h>
#include <stdio.h>

#include "broker/apps.h"
#include "broker/key_maker.h"
#include "broker/store/record.h"
#include "conf/options.h"

static struct conf *conf;
static struct made_key made, other;
static char folder[] = "/tmp/test_record_grant_XXXXXX";

#define WHO "\"email\":\"a@b.example\",\"provider\":\"outlook\""
#define ID WHO ",\"client_id\":\"c\""
#define TENANT ",\"tenant\":\"t.example\""
#define GMAIL "\"email\":\"a@b.example\",\"provider\":\"gmail\""
/* In these, K and C are the made key and certificate, X is another's certificate. */
#define KEY ",\"private_key\":\"K\""
#define CERTIFICATE ",\"certificate\":\"C\""
#define SERVICE                                                                                    \
    ",\"service_account\":{\"client_email\":\"sa@p.example\",\"private_key\":\"K\","               \
    "\"token_uri\":\"https://t.example/\"}"

static char *expand(const char *text)
{
    size_t cap = 32768;
    char *out = malloc(cap);
    struct text to;

    text_init(&to, out, cap);
    for (; *text; text++) {
        if (text[0] == '"' && strchr("KCX", text[1]) && text[1] && text[2] == '"') {
            text_add_char(&to, '"');
            text_add_str(&to, text[1] == 'K'   ? made.json_pem
                              : text[1] == 'C' ? made.json_certificate
                                               : other.json_certificate);
            text++;
        } else {
            text_add_char(&to, *text);
        }
    }
    assert_false(to.cut);
    return out;
}

static struct account_record *parse(const char *text, struct reason *why)
{
    struct problems problems = {NULL, 0, 0, 0, 0};
    char *full = expand(text);
    json_error_t error;
    json_t *json = json_loads(full, 0, &error);
    struct account_record *record;

    if (!json)
        fail_msg("the test's JSON is wrong: %s: %s", error.text, text);
    why->text[0] = '\0';
    record = record_parse(json, conf, "test", &problems, why);
    if (record && problems.count)
        fail_msg("%s: %s", text, problems.items[0].text);
    problems_clear(&problems);
    json_decref(json);
    free(full);
    return record;
}

static struct account_record *good(const char *text)
{
    struct reason why;
    struct account_record *record = parse(text, &why);

    if (!record)
        fail_msg("%s: %s", text, why.text);
    return record;
}

#define MICROSOFT "https://login.microsoftonline.com/"

static const struct {
    const char *text;
    enum record_grant grant;
    const char *token_url, *scope;
} derived[] = {
    {"{" ID ",\"refresh_token\":\"rt\"}", GRANT_REFRESH_TOKEN, MICROSOFT "common/oauth2/v2.0/token",
     "https://outlook.office.com/SMTP.Send offline_access"},
    {"{" ID ",\"refresh_token\":\"rt\",\"client_secret\":\"s\"" TENANT "}", GRANT_REFRESH_TOKEN,
     MICROSOFT "t.example/oauth2/v2.0/token",
     "https://outlook.office.com/SMTP.Send offline_access"},
    {"{" ID ",\"client_secret\":\"s\"" TENANT "}", GRANT_CLIENT_CREDENTIALS,
     MICROSOFT "t.example/oauth2/v2.0/token", "https://outlook.office365.com/.default"},
    {"{" ID ",\"client_secret\":\"s\",\"grant\":\"client_credentials\",\"oauth_token_url\":"
     "\"" MICROSOFT "abc/oauth2/v2.0/token\",\"scope\":\"mine\"}",
     GRANT_CLIENT_CREDENTIALS, MICROSOFT "abc/oauth2/v2.0/token", "mine"},
    {"{" ID KEY CERTIFICATE TENANT "}", GRANT_CLIENT_CREDENTIALS,
     MICROSOFT "t.example/oauth2/v2.0/token", "https://outlook.office365.com/.default"},
    {"{" ID KEY CERTIFICATE TENANT ",\"refresh_token\":\"rt\"}", GRANT_REFRESH_TOKEN,
     MICROSOFT "t.example/oauth2/v2.0/token",
     "https://outlook.office.com/SMTP.Send offline_access"},
    {"{" ID
     ",\"refresh_token\":\"rt\",\"client_secret\":\"s\",\"grant\":\"client_credentials\"" TENANT
     "}",
     GRANT_CLIENT_CREDENTIALS, MICROSOFT "t.example/oauth2/v2.0/token",
     "https://outlook.office365.com/.default"},
    {"{" GMAIL SERVICE "}", GRANT_SERVICE_ACCOUNT, "https://t.example/",
     "https://mail.google.com/"},
    {"{" GMAIL SERVICE ",\"oauth_token_url\":\"https://own.example/\"}", GRANT_SERVICE_ACCOUNT,
     "https://own.example/", "https://mail.google.com/"},
    {"{" GMAIL ",\"service_account\":{\"client_email\":\"sa@p\",\"private_key\":\"K\"}}",
     GRANT_SERVICE_ACCOUNT, "https://oauth2.googleapis.com/token", "https://mail.google.com/"},
    {"{\"email\":\"a@b\",\"provider\":\"outlook-us\",\"client_id\":\"c\",\"client_secret\":"
     "\"s\"" TENANT "}",
     GRANT_CLIENT_CREDENTIALS, "https://login.microsoftonline.us/t.example/oauth2/v2.0/token",
     "https://outlook.office365.us/.default"},
    /* Any other server: no certificate where none is known to be needed. */
    {"{\"email\":\"a@b\",\"provider\":\"kc\",\"oauth_endpoint\":\"h:25\",\"client_id\":\"c\","
     "\"oauth_token_url\":\"https://kc.example/realms/r/token\"" KEY "}",
     GRANT_CLIENT_CREDENTIALS, "https://kc.example/realms/r/token", ""},
    /* Applications. */
    {"{" WHO ",\"app\":\"Secret\"}", GRANT_CLIENT_CREDENTIALS,
     MICROSOFT "app.example/oauth2/v2.0/token", "https://outlook.office365.com/.default"},
    {"{" WHO ",\"app\":\"secret\",\"tenant\":\"own.example\",\"scope\":\"own\"}",
     GRANT_CLIENT_CREDENTIALS, MICROSOFT "own.example/oauth2/v2.0/token", "own"},
    {"{" WHO ",\"app\":\"secret\",\"refresh_token\":\"rt\"}", GRANT_REFRESH_TOKEN,
     MICROSOFT "app.example/oauth2/v2.0/token",
     "https://outlook.office.com/SMTP.Send offline_access"},
    {"{" WHO ",\"app\":\"key\"}", GRANT_CLIENT_CREDENTIALS, "https://own.example/token",
     "app-scope"},
    {"{" GMAIL ",\"app\":\"google\"}", GRANT_SERVICE_ACCOUNT, "https://t.example/",
     "https://mail.google.com/"},
    {"{" WHO ",\"app\":\"secret\",\"oauth_endpoint\":\"smtp.office365.com:587\"}",
     GRANT_CLIENT_CREDENTIALS, MICROSOFT "app.example/oauth2/v2.0/token",
     "https://outlook.office365.com/.default"},
};

static void test_derived(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(derived); i++) {
        struct account_record *record = good(derived[i].text);

        check_num(derived[i].text, record->grant, derived[i].grant);
        check_text(derived[i].text, slice_of(record->token_url), derived[i].token_url);
        check_text(derived[i].text, slice_of(record->scope), derived[i].scope);
        record_free(record);
    }
}

static const struct {
    const char *text, *field, *words;
} bad[] = {
    {"{" ID "}", "\"refresh_token\"", "missing"},
    {"{" ID ",\"client_secret\":\"s\"}", "\"refresh_token\" is missing", "tenant"},
    {"{" ID ",\"client_secret\":\"s\",\"tenant\":\"common\"}", "\"refresh_token\"", "missing"},
    {"{" ID ",\"client_secret\":\"s\",\"grant\":\"client_credentials\"}", "\"tenant\"", "common"},
    {"{" ID ",\"client_secret\":\"s\",\"tenant\":\"organizations\","
     "\"grant\":\"client_credentials\"}",
     "\"tenant\"", "organizations"},
    {"{" ID ",\"grant\":\"client_credentials\"" TENANT "}", "\"client_secret\"", "private_key"},
    {"{" WHO ",\"client_secret\":\"s\"" TENANT "}", "\"client_id\"", "missing"},
    {"{" ID KEY TENANT "}", "\"certificate\"", "Microsoft"},
    {"{" ID CERTIFICATE TENANT "}", "\"private_key\"", "missing"},
    {"{" ID KEY CERTIFICATE "}", "\"tenant\"", "common"},
    {"{" ID KEY ",\"certificate\":\"X\"" TENANT "}", "\"private_key\"", "not the key"},
    {"{" ID ",\"private_key\":\"TOP SECRET\"" TENANT "}", "\"private_key\"", "in PEM"},
    {"{" ID KEY CERTIFICATE ",\"client_secret\":\"s\"" TENANT "}", "\"private_key\"", "one of"},
    {"{" ID ",\"grant\":\"password\"}", "\"grant\"", "service_account"},
    {"{" ID ",\"assertion\":\"HS256\"}", "\"assertion\"", "PS256, RS256"},
    {"{" ID ",\"client_secret_expires\":\"soon\"}", "\"client_secret_expires\"", "day"},
    {"{" GMAIL ",\"grant\":\"service_account\"}", "\"service_account\"", "missing"},
    {"{" GMAIL ",\"service_account\":\"/etc/shadow\"}", "\"service_account\"", "object"},
    {"{" GMAIL ",\"service_account\":{}}", "\"service_account\"", "client_email"},
    {"{" GMAIL ",\"service_account\":{\"client_email\":\"a@b\"}}", "\"service_account\"",
     "private_key"},
    {"{" GMAIL ",\"service_account\":{\"type\":\"authorized_user\",\"client_email\":\"a@b\"}}",
     "\"service_account\"", "something else"},
    {"{" GMAIL ",\"service_account\":{\"client_email\":\"a@b\",\"private_key\":\"x\"}}",
     "\"service_account\"", "in PEM"},
    {"{" GMAIL ",\"service_account\":{\"client_email\":\"a@b\",\"private_key\":\"K\","
     "\"token_uri\":\"http://x/\"}}",
     "\"service_account\"", "token_uri"},
    {"{" GMAIL ",\"service_account\":{\"client_email\":\"a@b\",\"private_key\":7}}",
     "\"service_account\"", "private_key"},
    /* Applications. */
    {"{" WHO ",\"app\":\"nobody\"}", "\"app\"", "it has google, key, secret"},
    {"{" GMAIL ",\"app\":\"secret\"}", "\"provider\"", "outlook"},
    {"{" ID ",\"app\":\"secret\"}", "\"client_id\"", "leave it out"},
    {"{" WHO ",\"app\":\"secret\",\"client_secret\":\"s\"}", "\"client_secret\"", "leave it out"},
    {"{" WHO ",\"app\":\"secret\"" KEY "}", "\"private_key\"", "leave it out"},
    {"{" GMAIL ",\"app\":\"google\"" SERVICE "}", "\"service_account\"", "leave it out"},
    /* An application's secrets are sent nowhere else. */
    {"{" WHO ",\"app\":\"secret\",\"oauth_token_url\":\"https://evil.example/token\"}",
     "\"oauth_token_url\"", "leave it out"},
    {"{" WHO ",\"app\":\"secret\",\"oauth_endpoint\":\"evil.example:587\"}", "\"oauth_endpoint\"",
     "leave it out"},
};

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct reason why;
        struct account_record *record = parse(bad[i].text, &why);

        if (record)
            fail_msg("%s is taken", bad[i].text);
        if (!strstr(why.text, bad[i].field) || !strstr(why.text, bad[i].words))
            fail_msg("%s: \"%s\"", bad[i].text, why.text);
        if (strstr(why.text, "SECRET") || strstr(why.text, "MII"))
            fail_msg("%s: a secret: \"%s\"", bad[i].text, why.text);
    }
}

static void test_what_an_application_gives(void **state)
{
    struct account_record *one = good("{" WHO ",\"app\":\"SECRET\",\"extra\":{\"own\":\"1\"}}");
    struct account_record *key = good("{" WHO ",\"app\":\"key\"}");
    struct account_record *google = good("{" GMAIL ",\"app\":\"google\"}");

    (void)state;
    assert_string_equal(one->app, "secret");
    assert_string_equal(one->client_id, "app-id");
    assert_string_equal(one->client_secret, "hush");
    assert_string_equal(one->extra, "own=1&a=b");
    assert_string_equal(one->endpoint, "smtp.office365.com:587");
    check_num("day", (long long)one->secret_expires_ms, 1798675200000);
    assert_string_equal(key->client_secret, "");
    assert_non_null(key->key);
    check_num("certificate", (long long)key->secret_expires_ms, 1893456000000);
    check_num("assertion", key->assertion, CONF_ASSERTION_RS256);
    assert_string_equal(google->client_id, "sa@p.example");
    assert_ptr_not_equal(google->key, key->key);
    record_free(one);
    record_free(key);
    record_free(google);
}

/* What a reload does to accounts hangs on these. */
static void test_comparisons(void **state)
{
    struct account_record *one = good("{" WHO ",\"app\":\"secret\"}");
    struct account_record *same = good("{" WHO ",\"app\":\"secret\"}"), *changed;
    struct account_record *key = good("{" ID KEY CERTIFICATE TENANT "}");
    struct account_record *key_too = good("{" ID KEY CERTIFICATE TENANT "}");
    struct account_record *rs256 = good("{" ID KEY CERTIFICATE TENANT ",\"assertion\":\"RS256\"}");

    (void)state;
    assert_true(record_same(one, same));
    assert_true(conf_set(conf, "apps.secret.client_secret", "new", NULL));
    changed = good("{" WHO ",\"app\":\"secret\"}");
    assert_true(conf_set(conf, "apps.secret.client_secret", "hush", NULL));
    assert_false(record_same_credentials(one, changed));
    assert_false(record_same_identity(one, changed));
    assert_true(record_same(key, key_too));
    assert_ptr_equal(key->key, key_too->key); /* parsed once */
    assert_false(record_same_credentials(key, rs256));
    record_free(one);
    record_free(same);
    record_free(changed);
    record_free(key);
    record_free(key_too);
    record_free(rs256);
}

static void test_what_is_secret(void **state)
{
    (void)state;
    assert_false(record_key_is_public("private_key"));
    assert_false(record_key_is_public("service_account"));
    assert_true(record_key_is_public("certificate"));
    assert_true(record_key_is_public("app"));
    assert_true(record_key_is_public("grant"));
}

/* A key that is not good keeps the configuration from being used at all. */
static void test_applications_are_tried(void **state)
{
    struct reason why;

    (void)state;
    assert_true(conf_set(conf, "apps.key.certificate", "", NULL));
    assert_true(apps_prepare(conf, &why));
    assert_true(conf_set(conf, "apps.key.key", "/dev/null", NULL));
    assert_false(apps_prepare(conf, &why));
    assert_non_null(strstr(why.text, "apps.key.key: /dev/null"));
}

static void put(const char *name, const char *content, char path[128])
{
    FILE *file;

    snprintf(path, 128, "%s/%s", folder, name);
    file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(content, file) >= 0);
    fclose(file);
}

static void set(const char *name, const char *value)
{
    struct reason why;

    if (!conf_set(conf, name, value, &why))
        fail_msg("%s", why.text);
}

static int make_apps(void **state)
{
    char path[128], json[8192];
    struct reason why;

    (void)state;
    if (!mkdtemp(folder))
        return -1;
    set("apps.secret.provider", "outlook");
    set("apps.secret.client_id", "app-id");
    set("apps.secret.client_secret", "hush");
    set("apps.secret.tenant", "app.example");
    set("apps.secret.extra", "a=b");
    set("apps.secret.secret_expires", "2026-12-31");
    set("apps.key.provider", "outlook");
    set("apps.key.client_id", "key-id");
    set("apps.key.token_url", "https://own.example/token");
    set("apps.key.scope", "app-scope");
    set("apps.key.assertion", "RS256");
    put("key.pem", made.pem, path);
    set("apps.key.key", path);
    put("cert.pem", made.certificate, path);
    set("apps.key.certificate", path);
    snprintf(json, sizeof(json),
             "{\"client_email\":\"sa@p.example\",\"private_key\":\"%s\","
             "\"token_uri\":\"https://t.example/\"}",
             made.json_pem);
    put("sa.json", json, path);
    set("apps.google.provider", "gmail");
    set("apps.google.service_account", path);
    if (!apps_prepare(conf, &why))
        fail_msg("%s", why.text);
    return 0;
}

static int remove_apps(void **state)
{
    static const char *const names[] = {"key.pem", "cert.pem", "sa.json"};
    char path[128];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        remove(path);
    }
    return remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_derived),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_what_an_application_gives),
        cmocka_unit_test(test_comparisons),
        cmocka_unit_test(test_what_is_secret),
        cmocka_unit_test(test_applications_are_tried),
    };
    int failed;

    if (sodium_init() < 0)
        return 1;
    conf = conf_default();
    key_make(&made, 2048, 1893456000);
    key_make(&other, 2048, 1893456000);
    failed = cmocka_run_group_tests(tests, make_apps, remove_apps);
    key_free(&made);
    key_free(&other);
    conf_free(conf);
    return failed;
}
