/* Authorization codes: what /authorize gives out and authorization_code
 * redeems, once. */
#pragma once

#include <uthash.h>

#include "sim/accounts.h"

struct code {
    UT_hash_handle hh; /* in the order in which they were made */
    struct account *account;
    struct client *client;
    char *redirect_uri, *challenge, *scope, *nonce; /* `challenge` "": none */
    bool offline;                                   /* a refresh token is wanted */
    bool used;
    uint64_t expires_ms; /* wall clock */
    char token[];
};

struct codes {
    struct code *by_token;
};

/* The texts are copied. */
struct code *codes_add(struct codes *codes, const struct code *like, const struct profile *profile);
struct code *codes_find(struct codes *codes, struct slice token);
void codes_clear(struct codes *codes);
/* RFC 7636 section 4.6, S256. */
bool code_verifier_fits(const struct code *code, const char *verifier);
