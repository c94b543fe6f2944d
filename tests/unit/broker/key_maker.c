#include "broker/key_maker.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

static char *text_of(BIO *bio)
{
    char *octets, *copy;
    long len = BIO_get_mem_data(bio, &octets);

    copy = calloc(1, (size_t)len + 1);
    memcpy(copy, octets, (size_t)len);
    BIO_free(bio);
    return copy;
}

static char *key_pem(EVP_PKEY *key, const EVP_CIPHER *cipher)
{
    BIO *bio = BIO_new(BIO_s_mem());

    PEM_write_bio_PKCS8PrivateKey(bio, key, cipher, cipher ? "open" : NULL, cipher ? 4 : 0, NULL,
                                  NULL);
    return text_of(bio);
}

static char *certificate_of(EVP_PKEY *key, int64_t expires_s)
{
    X509 *certificate = X509_new();
    BIO *bio = BIO_new(BIO_s_mem());
    X509_NAME *name;

    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    ASN1_TIME_set(X509_getm_notBefore(certificate), 0);
    ASN1_TIME_set(X509_getm_notAfter(certificate), (time_t)expires_s);
    name = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"app", -1, -1, 0);
    X509_set_issuer_name(certificate, name);
    X509_set_pubkey(certificate, key);
    X509_sign(certificate, key, EVP_sha256());
    PEM_write_bio_X509(bio, certificate);
    X509_free(certificate);
    return text_of(bio);
}

char *key_for_json(const char *pem)
{
    char *out = calloc(2, strlen(pem) + 1), *at = out;

    for (; *pem; pem++) {
        if (*pem == '\n')
            *at++ = '\\';
        *at++ = (char)(*pem == '\n' ? 'n' : *pem);
    }
    return out;
}

void key_make(struct made_key *made, int bits, int64_t expires_s)
{
    made->key = EVP_RSA_gen((unsigned)bits);
    made->pem = key_pem(made->key, NULL);
    made->certificate = certificate_of(made->key, expires_s);
    made->json_pem = key_for_json(made->pem);
    made->json_certificate = key_for_json(made->certificate);
}

char *key_encrypted(const struct made_key *made)
{
    return key_pem(made->key, EVP_aes_128_cbc());
}

char *key_elliptic(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    char *pem = key_pem(key, NULL);

    EVP_PKEY_free(key);
    return pem;
}

void key_free(struct made_key *made)
{
    EVP_PKEY_free(made->key);
    free(made->pem);
    free(made->certificate);
    free(made->json_pem);
    free(made->json_certificate);
}
