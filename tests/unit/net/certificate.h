/* A certificate for one run, made in memory: its own authority, good for
 * "provider.test" and 127.0.0.1. */
#pragma once

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/str.h"

struct certificate {
    char cert_pem[4096], key_pem[4096];
};

static inline void certificate_text(BIO *bio, char *out, size_t cap)
{
    int len = BIO_read(bio, out, (int)cap - 1);

    assert_true(len > 0);
    out[len] = '\0';
    BIO_free(bio);
}

static inline void certificate_extend(X509 *cert, int nid, const char *value)
{
    X509V3_CTX context;
    X509_EXTENSION *extension;

    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, cert, cert, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    assert_non_null(extension);
    X509_add_ext(cert, extension, -1);
    X509_EXTENSION_free(extension);
}

static inline X509 *certificate_self_signed(EVP_PKEY *key)
{
    X509 *cert = X509_new();
    X509_NAME *name = X509_get_subject_name(cert);

    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"provider.test", -1,
                               -1, 0);
    X509_set_issuer_name(cert, name);
    X509_gmtime_adj(X509_getm_notBefore(cert), -60);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_set_pubkey(cert, key);
    certificate_extend(cert, NID_subject_alt_name, "DNS:provider.test,IP:127.0.0.1");
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    return cert;
}

static inline void certificate_make(struct certificate *out)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = certificate_self_signed(key);
    BIO *cert_bio = BIO_new(BIO_s_mem()), *key_bio = BIO_new(BIO_s_mem());

    PEM_write_bio_X509(cert_bio, cert);
    PEM_write_bio_PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL);
    certificate_text(cert_bio, out->cert_pem, sizeof(out->cert_pem));
    certificate_text(key_bio, out->key_pem, sizeof(out->key_pem));
    X509_free(cert);
    EVP_PKEY_free(key);
}
