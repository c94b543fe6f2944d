#include "broker/oauth/jwt.h"

#include <jansson.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <stdlib.h>

#include "base/codec.h"

#define SIGNATURE_MAX 2048 /* of a key of 16384 bits */

static void set_text(json_t *object, const char *name, const char *value)
{
    if (value && value[0])
        json_object_set_new(object, name, json_string(value));
}

/* malloc'd, whatever allocator jansson uses. */
static char *text_of(json_t *object)
{
    size_t len = json_dumpb(object, NULL, 0, JSON_COMPACT);
    char *text = len ? malloc(len + 1) : NULL;

    if (text) {
        json_dumpb(object, text, len, JSON_COMPACT);
        text[len] = '\0';
    }
    json_decref(object);
    return text;
}

static char *header_of(const struct signing_key *key, enum jwt_algorithm algorithm)
{
    json_t *header =
        json_pack("{s:s, s:s}", "alg", algorithm == JWT_RS256 ? "RS256" : "PS256", "typ", "JWT");

    set_text(header, "kid", key->id);
    set_text(header, "x5t#S256", key->sha256);
    if (algorithm == JWT_RS256)
        set_text(header, "x5t", key->sha1);
    return text_of(header);
}

static char *payload_of(const struct jwt_claims *claims)
{
    json_t *payload = json_pack("{s:I, s:I}", "iat", (json_int_t)claims->issued_s, "exp",
                                (json_int_t)claims->expires_s);

    set_text(payload, "iss", claims->issuer);
    set_text(payload, "sub", claims->subject);
    set_text(payload, "aud", claims->audience);
    set_text(payload, "scope", claims->scope);
    set_text(payload, "jti", claims->id);
    if (claims->not_before_s)
        json_object_set_new(payload, "nbf", json_integer((json_int_t)claims->not_before_s));
    return text_of(payload);
}

static bool use_pss(EVP_PKEY_CTX *context)
{
    return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1 &&
           EVP_PKEY_CTX_set_rsa_mgf1_md(context, EVP_sha256()) == 1;
}

static size_t sign(const struct signing_key *key, enum jwt_algorithm algorithm,
                   struct slice covered, unsigned char signature[SIGNATURE_MAX])
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    EVP_PKEY_CTX *context = NULL;
    size_t len = SIGNATURE_MAX;
    bool ok = digest && EVP_DigestSignInit(digest, &context, EVP_sha256(), NULL, key->key) == 1 &&
              (algorithm == JWT_RS256 || use_pss(context)) &&
              EVP_DigestSign(digest, signature, &len, (const unsigned char *)covered.ptr,
                             covered.len) == 1;

    EVP_MD_CTX_free(digest);
    ERR_clear_error();
    return ok ? len : 0;
}

/* The two texts must be there. */
static char *assemble(const struct signing_key *key, enum jwt_algorithm algorithm,
                      struct slice header, struct slice payload)
{
    unsigned char signature[SIGNATURE_MAX];
    char *out = malloc(BASE64_LEN(header.len) + BASE64_LEN(payload.len) +
                       BASE64_LEN(sizeof(signature)) + 3);
    size_t len, signed_len;

    if (!out)
        return NULL;
    len = base64url_encode(header.ptr, header.len, out);
    out[len++] = '.';
    len += base64url_encode(payload.ptr, payload.len, out + len);
    signed_len = sign(key, algorithm, (struct slice){out, len}, signature);
    if (!signed_len) {
        free(out);
        return NULL;
    }
    out[len++] = '.';
    base64url_encode(signature, signed_len, out + len);
    return out;
}

char *jwt_sign(const struct signing_key *key, enum jwt_algorithm algorithm,
               const struct jwt_claims *claims)
{
    char *header = header_of(key, algorithm), *payload = payload_of(claims), *out = NULL;

    if (header && payload)
        out = assemble(key, algorithm, slice_of(header), slice_of(payload));
    free(header);
    free(payload);
    return out;
}
