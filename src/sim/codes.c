#include "sim/codes.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "sim/jwt.h"
#include "sim/random.h"

#define CODE_OCTETS 80
#define CODES_KEPT 4096 /* older ones are forgotten */

static void code_free(struct codes *codes, struct code *code)
{
    HASH_DEL(codes->by_token, code);
    free(code->redirect_uri);
    free(code->challenge);
    free(code->scope);
    free(code->nonce);
    free(code);
}

struct code *codes_add(struct codes *codes, const struct code *like, const struct profile *profile)
{
    struct code *code = malloc(sizeof(*code) + CODE_OCTETS + 8);
    /* A slash, as Google's have one: it must be encoded on its way back. */
    int len = snprintf(code->token, 8, "%s", profile == &profile_gmail ? "4/0A" : "0.A");

    if (HASH_COUNT(codes->by_token) >= CODES_KEPT)
        code_free(codes, codes->by_token);
    code->account = like->account;
    code->client = like->client;
    code->offline = like->offline;
    code->expires_ms = like->expires_ms;
    code->used = false;
    code->redirect_uri = strdup(like->redirect_uri);
    code->challenge = strdup(like->challenge);
    code->scope = strdup(like->scope);
    code->nonce = strdup(like->nonce);
    random_text(code->token + len, CODE_OCTETS);
    HASH_ADD_KEYPTR(hh, codes->by_token, code->token, strlen(code->token), code);
    return code;
}

struct code *codes_find(struct codes *codes, struct slice token)
{
    struct code *code;

    HASH_FIND(hh, codes->by_token, token.ptr, token.len, code);
    return code;
}

void codes_clear(struct codes *codes)
{
    struct code *code, *next;

    HASH_ITER (hh, codes->by_token, code, next) {
        code_free(codes, code);
    }
}

bool code_verifier_fits(const struct code *code, const char *verifier)
{
    unsigned char digest[32];
    char text[BASE64URL_LEN(sizeof(digest)) + 4];

    EVP_Digest(verifier, strlen(verifier), digest, NULL, EVP_sha256(), NULL);
    base64url_encode(digest, sizeof(digest), text);
    return strcmp(text, code->challenge) == 0;
}
