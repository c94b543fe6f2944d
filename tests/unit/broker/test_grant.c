/* The forms that grants send. */
#include "check.h"

#include <jansson.h>
#include <sodium.h>
#include <stdio.h>

#include "broker/key_maker.h"
#include "broker/oauth/grant.h"

#define WALL_MS 1767225600123u

static struct conf *conf;
static struct made_key made;

static struct account_record *record_of(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

static struct account_record *record_of(const char *format, ...)
{
    char text[16384];
    struct problems problems = {NULL, 0, 0, 0, 0};
    struct account_record *record;
    struct reason why;
    va_list args;
    json_t *json;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    json = json_loads(text, 0, NULL);
    assert_non_null(json);
    record = record_parse(json, conf, "test", &problems, &why);
    if (!record)
        fail_msg("%s", why.text);
    check_num("problems", (long long)problems.count, 0);
    problems_clear(&problems);
    json_decref(json);
    return record;
}

static char *form_of(const struct account_record *record, const char *refresh_token)
{
    struct form form;
    char *text;

    form_init(&form);
    assert_true(grant_write(&form, record, refresh_token, WALL_MS));
    text = slice_dup((struct slice){form.at, form.len});
    form_clear(&form);
    return text;
}

/* The claim of the form's assertion, or -1 / NULL. */
static json_t *claims_of(const char *form, const char *key)
{
    char name[64];
    const char *at, *payload;
    unsigned char octets[4096];
    size_t len;
    json_t *claims;

    snprintf(name, sizeof(name), "%s=ey", key);
    at = strstr(form, name);
    assert_non_null(at);
    payload = strchr(at, '.') + 1;
    assert_int_equal(sodium_base642bin(octets, sizeof(octets), payload, strcspn(payload, "."), NULL,
                                       &len, NULL, sodium_base64_VARIANT_URLSAFE_NO_PADDING),
                     0);
    claims = json_loadb((const char *)octets, len, 0, NULL);
    assert_non_null(claims);
    return claims;
}

static void claim_is(const json_t *claims, const char *name, const char *wanted)
{
    check_text(name, slice_of(json_string_value(json_object_get(claims, name))), wanted);
}

static long long number(const json_t *claims, const char *name)
{
    return json_integer_value(json_object_get(claims, name));
}

static void test_refresh_token(void **state)
{
    struct account_record *record =
        record_of("{\"email\":\"a@b\",\"provider\":\"outlook\",\"client_id\":\"c\","
                  "\"client_secret\":\"s&s\",\"refresh_token\":\"old\",\"extra\":{\"x\":\"y z\"}}");
    char *form = form_of(record, "new");

    (void)state;
    assert_string_equal(form,
                        "grant_type=refresh_token&client_id=c&client_secret=s%26s&"
                        "refresh_token=new&scope=https%3A%2F%2Foutlook.office.com%2FSMTP.Send%20"
                        "offline_access&x=y%20z");
    assert_true(grant_has_person(record));
    free(form);
    record_free(record);
}

static void check_form(struct form *form, bool ok, const char *wanted)
{
    assert_true(ok);
    check_text("form", (struct slice){form->at, form->len}, wanted);
    form_clear(form);
    form_init(form);
}

/* What is sent while somebody signs in. */
static void test_signing_in(void **state)
{
    struct account_record *record =
        record_of("{\"email\":\"a@b\",\"provider\":\"outlook\",\"client_id\":\"c\","
                  "\"client_secret\":\"\",\"refresh_token\":\"none\",\"extra\":{\"x\":\"y\"}}");
    struct form form;

    (void)state;
    form_init(&form);
    check_form(&form,
               grant_write_code(&form, record, "4/0A&b", "verifier", "http://localhost:1", WALL_MS),
               "grant_type=authorization_code&code=4%2F0A%26b&redirect_uri=http%3A%2F%2Flocalhost"
               "%3A1&code_verifier=verifier&client_id=c&x=y");
    check_form(&form, grant_write_device_begin(&form, record, "a b", WALL_MS),
               "client_id=c&scope=a%20b&x=y");
    check_form(&form, grant_write_device(&form, record, "code", WALL_MS),
               "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&device_code=code&"
               "client_id=c&x=y");
    record_free(record);
}

static void test_client_credentials(void **state)
{
    struct account_record *record =
        record_of("{\"email\":\"a@b\",\"provider\":\"outlook\",\"client_id\":\"c\","
                  "\"client_secret\":\"s\",\"tenant\":\"t.example\"}");
    char *form = form_of(record, "");

    (void)state;
    assert_string_equal(form, "grant_type=client_credentials&client_id=c&client_secret=s&"
                              "scope=https%3A%2F%2Foutlook.office365.com%2F.default");
    assert_false(grant_has_person(record));
    free(form);
    record_free(record);
}

static void check_assertion(const char *form)
{
    json_t *claims = claims_of(form, "client_assertion");

    claim_is(claims, "iss", "c");
    claim_is(claims, "sub", "c");
    claim_is(claims, "aud", "https://login.microsoftonline.com/t.example/oauth2/v2.0/token");
    check_num("iat", number(claims, "iat"), 1767225570);
    check_num("nbf", number(claims, "nbf"), 1767225570);
    check_num("exp", number(claims, "exp"), 1767226140);
    check_num("jti", (long long)json_string_length(json_object_get(claims, "jti")), 32);
    json_decref(claims);
    assert_non_null(strstr(form, "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3A"
                                 "client-assertion-type%3Ajwt-bearer"));
    assert_null(strstr(form, "client_secret"));
}

static void test_certificates(void **state)
{
    static const char *const grants[] = {"", ",\"refresh_token\":\"rt\""};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(grants); i++) {
        struct account_record *record =
            record_of("{\"email\":\"a@b\",\"provider\":\"outlook\",\"client_id\":\"c\","
                      "\"private_key\":\"%s\",\"certificate\":\"%s\",\"tenant\":\"t.example\"%s}",
                      made.json_pem, made.json_certificate, grants[i]);
        char *form = form_of(record, "rt"), *again = form_of(record, "rt");

        check_assertion(form);
        assert_string_not_equal(form, again); /* each jti once */
        assert_non_null(
            strstr(form, i ? "grant_type=refresh_token" : "grant_type=client_credentials"));
        assert_true((strstr(form, "&refresh_token=rt") != NULL) == (i == 1));
        free(form);
        free(again);
        record_free(record);
    }
}

static void test_service_accounts(void **state)
{
    struct account_record *record = record_of(
        "{\"email\":\"alias@b.example\",\"sasl_user\":\"user@b.example\",\"provider\":\"gmail\","
        "\"service_account\":{\"type\":\"service_account\",\"client_email\":\"sa@p.example\","
        "\"private_key\":\"%s\",\"private_key_id\":\"kid\","
        "\"token_uri\":\"https://t.example/token\",\"project_id\":\"p\"}}",
        made.json_pem);
    char *form = form_of(record, "");
    json_t *claims = claims_of(form, "assertion");

    (void)state;
    assert_int_equal(strncmp(form,
                             "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3A"
                             "jwt-bearer&assertion=ey",
                             76),
                     0);
    claim_is(claims, "iss", "sa@p.example");
    claim_is(claims, "sub", "user@b.example");
    claim_is(claims, "aud", "https://t.example/token");
    claim_is(claims, "scope", "https://mail.google.com/");
    check_num("iat", number(claims, "iat"), 1767225570);
    check_num("at most an hour", number(claims, "exp") - number(claims, "iat"), 3600);
    assert_null(strstr(form, "scope="));
    assert_string_equal(record->token_url, "https://t.example/token");
    json_decref(claims);
    free(form);
    record_free(record);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refresh_token),      cmocka_unit_test(test_signing_in),
        cmocka_unit_test(test_client_credentials), cmocka_unit_test(test_certificates),
        cmocka_unit_test(test_service_accounts),
    };
    int failed;

    if (sodium_init() < 0)
        return 1;
    conf = conf_default();
    key_make(&made, 2048, 1893456000);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    key_free(&made);
    conf_free(conf);
    return failed;
}
