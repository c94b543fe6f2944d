#include "sim/accounts.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "sim/random.h"

#define REFRESH_OCTETS 96
#define ACCESS_KEPT 64 /* per account; older ones are forgotten */
#define GRANTS_KEPT 64

static void access_free(struct accounts *accounts, struct access *access)
{
    assert(accounts->by_access); /* it is in there */
    HASH_DEL(accounts->by_access, access);
    list_remove(&access->account->accesses, &access->node);
    free(access);
}

static void grant_free(struct accounts *accounts, struct grant *grant)
{
    assert(accounts->by_refresh); /* it is in there */
    HASH_DEL(accounts->by_refresh, grant);
    list_remove(&grant->account->grants, &grant->node);
    free(grant);
}

static void account_free(struct accounts *accounts, struct account *account)
{
    account_revoke_accesses(accounts, account);
    while (!list_empty(&account->grants))
        grant_free(accounts, container_of(list_first(&account->grants), struct grant, node));
    HASH_DEL(accounts->by_email, account);
    if (account->knobs)
        knobs_clear(account->knobs);
    free(account->knobs);
    stats_clear(&account->stats);
    free(account->email);
    free(account->client_id);
    free(account->client_secret);
    free(account);
}

void accounts_clear(struct accounts *accounts)
{
    struct account *account, *next;

    HASH_ITER (hh, accounts->by_email, account, next) {
        account_free(accounts, account);
    }
}

static char *made_up_client_id(const struct profile *profile)
{
    char random[33], out[128];

    random_hex(random, 32);
    ascii_lower_in_place(random);
    if (profile == &profile_gmail)
        snprintf(out, sizeof(out), "123456789012-%s.apps.googleusercontent.com", random);
    else
        snprintf(out, sizeof(out), "%.8s-%.4s-%.4s-%.4s-%.12s", random, random + 8, random + 12,
                 random + 16, random + 20);
    return strdup(out);
}

static char *made_up_secret(const struct profile *profile)
{
    char out[48] = "GOCSPX-";

    if (!profile->needs_secret)
        return NULL;
    random_text(out + 7, 28);
    return strdup(out);
}

static char *secret_of(const struct profile *profile, const char *given)
{
    if (!given)
        return made_up_secret(profile);
    return *given ? strdup(given) : NULL;
}

struct account *accounts_find(struct accounts *accounts, struct slice email)
{
    struct account *account;
    char lower[320];

    if (!slice_copy(email, lower, sizeof(lower)))
        return NULL;
    ascii_lower_in_place(lower);
    HASH_FIND(hh, accounts->by_email, lower, email.len, account);
    return account;
}

struct account *accounts_add(struct accounts *accounts, const char *email,
                             const struct profile *profile, const char *client_id,
                             const char *client_secret)
{
    struct account *account;

    if (accounts_find(accounts, slice_of(email)))
        return NULL;
    account = calloc(1, sizeof(*account));
    account->email = strdup(email);
    ascii_lower_in_place(account->email);
    account->profile = profile;
    account->client_id = client_id ? strdup(client_id) : made_up_client_id(profile);
    account->client_secret = secret_of(profile, client_secret);
    list_init(&account->grants);
    list_init(&account->accesses);
    HASH_ADD_KEYPTR(hh, accounts->by_email, account->email, strlen(account->email), account);
    return account;
}

struct grant *accounts_grant(struct accounts *accounts, struct slice refresh_token)
{
    struct grant *grant;

    HASH_FIND(hh, accounts->by_refresh, refresh_token.ptr, refresh_token.len, grant);
    return grant;
}

struct grant *account_new_grant(struct accounts *accounts, struct account *account,
                                const char *token)
{
    char random[REFRESH_OCTETS + 8];
    struct grant *grant;
    size_t len;

    if (!token) {
        snprintf(random, sizeof(random), account->profile == &profile_gmail ? "1//0" : "0.A");
        random_text(random + strlen(random), REFRESH_OCTETS);
        token = random;
    }
    len = strlen(token);
    if (accounts_grant(accounts, (struct slice){token, len}))
        return NULL;
    grant = calloc(1, sizeof(*grant) + len + 1);
    memcpy(grant->token, token, len + 1);
    grant->account = account;
    HASH_ADD_KEYPTR(hh, accounts->by_refresh, grant->token, len, grant);
    list_push_tail(&account->grants, &grant->node);
    if (account->grants.count > GRANTS_KEPT)
        grant_free(accounts, container_of(list_first(&account->grants), struct grant, node));
    return grant;
}

const struct grant *account_live_grant(const struct account *account)
{
    for (struct list_node *node = account->grants.head.prev; node != &account->grants.head;
         node = node->prev) {
        const struct grant *grant = container_of(node, struct grant, node);

        if (grant->state == GRANT_LIVE)
            return grant;
    }
    return NULL;
}

struct access *accounts_access(struct accounts *accounts, struct slice token, uint64_t wall_ms)
{
    struct access *access;

    HASH_FIND(hh, accounts->by_access, token.ptr, token.len, access);
    return access && access->expires_ms > wall_ms ? access : NULL;
}

static struct access *add_access(struct accounts *accounts, struct access *access)
{
    struct account *account = access->account;

    HASH_ADD_KEYPTR(hh, accounts->by_access, access->token, strlen(access->token), access);
    list_push_tail(&account->accesses, &access->node);
    if (account->accesses.count > ACCESS_KEPT)
        access_free(accounts, container_of(list_first(&account->accesses), struct access, node));
    return access;
}

struct access *account_new_access(struct accounts *accounts, struct account *account, size_t size,
                                  uint64_t expires_ms)
{
    const char *prefix = account->profile == &profile_gmail ? "ya29.a0" : "EwB4";
    struct access *access = calloc(1, sizeof(*access) + size + 32);
    size_t len = strlen(prefix);

    access->account = account;
    access->expires_ms = expires_ms;
    memcpy(access->token, prefix, len);
    random_text(access->token + len, size > len + 16 ? size - len : 16);
    return add_access(accounts, access);
}

struct access *account_add_access(struct accounts *accounts, struct account *account,
                                  const char *token, uint64_t expires_ms)
{
    size_t len = strlen(token);
    struct access *access = calloc(1, sizeof(*access) + len + 1);

    access->account = account;
    access->expires_ms = expires_ms;
    memcpy(access->token, token, len);
    return add_access(accounts, access);
}

void account_revoke_grants(struct account *account)
{
    list_foreach (&account->grants, node)
        container_of(node, struct grant, node)->state = GRANT_REVOKED;
}

void account_revoke_accesses(struct accounts *accounts, struct account *account)
{
    while (!list_empty(&account->accesses))
        access_free(accounts, container_of(list_first(&account->accesses), struct access, node));
}

struct knobs *account_own_knobs(struct account *account)
{
    if (!account->knobs)
        account->knobs = calloc(1, sizeof(*account->knobs));
    return account->knobs;
}
