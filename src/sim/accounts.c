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
    list_remove(access->kept, &access->node);
    free(access);
}

void accesses_forget(struct accounts *accounts, struct list *kept)
{
    while (!list_empty(kept))
        access_free(accounts, container_of(list_first(kept), struct access, node));
}

static void grant_free(struct accounts *accounts, struct grant *grant)
{
    assert(accounts->by_refresh); /* it is in there */
    HASH_DEL(accounts->by_refresh, grant);
    list_remove(&grant->account->grants, &grant->node);
    free(grant->scope);
    free(grant);
}

static void account_free(struct accounts *accounts, struct account *account)
{
    accesses_forget(accounts, &account->accesses);
    while (!list_empty(&account->grants))
        grant_free(accounts, container_of(list_first(&account->grants), struct grant, node));
    HASH_DEL(accounts->by_email, account);
    if (account->knobs)
        knobs_clear(account->knobs);
    free(account->knobs);
    stats_clear(&account->stats);
    free(account->email);
    free(account);
}

void accounts_clear(struct accounts *accounts)
{
    struct account *account, *next;

    HASH_ITER (hh, accounts->by_email, account, next) {
        account_free(accounts, account);
    }
    while (accounts->by_access) /* what is left belongs to applications */
        access_free(accounts, accounts->by_access);
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
                             const struct profile *profile, struct client *client)
{
    struct account *account;

    if (accounts_find(accounts, slice_of(email)))
        return NULL;
    account = calloc(1, sizeof(*account));
    account->email = strdup(email);
    ascii_lower_in_place(account->email);
    account->profile = profile;
    account->client = client;
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
    return account_new_grant_for(accounts, account, account->client, token, NULL);
}

struct grant *account_new_grant_for(struct accounts *accounts, struct account *account,
                                    struct client *client, const char *token, const char *scope)
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
    grant->client = client;
    grant->scope = scope ? strdup(scope) : NULL;
    HASH_ADD_KEYPTR(hh, accounts->by_refresh, grant->token, len, grant);
    list_push_tail(&account->grants, &grant->node);
    if (account->grants.count > GRANTS_KEPT)
        grant_free(accounts, container_of(list_first(&account->grants), struct grant, node));
    return grant;
}

const struct grant *account_live_grant(const struct account *account, const struct client *client)
{
    for (struct list_node *node = account->grants.head.prev; node != &account->grants.head;
         node = node->prev) {
        const struct grant *grant = container_of(node, struct grant, node);

        if (grant->state == GRANT_LIVE && grant->client == client)
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

struct access *accounts_add_access(struct accounts *accounts, struct account *account,
                                   struct client *client, const char *token, uint64_t expires_ms)
{
    size_t len = strlen(token);
    struct access *access = calloc(1, sizeof(*access) + len + 1);
    struct list *kept = account ? &account->accesses : &client->accesses;

    access->account = account;
    access->client = client;
    access->kept = kept;
    access->expires_ms = expires_ms;
    access->smtp = true;
    memcpy(access->token, token, len);
    HASH_ADD_KEYPTR(hh, accounts->by_access, access->token, len, access);
    list_push_tail(kept, &access->node);
    if (kept->count > ACCESS_KEPT)
        access_free(accounts, container_of(list_first(kept), struct access, node));
    return access;
}

/* An application's own token names no mailbox: whether it may open this one is
 * found out later, by the store. */
bool access_opens(const struct access *access, const struct account *account)
{
    if (!access->smtp)
        return false;
    return access->account ? access->account == account
                           : access->client->profile == account->profile;
}

void account_revoke_grants(struct account *account, const struct client *client)
{
    list_foreach (&account->grants, node) {
        struct grant *grant = container_of(node, struct grant, node);

        if (!client || grant->client == client)
            grant->state = GRANT_REVOKED;
    }
}

struct knobs *account_own_knobs(struct account *account)
{
    if (!account->knobs)
        account->knobs = calloc(1, sizeof(*account->knobs));
    return account->knobs;
}
