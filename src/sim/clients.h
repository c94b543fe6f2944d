/* Applications that are registered with the provider. Each account has one of
 * its own from the start; others are there for everybody who logs in. */
#pragma once

#include <jansson.h>
#include <openssl/evp.h>
#include <uthash.h>

#include "base/list.h"
#include "base/str.h"
#include "sim/knobs.h"
#include "sim/profile.h"

struct jti;

struct client {
    UT_hash_handle hh;
    char *id;
    char *name; /* for GET /clients, or NULL: an account's own */
    const struct profile *profile;
    char *secret;         /* NULL: none */
    char *secret_expires; /* "2026-12-31", or NULL */
    bool disabled;
    char *certificate;                  /* PEM, or NULL */
    EVP_PKEY *key;                      /* of its certificate, or NULL */
    unsigned char sha1[20], sha256[32]; /* of the certificate, what x5t and x5t#S256 hold */
    json_t *redirects;                  /* array of URIs beside the loopback ones, or NULL */
    json_t *roles;        /* array: permissions without a user, or NULL: SMTP.SendAsApp */
    json_t *mailboxes;    /* array: where such permissions reach, or NULL: everywhere */
    struct knobs *knobs;  /* NULL while no knob is set for it */
    struct list accesses; /* access.node: tokens without a user */
    struct jti *seen;     /* assertions that were used */
};

struct clients {
    struct client *by_id;
};

/* Their access tokens must have gone before. */
void clients_clear(struct clients *clients);
struct client *clients_find(struct clients *clients, struct slice id);
/* Finds the one with this id or makes it; NULL as `id`: a new one. NULL as
 * `secret`: made up where the profile wants one, or as it was; "": public. */
struct client *clients_need(struct clients *clients, const struct profile *profile, const char *id,
                            const char *secret);
/* Nobody has to prove to be this one: it has neither secret nor certificate. */
bool client_is_public(const struct client *client);
bool client_set_certificate(struct client *client, const char *pem, struct reason *why);
struct knobs *client_own_knobs(struct client *client); /* made when absent */
/* Whether a token without a user may open this mailbox. */
bool client_may_open(const struct client *client, const char *email);
/* Permissions without a user, a borrowed array or NULL for the usual one. */
bool client_has_role(const struct client *client, const char *role);
/* False when an assertion with this id has come before. */
bool client_take_jti(struct client *client, const char *id);
json_t *client_show(const struct client *client); /* with its secret */
/* Takes the members of a JSON object that are given. */
bool client_change(struct client *client, const json_t *fields, struct reason *why);
