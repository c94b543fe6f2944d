#include "sim/keys.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/codec.h"
#include "sim/certs.h"
#include "sim/files.h"
#include "sim/jwt.h"

#define RSA_BITS 2048

/* Names a key by a digest of its public half. */
static bool name_key(EVP_PKEY *key, char out[48])
{
    unsigned char *der = NULL, digest[32];
    int len = i2d_PUBKEY(key, &der);
    bool ok = len > 0 && EVP_Digest(der, (size_t)len, digest, NULL, EVP_sha256(), NULL) == 1;

    if (ok)
        hex_encode(digest, 20, out);
    OPENSSL_free(der);
    return ok;
}

static EVP_PKEY *read_key(const char *pem)
{
    BIO *in = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(in, NULL, NULL, NULL);

    BIO_free(in);
    return key;
}

static bool load_key(struct keys *keys, const char *dir, struct reason *why)
{
    char *pem = file_read(dir, "app.pem", why);

    if (!pem)
        return false;
    keys->app = read_key(pem);
    free(pem);
    return keys->app || reason_set(why, "%s/app.pem is not a private key", dir);
}

static bool make_key(struct keys *keys, const char *dir, struct reason *why)
{
    keys->app = EVP_RSA_gen(RSA_BITS);
    return keys->app ? certs_write(dir, "app.pem", NULL, keys->app, why)
                     : reason_set(why, "cannot make an RSA key");
}

static bool make_certificate(struct keys *keys, const char *dir, struct reason *why)
{
    X509 *cert = certs_self_signed(keys->app, "bearer-sim application");
    bool ok = cert ? certs_write(dir, "app.crt", cert, NULL, why)
                   : reason_set(why, "cannot make a certificate for app.pem");

    X509_free(cert);
    return ok;
}

bool keys_ready(struct keys *keys, const char *dir, struct reason *why)
{
    keys->issuer = EVP_EC_gen("P-256");
    if (!keys->issuer || !name_key(keys->issuer, keys->issuer_id))
        return reason_set(why, "cannot make a key to sign tokens with");
    if (file_exists(dir, "app.pem") ? !load_key(keys, dir, why) : !make_key(keys, dir, why))
        return false;
    if (!file_exists(dir, "app.crt") && !make_certificate(keys, dir, why))
        return false;
    keys->certificate = file_read(dir, "app.crt", why);
    return keys->certificate && name_key(keys->app, keys->app_id);
}

void keys_clear(struct keys *keys)
{
    EVP_PKEY_free(keys->issuer);
    EVP_PKEY_free(keys->app);
    free(keys->certificate);
    *keys = (struct keys){0};
}

static json_t *private_pem(EVP_PKEY *key)
{
    BIO *out = BIO_new(BIO_s_mem());
    char *bytes;
    json_t *text;
    long len;

    PEM_write_bio_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL);
    len = BIO_get_mem_data(out, &bytes);
    text = json_stringn(bytes, (size_t)len);
    BIO_free(out);
    return text;
}

static json_t *url_at(int port, const char *path)
{
    return json_sprintf("https://localhost:%d%s", port, path);
}

bool keys_write_service_account(const struct keys *keys, const char *dir, int port,
                                struct reason *why)
{
    json_t *file =
        json_pack("{s:s, s:s, s:s, s:o, s:s, s:s, s:o, s:o, s:o, s:s}", "type", "service_account",
                  "project_id", "bearer-sim", "private_key_id", keys->app_id, "private_key",
                  private_pem(keys->app), "client_email", SERVICE_ACCOUNT_EMAIL, "client_id",
                  SERVICE_ACCOUNT_ID, "auth_uri", url_at(port, "/o/oauth2/v2/auth"), "token_uri",
                  url_at(port, "/token"), "auth_provider_x509_cert_url", url_at(port, "/jwks"),
                  "universe_domain", "googleapis.com");
    char *text;
    bool ok;

    text = json_dumps(file, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    ok = text && file_write(dir, "service-account.json", slice_of(text), why);
    free(text);
    json_decref(file);
    return ok;
}

static void add_coordinate(json_t *to, EVP_PKEY *key, const char *parameter, const char *name)
{
    unsigned char bytes[32];
    char text[BASE64URL_LEN(sizeof(bytes)) + 4];
    BIGNUM *number = NULL;

    if (EVP_PKEY_get_bn_param(key, parameter, &number) == 1 &&
        BN_bn2binpad(number, bytes, sizeof(bytes)) == sizeof(bytes)) {
        base64url_encode(bytes, sizeof(bytes), text);
        json_object_set_new(to, name, json_string(text));
    }
    BN_free(number);
}

json_t *keys_show_set(const struct keys *keys)
{
    json_t *key = json_pack("{s:s, s:s, s:s, s:s, s:s}", "kty", "EC", "crv", "P-256", "alg",
                            "ES256", "use", "sig", "kid", keys->issuer_id);

    add_coordinate(key, keys->issuer, OSSL_PKEY_PARAM_EC_PUB_X, "x");
    add_coordinate(key, keys->issuer, OSSL_PKEY_PARAM_EC_PUB_Y, "y");
    return json_pack("{s:[o]}", "keys", key);
}
