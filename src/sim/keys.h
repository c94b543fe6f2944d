/* The keys of the OAuth side: the provider's own for its tokens, and those of
 * the applications that it knows, whose private parts lie in the state directory:
 * app.pem and app.crt for certificate credentials, service-account.json as Google
 * gives it out. All applications share one RSA key; making more takes time. */
#pragma once

#include <jansson.h>
#include <openssl/evp.h>
#include <stdbool.h>

#include "base/str.h"

struct keys {
    EVP_PKEY *issuer; /* P-256, new each time */
    char issuer_id[48];
    EVP_PKEY *app;
    char app_id[48];   /* private_key_id of the service account */
    char *certificate; /* app.crt */
};

#define SERVICE_ACCOUNT_EMAIL "relay@bearer-sim.iam.gserviceaccount.com"
#define SERVICE_ACCOUNT_ID "100000000000000000001"

/* Takes app.pem and app.crt where they are, else makes them. */
bool keys_ready(struct keys *keys, const char *dir, struct reason *why);
void keys_clear(struct keys *keys);
bool keys_write_service_account(const struct keys *keys, const char *dir, int port,
                                struct reason *why);
json_t *keys_show_set(const struct keys *keys); /* RFC 7517: the public half of the issuer's */
