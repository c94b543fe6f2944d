/* What we sign, as OpenSSL verifies it; and the keys that sign. */
#include "check.h"

#include <jansson.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <sodium.h>

#include "broker/key_maker.h"
#include "broker/oauth/jwt.h"

#define EXPIRES_S 1893456000 /* 2030-01-01 */

static struct made_key made, other;

static size_t decode(struct slice text, unsigned char *out, size_t cap)
{
    size_t len;

    assert_int_equal(sodium_base642bin(out, cap, text.ptr, text.len, NULL, &len, NULL,
                                       sodium_base64_VARIANT_URLSAFE_NO_PADDING),
                     0);
    return len;
}

static json_t *part(struct slice text)
{
    unsigned char octets[4096];
    size_t len = decode(text, octets, sizeof(octets));
    json_t *object = json_loadb((const char *)octets, len, 0, NULL);

    assert_non_null(object);
    return object;
}

static bool verify(struct slice covered, struct slice signature, EVP_PKEY *key, bool pss)
{
    unsigned char octets[1024];
    size_t len = decode(signature, octets, sizeof(octets));
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    EVP_PKEY_CTX *context;
    bool ok;

    assert_int_equal(EVP_DigestVerifyInit(digest, &context, EVP_sha256(), NULL, key), 1);
    if (pss) {
        EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING);
        EVP_PKEY_CTX_set_rsa_pss_saltlen(context, 32); /* RFC 7518 section 3.5 */
    }
    ok =
        EVP_DigestVerify(digest, octets, len, (const unsigned char *)covered.ptr, covered.len) == 1;
    EVP_MD_CTX_free(digest);
    return ok;
}

static void text_is(const json_t *object, const char *name, const char *wanted)
{
    check_text(name, slice_of(json_string_value(json_object_get(object, name))), wanted);
}

/* "head.payload.signature" */
static void cut(const char *jwt, struct slice parts[3], struct slice *covered)
{
    const char *first = strchr(jwt, '.'), *second = strrchr(jwt, '.');

    assert_true(first && second && first < second);
    parts[0] = (struct slice){jwt, (size_t)(first - jwt)};
    parts[1] = (struct slice){first + 1, (size_t)(second - first - 1)};
    parts[2] = slice_of(second + 1);
    *covered = (struct slice){jwt, (size_t)(second - jwt)};
}

static void x5t_of(const EVP_MD *md, char out[64])
{
    BIO *bio = BIO_new_mem_buf(made.certificate, -1);
    X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len;

    X509_digest(certificate, md, digest, &len);
    sodium_bin2base64(out, 64, digest, len, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    X509_free(certificate);
    BIO_free(bio);
}

static void test_client_assertion(void **state)
{
    const struct signing_key *key = signing_key_get(made.pem, made.certificate, "", NULL);
    struct jwt_claims claims = {.issuer = "cid",
                                .subject = "cid",
                                .audience = "https://login.example/token?a=\"b\"",
                                .id = "unique",
                                .issued_s = 1000,
                                .not_before_s = 990,
                                .expires_s = 1600};
    struct slice parts[3], covered;
    char sha256[64], sha1[64];
    json_t *head, *payload;
    char *jwt;

    (void)state;
    assert_non_null(key);
    check_num("certificate's end", (long long)key->expires_wall_ms, EXPIRES_S * 1000ll);
    x5t_of(EVP_sha256(), sha256);
    x5t_of(EVP_sha1(), sha1);
    for (int rs256 = 0; rs256 < 2; rs256++) {
        jwt = jwt_sign(key, rs256 ? JWT_RS256 : JWT_PS256, &claims);
        assert_non_null(jwt);
        cut(jwt, parts, &covered);
        head = part(parts[0]);
        payload = part(parts[1]);
        text_is(head, "alg", rs256 ? "RS256" : "PS256");
        text_is(head, "typ", "JWT");
        text_is(head, "x5t#S256", sha256);
        text_is(head, "x5t", rs256 ? sha1 : NULL);
        assert_null(json_object_get(head, "kid"));
        text_is(payload, "iss", "cid");
        text_is(payload, "sub", "cid");
        text_is(payload, "aud", claims.audience);
        text_is(payload, "jti", "unique");
        assert_null(json_object_get(payload, "scope"));
        check_num("iat", json_integer_value(json_object_get(payload, "iat")), 1000);
        check_num("nbf", json_integer_value(json_object_get(payload, "nbf")), 990);
        check_num("exp", json_integer_value(json_object_get(payload, "exp")), 1600);
        assert_true(verify(covered, parts[2], made.key, !rs256));
        assert_false(verify(covered, parts[2], made.key, rs256));
        assert_false(verify(covered, parts[2], other.key, !rs256));
        covered.len--;
        assert_false(verify(covered, parts[2], made.key, !rs256));
        json_decref(head);
        json_decref(payload);
        free(jwt);
    }
    signing_key_unref(key);
}

static void test_service_account(void **state)
{
    const struct signing_key *key = signing_key_get(made.pem, "", "kid-1", NULL);
    struct jwt_claims claims = {.issuer = "sa@p.example",
                                .subject = "user@example.com",
                                .audience = "https://t/",
                                .scope = "https://mail.google.com/",
                                .issued_s = 1000,
                                .expires_s = 4600};
    char *jwt = jwt_sign(key, JWT_RS256, &claims);
    struct slice parts[3], covered;
    json_t *head, *payload;

    (void)state;
    cut(jwt, parts, &covered);
    head = part(parts[0]);
    payload = part(parts[1]);
    text_is(head, "kid", "kid-1");
    assert_null(json_object_get(head, "x5t#S256"));
    text_is(payload, "scope", "https://mail.google.com/");
    assert_null(json_object_get(payload, "nbf"));
    assert_null(json_object_get(payload, "jti"));
    assert_true(verify(covered, parts[2], made.key, false));
    json_decref(head);
    json_decref(payload);
    free(jwt);
    signing_key_unref(key);
}

static void test_keys_are_shared(void **state)
{
    const struct signing_key *one = signing_key_get(made.pem, made.certificate, "", NULL);
    const struct signing_key *same = signing_key_get(made.pem, made.certificate, "", NULL);
    const struct signing_key *bare = signing_key_get(made.pem, "", "", NULL);
    const struct signing_key *named = signing_key_get(made.pem, "", "kid", NULL);

    (void)state;
    assert_ptr_equal(one, same);
    assert_ptr_not_equal(one, bare);
    assert_ptr_not_equal(bare, named);
    signing_key_unref(one);
    assert_ptr_equal(signing_key_ref(same), same); /* still there */
    signing_key_unref(same);
    signing_key_unref(same);
    signing_key_unref(bare);
    signing_key_unref(named);
    signing_key_unref(NULL);
    assert_null(signing_key_ref(NULL));
}

static void test_bad_keys(void **state)
{
    struct made_key small;
    char *encrypted = key_encrypted(&made), *elliptic = key_elliptic();
    const struct {
        const char *name, *key, *certificate, *words;
    } rows[] = {
        {"nothing", "", "", "in PEM"},
        {"no PEM", "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC", "", "in PEM"},
        {"a certificate", made.certificate, "", "in PEM"},
        {"encrypted", encrypted, "", "is encrypted"},
        {"elliptic", elliptic, "", "must be an RSA key"},
        {"small", NULL, "", "1024 bits"},
        {"no certificate", made.pem, "hello", "certificate must be in PEM"},
        {"another's certificate", made.pem, other.certificate, "not the key of the certificate"},
    };

    (void)state;
    key_make(&small, 1024, EXPIRES_S);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const char *pem = rows[i].key ? rows[i].key : small.pem;
        struct reason why = {""};

        assert_null(signing_key_get(pem, rows[i].certificate, "", &why));
        if (!strstr(why.text, rows[i].words))
            fail_msg("%s: \"%s\"", rows[i].name, why.text);
        if (strstr(why.text, "MII"))
            fail_msg("%s: a piece of the key: \"%s\"", rows[i].name, why.text);
    }
    key_free(&small);
    free(encrypted);
    free(elliptic);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_client_assertion),
        cmocka_unit_test(test_service_account),
        cmocka_unit_test(test_keys_are_shared),
        cmocka_unit_test(test_bad_keys),
    };
    int failed;

    if (sodium_init() < 0)
        return 1;
    key_make(&made, 2048, EXPIRES_S);
    key_make(&other, 2048, EXPIRES_S);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    key_free(&made);
    key_free(&other);
    return failed;
}
