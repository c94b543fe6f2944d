/* Proof Key for Code Exchange (RFC 7636), method S256: a code that somebody else reads
 * on its way is of no use to him. */
#pragma once

#include "base/codec.h"

#define PKCE_OCTETS 32 /* of randomness, and of the digest */
/* What base64url_encode writes to, the verifier and the challenge alike. */
#define PKCE_TEXT_MAX (BASE64_LEN(PKCE_OCTETS) + 1)

/* A verifier of 43 characters; the caller wipes it. */
void pkce_make_verifier(char out[PKCE_TEXT_MAX]);
/* BASE64URL(SHA256(ASCII(verifier))). */
void pkce_challenge(const char *verifier, char out[PKCE_TEXT_MAX]);
