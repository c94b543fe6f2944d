#include "broker/signing_key.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <uthash.h>

#include "base/codec.h"
#include "base/list.h"

#define BITS_MIN 2048

struct shared {
    UT_hash_handle hh;
    size_t users;
    struct signing_key key;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct shared *table;

static struct shared *shared_of(const struct signing_key *key)
{
    return (struct shared *)(uintptr_t)((const char *)key - offsetof(struct shared, key));
}

/* --- reading PEM ---------------------------------------------------------------- */

/* Nobody is there to type a passphrase, and none may be asked for on a terminal. */
static int no_passphrase(char *out, int cap, int writing, void *owner)
{
    bool *asked = owner;

    (void)out;
    (void)cap;
    (void)writing;
    *asked = true;
    return -1;
}

static bool read_key(struct signing_key *key, const char *pem, struct reason *why)
{
    BIO *text = BIO_new_mem_buf(pem, -1);
    bool encrypted = false;

    if (!text)
        return reason_set(why, "out of memory");
    key->key = PEM_read_bio_PrivateKey(text, NULL, no_passphrase, &encrypted);
    BIO_free(text);
    ERR_clear_error();
    if (encrypted)
        return reason_set(why, "is encrypted; decrypt it with openssl pkey -in FILE");
    if (!key->key)
        return reason_set(why, "must be a private key in PEM (-----BEGIN PRIVATE KEY-----)");
    if (EVP_PKEY_base_id(key->key) != EVP_PKEY_RSA)
        return reason_set(why, "must be an RSA key: providers take no other for this");
    if (EVP_PKEY_bits(key->key) < BITS_MIN)
        return reason_set(why, "has %d bits and must have 2048 or more", EVP_PKEY_bits(key->key));
    return true;
}

static uint64_t time_of(const ASN1_TIME *time)
{
    struct tm parts;
    time_t at;

    if (ASN1_TIME_to_tm(time, &parts) != 1)
        return 0;
    at = timegm(&parts);
    return at > 0 ? (uint64_t)at * 1000 : 0;
}

static bool take_digests(struct signing_key *key, const X509 *certificate)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len;

    if (X509_digest(certificate, EVP_sha256(), digest, &len) != 1)
        return false;
    base64url_encode(digest, len, key->sha256);
    if (X509_digest(certificate, EVP_sha1(), digest, &len) != 1)
        return false;
    base64url_encode(digest, len, key->sha1);
    return true;
}

static bool read_certificate(struct signing_key *key, const char *pem, struct reason *why)
{
    BIO *text = BIO_new_mem_buf(pem, -1);
    X509 *certificate = text ? PEM_read_bio_X509(text, NULL, NULL, NULL) : NULL;
    bool ok = false;

    if (!certificate)
        reason_set(why, "its certificate must be in PEM (-----BEGIN CERTIFICATE-----)");
    else if (X509_check_private_key(certificate, key->key) != 1)
        reason_set(why, "is not the key of the certificate");
    else if (!take_digests(key, certificate))
        reason_set(why, "its certificate cannot be digested");
    else
        ok = true;
    if (ok)
        key->expires_wall_ms = time_of(X509_get0_notAfter(certificate));
    X509_free(certificate);
    BIO_free(text);
    ERR_clear_error();
    return ok;
}

/* --- sharing ---------------------------------------------------------------------- */

static void digest_of(const char *key_pem, const char *certificate_pem, const char *id,
                      unsigned char digest[SIGNING_KEY_DIGEST])
{
    const char *const parts[] = {key_pem, certificate_pem, id};
    crypto_generichash_state hash;

    crypto_generichash_init(&hash, NULL, 0, SIGNING_KEY_DIGEST);
    for (size_t i = 0; i < 3; i++) /* with its NUL, so that no two triples look alike */
        crypto_generichash_update(&hash, (const unsigned char *)parts[i], strlen(parts[i]) + 1);
    crypto_generichash_final(&hash, digest, SIGNING_KEY_DIGEST);
    sodium_memzero(&hash, sizeof(hash));
}

static void free_shared(struct shared *shared)
{
    EVP_PKEY_free(shared->key.key); /* OpenSSL wipes what is private in it */
    free(shared->key.id);
    free(shared);
}

static struct shared *make(const char *key_pem, const char *certificate_pem, const char *id,
                           struct reason *why)
{
    struct shared *shared = calloc(1, sizeof(*shared));

    if (!shared || !(shared->key.id = slice_dup(slice_of(id)))) {
        free(shared);
        reason_set(why, "out of memory");
        return NULL;
    }
    if (read_key(&shared->key, key_pem, why) &&
        (!certificate_pem[0] || read_certificate(&shared->key, certificate_pem, why)))
        return shared;
    free_shared(shared);
    return NULL;
}

const struct signing_key *signing_key_get(const char *key_pem, const char *certificate_pem,
                                          const char *id, struct reason *why)
{
    unsigned char digest[SIGNING_KEY_DIGEST];
    struct shared *shared;

    digest_of(key_pem, certificate_pem, id, digest);
    pthread_mutex_lock(&lock);
    HASH_FIND(hh, table, digest, SIGNING_KEY_DIGEST, shared);
    if (!shared && (shared = make(key_pem, certificate_pem, id, why))) {
        memcpy(shared->key.digest, digest, SIGNING_KEY_DIGEST);
        HASH_ADD(hh, table, key.digest, SIGNING_KEY_DIGEST, shared);
    }
    if (shared)
        shared->users++;
    pthread_mutex_unlock(&lock);
    return shared ? &shared->key : NULL;
}

const struct signing_key *signing_key_ref(const struct signing_key *key)
{
    if (key) {
        pthread_mutex_lock(&lock);
        shared_of(key)->users++;
        pthread_mutex_unlock(&lock);
    }
    return key;
}

void signing_key_unref(const struct signing_key *key)
{
    struct shared *shared = key ? shared_of(key) : NULL;

    if (!key)
        return;
    pthread_mutex_lock(&lock);
    if (--shared->users == 0) {
        HASH_DEL(table, shared);
        free_shared(shared);
    }
    pthread_mutex_unlock(&lock);
}
