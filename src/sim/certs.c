#include "sim/certs.h"

#include <arpa/inet.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "sim/files.h"

#define CA_DAYS 3650
#define DAY 86400

struct issue {
    const char *common_name;
    int days;
    bool ca;
    const char
        *names; /* for a server: the alternative names; NULL: a certificate of another kind */
};

static bool add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509_EXTENSION *extension;
    X509V3_CTX context;
    bool ok;

    X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    ok = extension && X509_add_ext(cert, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return ok;
}

/* "localhost,::1" -> "DNS:localhost,IP:::1" */
static void write_names(const char *names, char *out, size_t cap)
{
    char copy[512], *save = NULL, *name;
    struct text text;

    text_init(&text, out, cap);
    slice_copy(slice_of(names), copy, sizeof(copy));
    for (name = strtok_r(copy, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
        unsigned char binary[16];
        bool number = inet_pton(AF_INET, name, binary) == 1 || inet_pton(AF_INET6, name, binary);

        text_addf(&text, "%s%s:%s", text.len ? "," : "", number ? "IP" : "DNS", name);
    }
}

static bool add_extensions(X509 *cert, X509 *issuer, const struct issue *issue)
{
    char names[1024];

    if (issue->ca)
        return add_extension(cert, issuer, NID_basic_constraints, "critical,CA:TRUE") &&
               add_extension(cert, issuer, NID_key_usage, "critical,keyCertSign,cRLSign") &&
               add_extension(cert, issuer, NID_subject_key_identifier, "hash");
    if (!issue->names)
        return add_extension(cert, issuer, NID_subject_key_identifier, "hash");
    write_names(issue->names, names, sizeof(names));
    return add_extension(cert, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(cert, issuer, NID_key_usage, "critical,digitalSignature") &&
           add_extension(cert, issuer, NID_ext_key_usage, "serverAuth") &&
           add_extension(cert, issuer, NID_subject_key_identifier, "hash") &&
           add_extension(cert, issuer, NID_authority_key_identifier, "keyid") &&
           add_extension(cert, issuer, NID_subject_alt_name, names);
}

static void set_lifetime(X509 *cert, int days)
{
    /* An expired one was valid before; an hour's grace for clocks. */
    long start = days < 0 ? (long)(days - 30) * DAY : -3600;

    X509_gmtime_adj(X509_getm_notBefore(cert), start);
    X509_gmtime_adj(X509_getm_notAfter(cert), (long)days * DAY);
}

static void set_serial(X509 *cert)
{
    uint64_t serial = 1;

    RAND_bytes((unsigned char *)&serial, sizeof(serial));
    ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), serial >> 1 | 1);
}

/* `issuer` NULL: self-signed. */
static X509 *make_cert(EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key, const struct issue *issue)
{
    X509 *cert = X509_new();
    X509_NAME *name;

    if (!cert)
        return NULL;
    X509_set_version(cert, X509_VERSION_3);
    set_serial(cert);
    set_lifetime(cert, issue->days);
    X509_set_pubkey(cert, key);
    name = X509_get_subject_name(cert);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)issue->common_name,
                               -1, -1, 0);
    X509_set_issuer_name(cert, issuer ? X509_get_subject_name(issuer) : name);
    if (!add_extensions(cert, issuer ? issuer : cert, issue) ||
        !X509_sign(cert, issuer ? issuer_key : key, EVP_sha256())) {
        X509_free(cert);
        return NULL;
    }
    return cert;
}

bool certs_write(const char *dir, const char *name, X509 *cert, EVP_PKEY *key, struct reason *why)
{
    BIO *out = BIO_new(BIO_s_mem());
    char *bytes;
    long len;
    bool ok;

    if (cert)
        PEM_write_bio_X509(out, cert);
    if (key)
        PEM_write_bio_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL);
    len = BIO_get_mem_data(out, &bytes);
    ok = file_write(dir, name, (struct slice){bytes, (size_t)len}, why);
    BIO_free(out);
    return ok;
}

static bool make_all(const struct options *options, struct reason *why)
{
    const char *dir = options->state_dir;
    const struct issue root = {"bearer-sim test CA", CA_DAYS, true, NULL};
    const struct issue leaf = {"bearer-sim", options->cert_days, false, options->cert_names};
    EVP_PKEY *ca_key = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
    X509 *ca = ca_key ? make_cert(ca_key, NULL, NULL, &root) : NULL;
    X509 *cert = ca && key ? make_cert(key, ca, ca_key, &leaf) : NULL;
    bool ok = cert ? certs_write(dir, "server.key", NULL, key, why) &&
                         certs_write(dir, "server.pem", cert, NULL, why) &&
                         certs_write(dir, "ca.pem", ca, NULL, why)
                   : reason_set(why, "cannot make a certificate for \"%s\"", options->cert_names);

    X509_free(ca);
    X509_free(cert);
    EVP_PKEY_free(ca_key);
    EVP_PKEY_free(key);
    return ok;
}

X509 *certs_self_signed(EVP_PKEY *key, const char *common_name)
{
    const struct issue issue = {common_name, CA_DAYS, false, NULL};

    return make_cert(key, NULL, NULL, &issue);
}

bool certs_ready(struct certs *certs, const struct options *options, struct reason *why)
{
    const char *dir = options->state_dir;

    if ((!file_exists(dir, "ca.pem") || !file_exists(dir, "server.pem") ||
         !file_exists(dir, "server.key")) &&
        !make_all(options, why))
        return false;
    certs->chain = file_read(dir, "server.pem", why);
    certs->key = certs->chain ? file_read(dir, "server.key", why) : NULL;
    return certs->key != NULL;
}

void certs_clear(struct certs *certs)
{
    free(certs->chain);
    free(certs->key);
    *certs = (struct certs){0};
}
