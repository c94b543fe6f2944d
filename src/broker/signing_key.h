/* Private keys that sign assertions: of a certificate that is registered with a
 * provider, or of a Google service account.
 *
 * Thousands of accounts may name the same key, so a key is parsed once, however many
 * records have it, counted, and wiped with the last. For all threads. The same texts
 * give the same pointer as long as anybody has it.
 */
#pragma once

#include <openssl/evp.h>
#include <stdint.h>

#include "base/str.h"

#define SIGNING_KEY_DIGEST 32
/* base64url of a digest, with room for what the encoder writes in between */
#define SIGNING_KEY_SHA1_TEXT 29
#define SIGNING_KEY_SHA256_TEXT 45

struct signing_key {
    EVP_PKEY *key;
    char *id;                                 /* private_key_id of a service account; "" */
    char sha256[SIGNING_KEY_SHA256_TEXT];     /* x5t#S256 of the certificate; "" there is none */
    char sha1[SIGNING_KEY_SHA1_TEXT];         /* x5t */
    uint64_t expires_wall_ms;                 /* of the certificate; 0: not known */
    unsigned char digest[SIGNING_KEY_DIGEST]; /* of what it was made of: names it in hashes */
};

/* PEM: an RSA key of at least 2048 bits that is not encrypted, and "" or its
 * certificate, alone or before its chain. NULL and a reason ("must be ...", or "is ..."),
 * never with a piece of the key. */
const struct signing_key *signing_key_get(const char *key_pem, const char *certificate_pem,
                                          const char *id, struct reason *why);
const struct signing_key *signing_key_ref(const struct signing_key *key); /* NULL: NULL */
void signing_key_unref(const struct signing_key *key);
