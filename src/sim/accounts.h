/* Accounts, their refresh tokens (grants) and access tokens. */
#pragma once

#include <jansson.h>
#include <uthash.h>

#include "base/list.h"
#include "base/str.h"
#include "sim/knobs.h"
#include "sim/profile.h"
#include "sim/stats.h"

struct account {
    UT_hash_handle hh;
    char *email;
    const struct profile *profile;
    char *client_id;
    char *client_secret;  /* NULL: a public client */
    struct knobs *knobs;  /* NULL while no knob is set for this user */
    struct list grants;   /* grant.node, newest last */
    struct list accesses; /* access.node, newest last */
    struct stats stats;
};

enum grant_state { GRANT_LIVE, GRANT_CONSUMED, GRANT_REVOKED };

struct grant {
    UT_hash_handle hh;
    struct list_node node;
    struct account *account;
    enum grant_state state;
    char token[]; /* the refresh token */
};

struct access {
    UT_hash_handle hh;
    struct list_node node;
    struct account *account;
    uint64_t expires_ms; /* wall clock */
    char token[];
};

struct accounts {
    struct account *by_email;
    struct grant *by_refresh;
    struct access *by_access;
};

void accounts_clear(struct accounts *accounts);

/* An account without tokens. NULL as `client_id` or `client_secret`: one is
 * made up; an empty secret makes a public client. NULL when the address is taken. */
struct account *accounts_add(struct accounts *accounts, const char *email,
                             const struct profile *profile, const char *client_id,
                             const char *client_secret);
struct account *accounts_find(struct accounts *accounts, struct slice email);

struct grant *accounts_grant(struct accounts *accounts, struct slice refresh_token);
/* NULL as `token`: a new one. NULL when there is this token already. */
struct grant *account_new_grant(struct accounts *accounts, struct account *account,
                                const char *token);
/* The newest refresh token that works, or NULL. */
const struct grant *account_live_grant(const struct account *account);

/* The access token if it is known and has not expired. */
struct access *accounts_access(struct accounts *accounts, struct slice token, uint64_t wall_ms);
struct access *account_new_access(struct accounts *accounts, struct account *account, size_t size,
                                  uint64_t expires_ms);
struct access *account_add_access(struct accounts *accounts, struct account *account,
                                  const char *token, uint64_t expires_ms);

void account_revoke_grants(struct account *account);
void account_revoke_accesses(struct accounts *accounts, struct account *account);
struct knobs *account_own_knobs(struct account *account); /* made when absent */
