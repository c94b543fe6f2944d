/* What access tokens say of themselves. */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/codec.h"
#include "broker/oauth/claims.h"

#define NOW_S 1800000000
#define HEADER "{\"alg\":\"RS256\",\"typ\":\"JWT\"}"

/* header.payload.signature; the caller's memory is enough. */
static struct slice make(const char *header, const char *payload, char *out)
{
    size_t len = base64url_encode(header, strlen(header), out);

    out[len++] = '.';
    len += base64url_encode(payload, strlen(payload), out + len);
    memcpy(out + len, ".c2ln", 6);
    return (struct slice){out, len + 5};
}

static struct claims read(const char *payload)
{
    char token[16384];
    struct claims claims;
    struct slice made = make(HEADER, payload, token);
    char *exact = exact_copy(made);

    if (!claims_read((struct slice){exact, made.len}, &claims))
        fail_msg("%s: not read", payload);
    free(exact);
    return claims;
}

static void test_all_claims(void **state)
{
    struct claims claims = read(
        "{\"aud\":\"https://outlook.office.com\",\"appid\":\"app\",\"tid\":\"tenant\",\"scp\":"
        "\"SMTP.Send IMAP.AccessAsUser.All\",\"upn\":\"a@example.com\",\"oid\":\"object\",\"iat\":"
        "1,\"nbf\":2,\"exp\":1800000000,\"sub\":\"x\"}");
    char line[1000];
    struct text text;

    (void)state;
    check_text("aud", slice_of(claims.audience), "https://outlook.office.com");
    check_text("appid", slice_of(claims.application), "app");
    check_text("tid", slice_of(claims.tenant), "tenant");
    check_text("scp", slice_of(claims.scopes), "SMTP.Send IMAP.AccessAsUser.All");
    check_text("upn", slice_of(claims.user), "a@example.com");
    check_text("oid", slice_of(claims.object), "object");
    check_num("iat", claims.issued_s, 1);
    check_num("nbf", claims.not_before_s, 2);
    check_num("exp", claims.expires_s, NOW_S);
    text_init(&text, line, sizeof(line));
    text_add_str(&text, "x: ");
    claims_describe(&claims, &text);
    check_text("said", slice_of(line),
               "x: aud https://outlook.office.com, scp SMTP.Send IMAP.AccessAsUser.All, user "
               "a@example.com, appid app, tid tenant, oid object, exp 2027-01-15T08:00:00Z");
}

static void test_other_spellings(void **state)
{
    struct claims claims =
        read("{\"aud\":[\"a\",\"b\",7],\"azp\":\"app\",\"scope\":\"s\",\"roles\":["
             "\"SMTP.SendAsApp\",\"Mail.Send\"],\"preferred_username\":\"u\","
             "\"exp\":\"soon\",\"iat\":-5,\"nbf\":1e300}");

    (void)state;
    check_text("aud", slice_of(claims.audience), "a b ");
    check_text("azp", slice_of(claims.application), "app");
    check_text("scope", slice_of(claims.scopes), "s");
    check_text("roles", slice_of(claims.roles), "SMTP.SendAsApp Mail.Send");
    check_text("user", slice_of(claims.user), "u");
    check_num("exp", claims.expires_s, 0);
    check_num("iat", claims.issued_s, 0);
    check_num("nbf", claims.not_before_s, 0);
    claims = read("{}");
    check_text("aud", slice_of(claims.audience), "");
}

/* What is no token of ours goes to a terminal and a log. */
static void test_hostile_texts(void **state)
{
    char payload[4000], big[3000];
    struct claims claims = read("{\"aud\":\"\\u001b[2Jx\\n\\u00e4\\u007fy\"}");

    (void)state;
    check_text("aud", slice_of(claims.audience), "?[2Jx????y");
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    snprintf(payload, sizeof(payload), "{\"aud\":\"%s\",\"scp\":\"%s\"}", big, "");
    claims = read(payload);
    check_num("cut", (long long)strlen(claims.audience), sizeof(claims.audience) - 1);
}

static void test_opaque(void **state)
{
    static const char *const tokens[] = {
        "",          "ya29.a0AfH6SMBx", "ya29.a0.x",  "a.b",          "a.b.c.d.e",
        "..",        "e30.e30",         "e30..x",     "e30.W10.x", /* [] */
        "W10.e30.x", "e30.e3.x",        "e30.e30=.x", "EwB4A8l6BAAU="};
    char token[200];
    struct claims claims;
    struct slice made;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(tokens); i++) {
        if (claims_read(slice_of(tokens[i]), &claims))
            fail_msg("\"%s\" is no JWT", tokens[i]);
    }
    assert_true(claims_read(SLICE("e30.e30.x"), &claims));
    made = make(HEADER, "{\"aud\":\"a\"", token);
    assert_false(claims_read(made, &claims));
    assert_true(claims_read(make("{}", "{\"a\":\"\xc3\xa4\"}", token), &claims));
}

static void test_verdicts(void **state)
{
#define GOOD_AUD "\"aud\":\"https://outlook.office.com\""
    static const struct {
        const char *provider, *payload;
        enum claims_verdict verdict;
        const char *says;
    } rows[] = {
        {"outlook", "{" GOOD_AUD ",\"scp\":\"SMTP.Send\"}", CLAIMS_GOOD, ""},
        {"outlook", "{\"aud\":\"00000002-0000-0ff1-ce00-000000000000\",\"scp\":\"SMTP.Send\"}",
         CLAIMS_GOOD, ""},
        {"outlook-us", "{\"aud\":\"https://outlook.office365.us\",\"scp\":\"SMTP.Send\"}",
         CLAIMS_GOOD, ""},
        {"outlook", "{\"aud\":\"https://graph.microsoft.com\",\"scp\":\"SMTP.Send\"}", CLAIMS_BAD,
         "graph.microsoft.com"},
        {"outlook", "{\"aud\":\"00000003-0000-0000-c000-000000000000\",\"scp\":\"SMTP.Send\"}",
         CLAIMS_BAD, "00000003-0000-0000-c000-000000000000"},
        {"outlook", "{" GOOD_AUD ",\"scp\":\"IMAP.AccessAsUser.All\"}", CLAIMS_BAD, "no SMTP.Send"},
        {"outlook", "{" GOOD_AUD ",\"roles\":[\"SMTP.SendAsApp\"]}", CLAIMS_GOOD, ""},
        {"outlook", "{" GOOD_AUD "}", CLAIMS_DOUBTFUL, "SMTP.SendAsApp"}, /* RBAC does not show */
        {"outlook", "{" GOOD_AUD ",\"scp\":\"SMTP.Send\",\"exp\":1800000000}", CLAIMS_BAD,
         "expired"},
        {"outlook", "{" GOOD_AUD ",\"scp\":\"SMTP.Send\",\"exp\":1800000001}", CLAIMS_GOOD, ""},
        {"outlook", "{" GOOD_AUD ",\"scp\":\"SMTP.Send\",\"nbf\":1800000121}", CLAIMS_DOUBTFUL,
         "clock"},
        {"outlook", "{" GOOD_AUD ",\"scp\":\"SMTP.Send\",\"iat\":1800000120}", CLAIMS_GOOD, ""},
        {"zoho", "{\"aud\":\"anything\",\"scp\":\"mail\"}", CLAIMS_GOOD, ""},
        {"zoho", "{\"exp\":1}", CLAIMS_BAD, "expired"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct claims claims = read(rows[i].payload);
        struct reason why = {""};
        enum claims_verdict verdict =
            claims_judge(&claims, rows[i].provider, NOW_S * 1000ull, &why);

        if (verdict != rows[i].verdict || !strstr(why.text, rows[i].says) ||
            (verdict == CLAIMS_GOOD && why.text[0]))
            fail_msg("%s: %d, %s", rows[i].payload, (int)verdict, why.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_claims),    cmocka_unit_test(test_other_spellings),
        cmocka_unit_test(test_hostile_texts), cmocka_unit_test(test_opaque),
        cmocka_unit_test(test_verdicts),
    };

    return cmocka_run_group_tests_name("broker/claims", tests, NULL, NULL);
}
