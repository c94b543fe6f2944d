/* JSON Web Tokens: read and checked as a provider does with an application's
 * assertions, and made as it does for its own access and identity tokens. */
#pragma once

#include <jansson.h>
#include <openssl/evp.h>
#include <stdbool.h>

#include "base/codec.h"
#include "base/str.h"

#define JWT_SIGNATURE_MAX 1024

struct jwt {
    json_t *header, *payload; /* objects */
    struct slice covered;     /* what the signature covers; of the text that was parsed */
    unsigned char signature[JWT_SIGNATURE_MAX];
    size_t signature_len;
};

ptrdiff_t base64url_decode(struct slice text, void *out, size_t cap); /* -1: it is none */

/* Three parts, two of them JSON objects. False leaves nothing to clear. */
bool jwt_parse(struct slice text, struct jwt *out);
void jwt_clear(struct jwt *jwt);

/* A member that is a text, or "". */
const char *jwt_text(const json_t *part, const char *name);
/* A member that is a number, or -1. */
int64_t jwt_number(const json_t *part, const char *name);

/* RS256 and PS256, as the header says; false for any other algorithm. */
bool jwt_verify(const struct jwt *jwt, EVP_PKEY *key);

/* An ES256 token of two JSON texts, malloc'd; JWT_SIZE octets. */
char *jwt_sign(EVP_PKEY *key, struct slice header, struct slice payload);
#define JWT_SIZE(header, payload) (BASE64URL_LEN(header) + BASE64URL_LEN(payload) + 2 + 86)
