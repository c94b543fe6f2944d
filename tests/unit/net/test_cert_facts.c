/* What certificates say, and which one a handshake failed on. */
#include "check.h"

#include "net/cert_facts.h"
#include "net/certificate.h"
#include "net/tls.h"

#define UNTIL 1893456000 /* 2030-01-01 */

/* A bare one, which a test completes and signs. */
static X509 *make_bare(EVP_PKEY *key, long from, long until)
{
    X509 *cert = X509_new();

    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    ASN1_TIME_set(X509_getm_notBefore(cert), from);
    ASN1_TIME_set(X509_getm_notAfter(cert), until);
    X509_set_pubkey(cert, key);
    return cert;
}

static void name(X509_NAME *name, const char *field, const char *value)
{
    X509_NAME_add_entry_by_txt(name, field, MBSTRING_ASC, (const unsigned char *)value, -1, -1, 0);
}

static struct cert_facts facts_of(const char *common, const char *alternatives,
                                  const char *issuer_common, const char *issuer_organisation)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = make_bare(key, 1, UNTIL);
    X509_NAME *issuer = X509_NAME_new();
    struct cert_facts facts;

    if (common)
        name(X509_get_subject_name(cert), "CN", common);
    if (issuer_common)
        name(issuer, "CN", issuer_common);
    if (issuer_organisation)
        name(issuer, "O", issuer_organisation);
    X509_set_issuer_name(cert, issuer);
    X509_NAME_free(issuer);
    if (alternatives)
        certificate_extend(cert, NID_subject_alt_name, alternatives);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    cert_facts_read(cert, &facts);
    X509_free(cert);
    EVP_PKEY_free(key);
    return facts;
}

static void test_facts(void **state)
{
    struct cert_facts facts =
        facts_of("x", "DNS:a.example,IP:192.0.2.1,IP:2001:db8::1", "R3", "Let's Encrypt");

    (void)state;
    check_text("text", slice_of(facts.text),
               "for a.example, 192.0.2.1, 2001:db8::1, issued by R3 (Let's Encrypt), until "
               "2030-01-01");
    check_text("until", slice_of(facts.until), "2030-01-01T00:00:00Z");
    check_num("until", (long long)facts.until_wall_ms, UNTIL * 1000ll);
    facts = facts_of("mail.example", NULL, NULL, "Org");
    check_text("text", slice_of(facts.text), "for mail.example, issued by Org, until 2030-01-01");
    facts = facts_of(NULL, NULL, NULL, NULL);
    check_text("text", slice_of(facts.text), "for , until 2030-01-01");
    cert_facts_read(NULL, &facts);
    check_text("text", slice_of(facts.text), "");
    check_num("until", (long long)facts.until_wall_ms, 0);
}

static void test_many_and_hostile_names(void **state)
{
    struct cert_facts facts = facts_of(
        "x", "DNS:a.x,DNS:b.x,email:y@x,DNS:c.x,DNS:d.x,DNS:e.x,DNS:f.x", "a\x1b[2Jb", NULL);
    char huge[600], many[5 * sizeof(huge)], name64[65] = "";

    (void)state;
    check_text("text", slice_of(facts.text),
               "for a.x, b.x, c.x, d.x and 2 more, issued by a?[2Jb, until 2030-01-01");
    memset(huge, 'h', sizeof(huge) - 1);
    huge[sizeof(huge) - 1] = '\0';
    memcpy(huge, "DNS:", 4);
    facts = facts_of("x", huge, "y", NULL);
    check_text("until", slice_of(facts.until), "2030-01-01T00:00:00Z");
    /* However long the names are, what matters is still told. */
    huge[200] = '\0';
    snprintf(many, sizeof(many), "%s,%s,%s,%s,%s", huge, huge, huge, huge, huge);
    memset(name64, 'i', 64);
    facts = facts_of("x", many, name64, name64);
    assert_non_null(strstr(facts.text, "hhh... and 1 more, issued by iii"));
    assert_non_null(strstr(facts.text, "...), until 2030-01-01"));
}

/* --- handshakes ---------------------------------------------------------------------- */

static SSL_CTX *server_context(X509 *cert, EVP_PKEY *key)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());

    SSL_CTX_use_certificate(context, cert);
    SSL_CTX_use_PrivateKey(context, key);
    return context;
}

static void exchange(SSL *client, SSL *server)
{
    BIO *one, *two;

    BIO_new_bio_pair(&one, 0, &two, 0);
    SSL_set_bio(client, one, one);
    SSL_set_bio(server, two, two);
    for (int i = 0; i < 10; i++) {
        SSL_do_handshake(client);
        SSL_do_handshake(server);
    }
}

/* Trusted or not, good for `names`, from and until these seconds from now. */
static void shake(bool trusted, const char *names, long from, long until, const char *says,
                  const char *error)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = make_bare(key, 0, 0);
    BIO *pem = BIO_new(BIO_s_mem());
    struct certificate other;
    char text[4096], why[300];
    struct cert_facts faulty = {.until_wall_ms = 0};
    SSL_CTX *client_context, *context;
    SSL *client, *server;

    X509_gmtime_adj(X509_getm_notBefore(cert), from);
    X509_gmtime_adj(X509_getm_notAfter(cert), until);
    name(X509_get_subject_name(cert), "CN", "me");
    X509_set_issuer_name(cert, X509_get_subject_name(cert));
    certificate_extend(cert, NID_subject_alt_name, names);
    X509_sign(cert, key, EVP_sha256());
    PEM_write_bio_X509(pem, cert);
    certificate_text(pem, text, sizeof(text));
    certificate_make(&other);
    client_context = tls_client_context(slice_of(trusted ? text : other.cert_pem), NULL);
    context = server_context(cert, key);
    client = tls_client(client_context, "provider.test", NULL);
    server = tls_server(context);
    cert_facts_watch(client, &faulty);
    exchange(client, server);
    if (error) {
        tls_error_text(client, why, sizeof(why));
        assert_false(SSL_is_init_finished(client));
        if (!strstr(why, error))
            fail_msg("%s: not %s", why, error);
        if (!strstr(faulty.text, says))
            fail_msg("%s: not %s", faulty.text, says);
    } else {
        assert_true(SSL_is_init_finished(client));
        check_text("no fault", slice_of(faulty.text), "");
    }
    cert_facts_unwatch(client);
    SSL_free(client);
    SSL_free(server);
    SSL_CTX_free(context);
    SSL_CTX_free(client_context);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static void test_handshakes(void **state)
{
    (void)state;
    shake(true, "DNS:provider.test", -60, 3600, "", NULL);
    shake(true, "DNS:other.test", -60, 3600, "for other.test, issued by me", "mismatch");
    shake(true, "DNS:provider.test", -7200, -3600, "for provider.test", "expired");
    shake(true, "DNS:provider.test", 3600, 7200, "for provider.test", "not yet valid");
    shake(false, "DNS:provider.test", -60, 3600, "for provider.test, issued by me", "self-signed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_facts),
        cmocka_unit_test(test_many_and_hostile_names),
        cmocka_unit_test(test_handshakes),
    };

    return cmocka_run_group_tests_name("net/cert_facts", tests, NULL, NULL);
}
