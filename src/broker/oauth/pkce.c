#include "broker/oauth/pkce.h"

#include <sodium.h>
#include <string.h>

_Static_assert(crypto_hash_sha256_BYTES == PKCE_OCTETS, "a challenge is as long as a verifier");

void pkce_make_verifier(char out[PKCE_TEXT_MAX])
{
    unsigned char octets[PKCE_OCTETS];

    randombytes_buf(octets, sizeof(octets));
    base64url_encode(octets, sizeof(octets), out);
    sodium_memzero(octets, sizeof(octets));
}

void pkce_challenge(const char *verifier, char out[PKCE_TEXT_MAX])
{
    unsigned char digest[crypto_hash_sha256_BYTES];

    crypto_hash_sha256(digest, (const unsigned char *)verifier, strlen(verifier));
    base64url_encode(digest, sizeof(digest), out);
}
