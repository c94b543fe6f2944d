#include "sim/jwt.h"

#include <openssl/ecdsa.h>
#include <openssl/rsa.h>
#include <stdlib.h>

#include "base/codec.h"

#define PART_MAX 16384 /* octets of one part, as text */

ptrdiff_t base64url_decode(struct slice text, void *out, size_t cap)
{
    char copy[PART_MAX + 4];

    if (text.len > PART_MAX || text.len % 4 == 1)
        return -1;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (c == '+' || c == '/' || c == '=')
            return -1;
        copy[i] = (char)(c == '-' ? '+' : c == '_' ? '/' : c);
    }
    while (text.len % 4)
        copy[text.len++] = '=';
    return base64_decode((struct slice){copy, text.len}, out, cap);
}

static json_t *parse_object(struct slice text)
{
    char bytes[PART_MAX];
    ptrdiff_t len = base64url_decode(text, bytes, sizeof(bytes));
    json_t *object = len > 0 ? json_loadb(bytes, (size_t)len, 0, NULL) : NULL;

    if (json_is_object(object))
        return object;
    json_decref(object);
    return NULL;
}

bool jwt_parse(struct slice text, struct jwt *out)
{
    const char *first = text.len ? memchr(text.ptr, '.', text.len) : NULL;
    const char *end = text.ptr + text.len;
    const char *second = first ? memchr(first + 1, '.', (size_t)(end - first - 1)) : NULL;
    ptrdiff_t len;

    *out = (struct jwt){0};
    if (!second)
        return false;
    len = base64url_decode((struct slice){second + 1, (size_t)(end - second - 1)}, out->signature,
                           sizeof(out->signature));
    out->signature_len = len > 0 ? (size_t)len : 0;
    out->covered = (struct slice){text.ptr, (size_t)(second - text.ptr)};
    out->header = parse_object((struct slice){text.ptr, (size_t)(first - text.ptr)});
    out->payload = parse_object((struct slice){first + 1, (size_t)(second - first - 1)});
    if (out->header && out->payload && len > 0)
        return true;
    jwt_clear(out);
    return false;
}

void jwt_clear(struct jwt *jwt)
{
    json_decref(jwt->header);
    json_decref(jwt->payload);
    jwt->header = jwt->payload = NULL;
}

const char *jwt_text(const json_t *part, const char *name)
{
    const char *text = json_string_value(json_object_get(part, name));

    return text ? text : "";
}

int64_t jwt_number(const json_t *part, const char *name)
{
    const json_t *value = json_object_get(part, name);

    return json_is_number(value) ? (int64_t)json_number_value(value) : -1;
}

/* PSS as RFC 7518 section 3.5 wants it: MGF1 and a salt of the digest's size. */
static bool set_padding(EVP_PKEY_CTX *context, bool pss)
{
    if (!pss)
        return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1;
    return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1;
}

bool jwt_verify(const struct jwt *jwt, EVP_PKEY *key)
{
    const char *alg = jwt_text(jwt->header, "alg");
    bool pss = strcmp(alg, "PS256") == 0, ok;
    EVP_PKEY_CTX *context;
    EVP_MD_CTX *digest;

    if ((!pss && strcmp(alg, "RS256") != 0) || EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA)
        return false;
    digest = EVP_MD_CTX_new();
    ok = EVP_DigestVerifyInit(digest, &context, EVP_sha256(), NULL, key) == 1 &&
         set_padding(context, pss) &&
         EVP_DigestVerify(digest, jwt->signature, jwt->signature_len,
                          (const unsigned char *)jwt->covered.ptr, jwt->covered.len) == 1;
    EVP_MD_CTX_free(digest);
    return ok;
}

/* Two numbers of 32 octets, instead of OpenSSL's DER. */
static bool sign(EVP_PKEY *key, struct slice text, unsigned char out[64])
{
    unsigned char der[128];
    const unsigned char *at = der;
    size_t len = sizeof(der);
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    ECDSA_SIG *signature = NULL;
    bool ok = EVP_DigestSignInit(digest, NULL, EVP_sha256(), NULL, key) == 1 &&
              EVP_DigestSign(digest, der, &len, (const unsigned char *)text.ptr, text.len) == 1;

    if (ok)
        signature = d2i_ECDSA_SIG(NULL, &at, (long)len);
    ok = signature && BN_bn2binpad(ECDSA_SIG_get0_r(signature), out, 32) == 32 &&
         BN_bn2binpad(ECDSA_SIG_get0_s(signature), out + 32, 32) == 32;
    ECDSA_SIG_free(signature);
    EVP_MD_CTX_free(digest);
    return ok;
}

char *jwt_sign(EVP_PKEY *key, struct slice header, struct slice payload)
{
    char *out = malloc(JWT_SIZE(header.len, payload.len) + 8);
    unsigned char signature[64];
    size_t len = base64url_encode(header.ptr, header.len, out);

    out[len++] = '.';
    len += base64url_encode(payload.ptr, payload.len, out + len);
    if (!sign(key, (struct slice){out, len}, signature)) {
        free(out);
        return NULL;
    }
    out[len++] = '.';
    base64url_encode(signature, sizeof(signature), out + len);
    return out;
}
