/* Accounts, their refresh tokens (grants) and access tokens. */
#pragma once

#include <jansson.h>
#include <uthash.h>

#include "base/list.h"
#include "base/str.h"
#include "sim/clients.h"
#include "sim/knobs.h"
#include "sim/profile.h"
#include "sim/stats.h"

struct account {
    UT_hash_handle hh;
    char *email;
    const struct profile *profile;
    struct client *client; /* its own, as in accounts.json */
    struct knobs *knobs;   /* NULL while no knob is set for this user */
    struct list grants;    /* grant.node, newest last */
    struct list accesses;  /* access.node, newest last */
    struct stats stats;
};

enum grant_state { GRANT_LIVE, GRANT_CONSUMED, GRANT_REVOKED };

struct grant {
    UT_hash_handle hh;
    struct list_node node;
    struct account *account;
    struct client *client; /* whom it was given to */
    enum grant_state state;
    char *scope;         /* what was agreed on, or NULL: what the profile is for */
    uint64_t expires_ms; /* wall clock, 0: never */
    char token[];        /* the refresh token */
};

struct access {
    UT_hash_handle hh;
    struct list_node node;
    struct list *kept;       /* where node is: the account's, or the client's */
    struct account *account; /* NULL: the application itself */
    struct client *client;
    uint64_t expires_ms; /* wall clock */
    bool smtp;           /* its audience and permissions are those for mail */
    char token[];
};

struct accounts {
    struct account *by_email;
    struct grant *by_refresh;
    struct access *by_access;
};

void accounts_clear(struct accounts *accounts);

/* An account without tokens. NULL when the address is taken. */
struct account *accounts_add(struct accounts *accounts, const char *email,
                             const struct profile *profile, struct client *client);
struct account *accounts_find(struct accounts *accounts, struct slice email);

struct grant *accounts_grant(struct accounts *accounts, struct slice refresh_token);
/* For the account's own client. NULL as `token`: a new one. NULL when there is
 * this token already. */
struct grant *account_new_grant(struct accounts *accounts, struct account *account,
                                const char *token);
struct grant *account_new_grant_for(struct accounts *accounts, struct account *account,
                                    struct client *client, const char *token, const char *scope);
/* The newest refresh token that works for the client, or NULL. */
const struct grant *account_live_grant(const struct account *account, const struct client *client);

/* The access token if it is known and has not expired. */
struct access *accounts_access(struct accounts *accounts, struct slice token, uint64_t wall_ms);
/* Of `account`, or of the client itself when that is NULL. */
struct access *accounts_add_access(struct accounts *accounts, struct account *account,
                                   struct client *client, const char *token, uint64_t expires_ms);
/* Whether it opens this mailbox, as far as AUTH can tell. */
bool access_opens(const struct access *access, const struct account *account);
void accesses_forget(struct accounts *accounts, struct list *kept);

/* NULL as `client`: of all. */
void account_revoke_grants(struct account *account, const struct client *client);
struct knobs *account_own_knobs(struct account *account); /* made when absent */
