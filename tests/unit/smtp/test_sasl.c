#include "check.h"

#include "base/codec.h"
#include "smtp/sasl.h"

/* Encodes `plain`, then decodes it as a PLAIN response. */
static bool plain_of(struct slice plain, char *scratch, size_t cap, struct slice *user,
                     struct slice *password, struct reason *why)
{
    char text[256];
    size_t len = base64_encode(plain.ptr, plain.len, text);

    return sasl_plain_decode((struct slice){text, len}, scratch, cap, user, password, why);
}

static void test_plain(void **state)
{
    static const struct {
        const char *name;
        struct slice plain;
        const char *user, *password; /* user NULL: refused */
    } rows[] = {
        {"usual", BYTES("\0user\0pass"), "user", "pass"},
        {"authzid is the user", BYTES("user\0user\0pass"), "user", "pass"},
        {"address", BYTES("\0a@b.example\0p w"), "a@b.example", "p w"},
        {"UTF-8", BYTES("\0\xc3\xa4\0\xc3\xb6"), "\xc3\xa4", "\xc3\xb6"},
        {"another authzid", BYTES("root\0user\0pass"), NULL, NULL},
        {"authzid in other case", BYTES("User\0user\0pass"), NULL, NULL},
        {"no user", BYTES("\0\0pass"), NULL, NULL},
        {"no password", BYTES("\0user\0"), "user", ""},
        {"two parts", BYTES("user\0pass"), NULL, NULL},
        {"one part", BYTES("user"), NULL, NULL},
        {"nothing", BYTES(""), NULL, NULL},
        {"four parts", BYTES("\0user\0pass\0"), NULL, NULL},
        {"only NULs", BYTES("\0\0\0"), NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char *scratch = malloc(rows[i].plain.len + 1);
        struct slice user, password;
        struct reason why = {""};

        check_num(rows[i].name,
                  plain_of(rows[i].plain, scratch, rows[i].plain.len, &user, &password, &why),
                  rows[i].user != NULL);
        if (rows[i].user) {
            check_text(rows[i].name, user, rows[i].user);
            check_text(rows[i].name, password, rows[i].password);
        } else {
            assert_true(why.text[0]);
        }
        free(scratch);
    }
}

static void test_plain_not_base64(void **state)
{
    static const char *const rows[] = {"*", "=", "AGEAYg", "AGEAYg= ", "AGEA Yg=", "AHUAcA==x"};
    struct slice user, password;
    char scratch[64];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        check_num(
            rows[i],
            sasl_plain_decode(slice_of(rows[i]), scratch, sizeof(scratch), &user, &password, NULL),
            false);
    assert_false(plain_of(SLICE("\0user\0pass"), scratch, 9, &user, &password, NULL));
}

/* The example of Google's page on the mechanism. */
static void test_xoauth2(void **state)
{
    const char *wanted =
        "dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52"
        "YjNSbGNrQmhkSFJoZG1semRHRXVZMjl0Q2cBAQ==";
    char out[256];
    size_t len = sasl_xoauth2_encode(SLICE("someuser@example.com"),
                                     SLICE("ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg"), out,
                                     sizeof(out));

    (void)state;
    check_text("google", (struct slice){out, len}, wanted);
    assert_int_equal(strlen(out), len);
}

/* The example of RFC 7628 section 4.1, and what a user name may hold. */
static void test_oauthbearer(void **state)
{
    char out[512], back[512];
    ptrdiff_t n;
    size_t len = sasl_oauthbearer_encode(SLICE("user@example.com"), SLICE("server.example.com"),
                                         143, SLICE("vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="),
                                         out, sizeof(out));

    (void)state;
    check_text("rfc", (struct slice){out, len},
               "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9"
               "QmVhcmVyIHZGOWRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB");
    len = sasl_oauthbearer_encode(SLICE("a=b,c"), SLICE("h"), 25, SLICE("t"), out, sizeof(out));
    n = base64_decode((struct slice){out, len}, back, sizeof(back));
    check_text("escaped", (struct slice){back, (size_t)n},
               "n,a=a=3Db=2Cc,\001host=h\001port=25\001auth=Bearer t\001\001");
}

/* Nothing that could end a field, and nothing that does not fit. */
static void test_oauth_refused(void **state)
{
    static const struct slice bad[] = {
        BYTES(""), BYTES("a\001b"), BYTES("a\0b"), BYTES("a\r\n"), BYTES("\x7f"), {NULL, 0},
    };
    char out[256];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(sasl_xoauth2_encode(bad[i], SLICE("t"), out, sizeof(out)), 0);
        assert_int_equal(sasl_xoauth2_encode(SLICE("u"), bad[i], out, sizeof(out)), 0);
        assert_int_equal(
            sasl_oauthbearer_encode(bad[i], SLICE("h"), 1, SLICE("t"), out, sizeof(out)), 0);
        assert_int_equal(
            sasl_oauthbearer_encode(SLICE("u"), SLICE("h"), 1, bad[i], out, sizeof(out)), 0);
    }
    assert_int_equal(
        sasl_oauthbearer_encode(SLICE("u"), SLICE("h\001"), 1, SLICE("t"), out, sizeof(out)), 0);
}

static void test_oauth_fit(void **state)
{
    static char token[SASL_TOKEN_MAX + 2000], out[SASL_OAUTH_MAX];
    size_t len = sasl_xoauth2_encode(SLICE("user"), SLICE("token"), out, sizeof(out));

    (void)state;
    assert_int_equal(sasl_xoauth2_encode(SLICE("user"), SLICE("token"), out, len), 0);
    assert_int_equal(sasl_xoauth2_encode(SLICE("user"), SLICE("token"), out, len + 1), len);
    assert_int_equal(sasl_xoauth2_encode(SLICE("user"), SLICE("token"), out, 0), 0);
    memset(token, 't', sizeof(token));
    assert_true(sasl_xoauth2_encode(SLICE("user"), (struct slice){token, SASL_TOKEN_MAX}, out,
                                    sizeof(out)) > SASL_TOKEN_MAX);
    assert_true(sasl_oauthbearer_encode(SLICE("user"), SLICE("host"), 465,
                                        (struct slice){token, SASL_TOKEN_MAX}, out,
                                        sizeof(out)) > SASL_TOKEN_MAX);
    assert_int_equal(
        sasl_xoauth2_encode(SLICE("user"), (struct slice){token, sizeof(token)}, out, sizeof(out)),
        0);
}

static void test_failure(void **state)
{
    static const struct {
        const char *json;
        bool ok;
        const char *status;
    } rows[] = {
        {"{\"status\":\"400\",\"schemes\":\"Bearer\",\"scope\":\"https://mail.google.com/\"}", true,
         "400"},
        {"{\"status\":\"invalid_token\",\"scope\":\"s\"}", true, "invalid_token"},
        {"{\"status\":401}", true, "401"},
        {"{\"status\":[1]}", true, ""},
        {"{\"error\":\"x\"}", true, ""},
        {"{}", true, ""},
        {"{\"status\":\"a\\nb\\u0001\xc3\xa4\"}", true, "a?b???"},
        {"{\"status\":\"0123456789abcdefghij\"}", true, "0123456789abcde"},
        {"{\"status\":\"4\\u000000\"}", false, ""},
        {"[\"status\"]", false, ""},
        {"\"status\"", false, ""},
        {"{\"status\":\"400\"", false, ""},
        {"{\"status\":\"400\"} x", false, ""},
        {"", false, ""},
        {"\xff\xfe", false, ""},
    };
    char base64[256], status[16];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        size_t len = base64_encode(rows[i].json, strlen(rows[i].json), base64);

        check_num(rows[i].json, sasl_oauth_failure((struct slice){base64, len}, status, 16),
                  rows[i].ok);
        check_text(rows[i].json, slice_of(status), rows[i].status);
    }
    assert_false(sasl_oauth_failure(SLICE("not base64"), status, sizeof(status)));
    assert_false(sasl_oauth_failure(SLICE_NONE, status, sizeof(status)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),         cmocka_unit_test(test_plain_not_base64),
        cmocka_unit_test(test_xoauth2),       cmocka_unit_test(test_oauthbearer),
        cmocka_unit_test(test_oauth_refused), cmocka_unit_test(test_oauth_fit),
        cmocka_unit_test(test_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
