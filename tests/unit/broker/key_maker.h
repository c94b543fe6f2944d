/* An RSA key and its certificate in PEM, made anew for each run: no key lies in the
 * repository. */
#pragma once

#include <openssl/evp.h>
#include <stdint.h>

struct made_key {
    EVP_PKEY *key;
    char *pem, *certificate; /* PEM */
    char *json_pem;          /* the same for a JSON text: line ends are \n */
    char *json_certificate;
};

/* `expires_s` is when its certificate ends, since 1970. */
void key_make(struct made_key *made, int bits, int64_t expires_s);
/* Encrypted with a passphrase, or of an elliptic curve; malloc'd. */
char *key_encrypted(const struct made_key *made);
char *key_elliptic(void);
void key_free(struct made_key *made);
/* malloc'd: line ends as \n. */
char *key_for_json(const char *pem);
