/* The pure parts of signing somebody in: PKCE, the address a browser ends at, the device
 * flow's answers, and who it was. */
#include "check.h"

#include <stdio.h>

#include "base/codec.h"
#include "broker/oauth/device.h"
#include "broker/oauth/identity.h"
#include "broker/oauth/pkce.h"
#include "broker/oauth/redirect.h"

/* --- PKCE -------------------------------------------------------------------- */

/* RFC 7636 appendix B. */
static void test_challenge_of_the_rfc(void **state)
{
    char challenge[PKCE_TEXT_MAX];

    (void)state;
    pkce_challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", challenge);
    assert_string_equal(challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
}

static void test_verifiers(void **state)
{
    char one[PKCE_TEXT_MAX], two[PKCE_TEXT_MAX];

    (void)state;
    pkce_make_verifier(one);
    pkce_make_verifier(two);
    assert_int_equal(strlen(one), 43);
    assert_int_equal(
        strspn(one, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), 43);
    assert_string_not_equal(one, two);
}

/* --- the address ---------------------------------------------------------------- */

static void test_addresses(void **state)
{
    static const struct {
        const char *text, *code, *csrf, *error, *description;
    } rows[] = {
        {"http://localhost:1/?code=a&state=b", "a", "b", "", ""},
        {"http://localhost:1?state=b&code=a", "a", "b", "", ""},
        {" \t http://127.0.0.1/?code=4%2F0Ab%2Dc&scope=x+y&state=s#frag \r\n", "4/0Ab-c", "s", "",
         ""},
        {"https://h.example/x?code=M.C5%24%24&state=s&session_state=1", "M.C5$$", "s", "", ""},
        {"http://localhost/?code=a&iss=https%3A%2F%2Fh&state=b", "a", "b", "", ""},
        {"?code=a&state=b", "a", "b", "", ""},
        {"/?code=a&state=b", "a", "b", "", ""},
        {"code=a&state=b", "a", "b", "", ""},
        {"state=b&code=a", "a", "b", "", ""},
        {"4/0AbC-_x", "4/0AbC-_x", "", "", ""},
        {"4%2F0AbC", "4/0AbC", "", "", ""},
        {"http://localhost/?error=access_denied&state=b", "", "b", "access_denied", ""},
        {"error=x&error_description=one+two%0d%0a%1b[31m%c3%a9&state=b", "", "b", "x",
         "one two  ?[31m??"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char *copy = exact_copy(slice_of(rows[i].text));
        struct redirect redirect;
        struct reason why = {""};

        if (!redirect_read(&redirect, (struct slice){copy, strlen(rows[i].text)}, &why))
            fail_msg("%s: %s", rows[i].text, why.text);
        check_text(rows[i].text, slice_of(redirect.code), rows[i].code);
        check_text(rows[i].text, slice_of(redirect.state), rows[i].csrf);
        check_text(rows[i].text, slice_of(redirect.error), rows[i].error);
        check_text(rows[i].text, slice_of(redirect.description), rows[i].description);
        free(copy);
    }
}

static void test_what_is_no_address(void **state)
{
    static const char *const rows[] = {"",
                                       "   ",
                                       "two words",
                                       "http://localhost:1/",
                                       "http://localhost:1/?state=b",
                                       "http://localhost:1/?code=",
                                       "http://localhost:1/?code=a%2&state=b",
                                       "http://localhost:1/?code=a%zz",
                                       "http://localhost:1/?code=a%00b",
                                       "http://localhost:1/?code=a+b",
                                       "http://localhost:1/?code=a%0ab",
                                       "http://localhost:1/?code=a&code=b",
                                       "http://localhost:1/?code=a&state=b&state=b",
                                       "http://localhost:1/?code=a&error=b",
                                       "code=a&code=a",
                                       "caf\xc3\xa9",
                                       "http://localhost:1/#code=a&state=b"};
    char *large = malloc(REDIRECT_TEXT_MAX + 2);
    struct redirect redirect;
    struct reason why;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        why.text[0] = '\0';
        if (redirect_read(&redirect, slice_of(rows[i]), &why))
            fail_msg("taken: %s", rows[i]);
        assert_true(why.text[0]);
    }
    assert_non_null(large);
    memset(large, 'x', REDIRECT_TEXT_MAX + 1);
    for (size_t len = REDIRECT_CODE_MAX; len <= REDIRECT_TEXT_MAX + 1; len += 8192 + 1)
        assert_false(redirect_read(&redirect, (struct slice){large, len}, &why));
    assert_true(redirect_read(&redirect, (struct slice){large, REDIRECT_CODE_MAX - 1}, &why));
    free(large);
}

static void test_redirect_addresses(void **state)
{
    static const char *const good[] = {"http://localhost",        "http://localhost:41234",
                                       "http://localhost:41234/", "http://127.0.0.1:1/cb?x=y",
                                       "http://[::1]:9",          "https://relay.example.com/cb"};
    static const char *const bad[] = {"",
                                      "http://",
                                      "http://example.com",
                                      "http://localhost.example.com",
                                      "http://localhost:",
                                      "http://localhost:x",
                                      "http://localhost:123456",
                                      "http://localhost@example.com/",
                                      "https://",
                                      "https:///x",
                                      "ftp://localhost",
                                      "http://localhost/#x",
                                      "http://localhost/ x",
                                      "http://localhost/\n",
                                      "urn:ietf:wg:oauth:2.0:oob"};
    char large[600] = "https://h/";

    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++)
        check_num(good[i], redirect_uri_allowed(good[i]), true);
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        check_num(bad[i], redirect_uri_allowed(bad[i]), false);
    memset(large + 10, 'x', 500);
    assert_false(redirect_uri_allowed(large));
}

/* --- devices ------------------------------------------------------------------------- */

static bool read_device(struct device_grant *grant, long status, const char *body,
                        struct oauth_response *failure)
{
    struct oauth_answer answer = {.status = status, .body = slice_of(body)};

    return device_grant_read(grant, &answer, failure);
}

static void test_device_codes(void **state)
{
    struct device_grant grant;
    struct oauth_response failure;

    (void)state;
    assert_true(read_device(&grant, 200,
                            "{\"device_code\":\"secret\",\"user_code\":\"ABCD-EFGH\","
                            "\"verification_uri\":\"https://microsoft.com/devicelogin\","
                            "\"expires_in\":900,\"interval\":5,\"message\":\"x\"}",
                            &failure));
    assert_string_equal(grant.device_code, "secret");
    assert_string_equal(grant.user_code, "ABCD-EFGH");
    assert_string_equal(grant.verification_uri, "https://microsoft.com/devicelogin");
    assert_string_equal(grant.complete, "");
    assert_int_equal(grant.expires_ms, 900000);
    assert_int_equal(grant.interval_ms, 5000);
    device_grant_clear(&grant);
    assert_null(grant.device_code);
    /* Google's older word, quoted numbers, the interval's default, a life without end. */
    assert_true(read_device(&grant, 200,
                            "{\"device_code\":\"s\",\"user_code\":\"A\",\"verification_url\":"
                            "\"https://h/d\",\"verification_uri_complete\":\"https://h/d?c=A\","
                            "\"expires_in\":\"99999999999\"}",
                            &failure));
    assert_string_equal(grant.complete, "https://h/d?c=A");
    assert_int_equal(grant.interval_ms, DEVICE_INTERVAL_S * 1000);
    assert_int_equal(grant.expires_ms, DEVICE_LIFE_MAX_S * 1000);
    device_grant_clear(&grant);
}

#define USER "{\"device_code\":\"s\",\"user_code\":\"A\",\"verification_uri\":"

static void test_what_is_no_device_code(void **state)
{
    static const char *const rows[] = {
        "",
        "[]",
        "{}",
        "{\"device_code\":\"\"}",
        "{\"device_code\":\"a b\",\"user_code\":\"A\"}",
        "{\"device_code\":\"s\"}",
        "{\"device_code\":\"s\",\"user_code\":\"A\\u001b\"}",
        "{\"device_code\":\"s\",\"user_code\":\"A\"}",
        USER "\"javascript:x\",\"expires_in\":9}",
        USER "\"https://h\"}",
        USER "\"https://h\",\"expires_in\":-1}",
    };
    struct device_grant grant;
    struct oauth_response failure;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (read_device(&grant, 200, rows[i], &failure))
            fail_msg("taken: %s", rows[i]);
        assert_true(failure.text[0]);
        assert_int_equal(failure.class_, OAUTH_TRANSIENT);
        assert_null(grant.device_code);
        oauth_response_clear(&failure);
    }
    assert_false(read_device(&grant, 400, "{\"error\":\"invalid_client\"}", &failure));
    assert_int_equal(failure.class_, OAUTH_APP);
}

static void test_polls(void **state)
{
    static const struct {
        long status;
        const char *body;
        enum device_poll wants;
    } rows[] = {
        {200, "{\"access_token\":\"t\",\"token_type\":\"Bearer\"}", DEVICE_GRANTED},
        {400, "{\"error\":\"authorization_pending\"}", DEVICE_PENDING},
        {400, "{\"error\":\"authorization_pending\",\"error_codes\":[70016]}", DEVICE_PENDING},
        {428, "{\"error\":\"authorization_pending\"}", DEVICE_PENDING},
        {400, "{\"error\":\"slow_down\"}", DEVICE_SLOWER},
        {429, "{\"error\":\"slow_down\"}", DEVICE_SLOWER},
        {429, "Too many", DEVICE_SLOWER},
        {400, "{\"error\":\"authorization_declined\"}", DEVICE_DECLINED},
        {400, "{\"error\":\"access_denied\"}", DEVICE_DECLINED},
        {400, "{\"error\":\"expired_token\"}", DEVICE_EXPIRED},
        {400, "{\"error\":\"code_expired\"}", DEVICE_EXPIRED},
        {400, "{\"error\":\"bad_verification_code\"}", DEVICE_REFUSED},
        {400, "{\"error\":\"invalid_grant\"}", DEVICE_REFUSED},
        {401, "{\"error\":\"invalid_client\"}", DEVICE_REFUSED},
        {400, "{\"error\":\"whatever\"}", DEVICE_REFUSED},
        {500, "", DEVICE_AGAIN},
        {503, "{\"error\":\"temporarily_unavailable\"}", DEVICE_AGAIN},
        {502, "<html>Bad Gateway</html>", DEVICE_AGAIN},
    };
    struct oauth_response response;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct oauth_answer answer = {.status = rows[i].status, .body = slice_of(rows[i].body)};

        oauth_response_read(&response, &answer);
        check_num(rows[i].body, device_poll_of(&response), rows[i].wants);
        oauth_response_clear(&response);
    }
    oauth_response_failed(&response, "connection refused");
    assert_int_equal(device_poll_of(&response), DEVICE_AGAIN);
}

/* --- who it was --------------------------------------------------------------------------- */

#define NOW_MS 1700000000000u

static void read_claims(struct identity *identity, const char *claims, const char *more)
{
    char encoded[1024], body[2048];

    base64url_encode(claims, strlen(claims), encoded);
    snprintf(body, sizeof(body), "{\"id_token\":\"eyJhbGciOiJub25lIn0.%s.c2ln\"%s}", encoded, more);
    identity_read(identity, slice_of(body), "client", NOW_MS);
}

static void test_names(void **state)
{
    static const struct {
        const char *claims, *name;
        bool is, claimed;
    } rows[] = {
        {"{\"aud\":\"client\",\"email\":\"Me@Example.com\",\"email_verified\":true}",
         "Me@Example.com", true, true},
        {"{\"aud\":\"client\",\"email\":\"me@example.com\",\"email_verified\":\"true\"}",
         "me@example.com", true, true},
        /* Nobody vouches for it. */
        {"{\"aud\":\"client\",\"email\":\"me@example.com\"}", "me@example.com", false, true},
        {"{\"aud\":\"client\",\"email\":\"me@example.com\",\"email_verified\":1}", "me@example.com",
         false, true},
        {"{\"aud\":\"client\",\"email\":\"me@example.com\",\"upn\":\"you@example.com\"}",
         "me@example.com", false, true},
        {"{\"aud\":[\"x\",\"client\"],\"preferred_username\":\"me@example.com\"}", "me@example.com",
         true, true},
        {"{\"aud\":\"client\",\"email\":\"alias@example.com\",\"upn\":\"me@example.com\"}",
         "alias@example.com", true, true},
        {"{\"aud\":\"client\",\"email\":\"you@example.com\"}", "you@example.com", false, false},
        {"{\"aud\":\"other\",\"email\":\"me@example.com\"}", "", false, false},
        {"{\"email\":\"me@example.com\"}", "", false, false},
        {"{\"aud\":\"client\",\"email\":\"me@example.com\",\"email_verified\":false}", "", false,
         false},
        {"{\"aud\":\"client\",\"email\":\"me@example.com\",\"email_verified\":\"false\"}", "",
         false, false},
        {"{\"aud\":\"client\",\"upn\":\"me@example.com\",\"exp\":1699999701}", "me@example.com",
         true, true},
        {"{\"aud\":\"client\",\"upn\":\"me@example.com\",\"exp\":1699999699}", "", false, false},
        {"{\"aud\":\"client\",\"upn\":\"me@example.com\",\"exp\":-1e300}", "", false, false},
        {"{\"aud\":\"client\",\"preferred_username\":\"me\"}", "", false, false},
        {"{\"aud\":\"client\",\"email\":\"me@example.com\\u0000\"}", "", false, false},
        {"{\"aud\":\"client\",\"email\":\"me@example.com \"}", "", false, false},
        {"{\"aud\":\"client\",\"email\":7}", "", false, false},
        {"[]", "", false, false},
        {"{", "", false, false},
    };
    struct identity identity;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        read_claims(&identity, rows[i].claims, "");
        check_text(rows[i].claims, slice_of(identity_name(&identity)), rows[i].name);
        check_num(rows[i].claims, identity_is(&identity, "me@example.com"), rows[i].is);
        check_num(rows[i].claims, identity_claims(&identity, "me@example.com"), rows[i].claimed);
    }
}

static void test_tokens_that_are_none(void **state)
{
    static const char *const rows[] = {"",
                                       "{}",
                                       "{\"id_token\":7}",
                                       "{\"id_token\":\"\"}",
                                       "{\"id_token\":\"a.b\"}",
                                       "{\"id_token\":\"..\"}",
                                       "{\"id_token\":\"a.b.c\"}",
                                       "{\"id_token\":\"a.!!!!.c\"}",
                                       "{\"id_token\":\"a.eyJ9.c\"}"};
    struct identity identity;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        identity_read(&identity, slice_of(rows[i]), "client", NOW_MS);
        check_text(rows[i], slice_of(identity_name(&identity)), "");
        assert_false(identity_is(&identity, "me@example.com"));
    }
}

static void test_permissions(void **state)
{
    static const char google[] = "https://mail.google.com/ openid email";
    static const char microsoft[] = "https://outlook.office.com/SMTP.Send offline_access openid";
    static const struct {
        const char *asked, *given;
        bool lacks;
    } rows[] = {
        {google, "", false}, /* not told */
        {google, "openid https://www.googleapis.com/auth/userinfo.email https://mail.google.com/",
         false},
        {google, "openid https://www.googleapis.com/auth/userinfo.email", true},
        {microsoft, "https://outlook.office.com/SMTP.Send", false},
        {microsoft, "openid SMTP.Send", false},
        {microsoft, "https://outlook.office365.com/smtp.send", false},
        {microsoft, "https://outlook.office.com/IMAP.AccessAsUser.All openid", true},
        {"openid mail", "openid", false}, /* words of which nobody knows what is given for them */
    };
    struct identity identity;
    char lacking[64], more[256];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        snprintf(more, sizeof(more), ",\"scope\":\"%s\"", rows[i].given);
        read_claims(&identity, "{}", more);
        check_num(rows[i].given, identity_lacks(&identity, rows[i].asked, lacking, sizeof(lacking)),
                  rows[i].lacks);
        if (rows[i].lacks)
            assert_non_null(strstr(rows[i].asked, lacking));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_challenge_of_the_rfc),
        cmocka_unit_test(test_verifiers),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_what_is_no_address),
        cmocka_unit_test(test_redirect_addresses),
        cmocka_unit_test(test_device_codes),
        cmocka_unit_test(test_what_is_no_device_code),
        cmocka_unit_test(test_polls),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_tokens_that_are_none),
        cmocka_unit_test(test_permissions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
