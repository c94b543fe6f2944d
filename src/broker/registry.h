/* All accounts, by id and by login.
 *
 * The relay learns of an account when a client names its login, and is kept
 * informed from then on; so a start with 100,000 accounts sends nothing.
 */
#pragma once

#include "broker/account.h"
#include "broker/store/account_set.h"
#include "net/loop.h"

struct ledgers;
struct relay_link;

/* A walk through all accounts in the order in which they came to be, while they
 * come and go. */
struct registry_walk {
    struct registry *registry;
    struct list_node node; /* registry.walks */
    struct account *next;
};

struct registry {
    struct loop *loop;
    const struct conf *conf; /* replaced by reloads: registry_configure */
    struct tokens *tokens;
    struct relay_link *link; /* NULL: no relay runs */
    struct ledgers *ledgers; /* NULL: nobody keeps what accounts have sent */
    struct account *ids, *logins;
    struct addresses addresses; /* of this host; which accounts send from which */
    uint64_t generations;       /* the last one given */
    uint64_t serials;
    struct list walks;             /* registry_walk.node */
    size_t states[ACCOUNT_STATES]; /* how many accounts are in each */
    /* An account has come to another state; NULL: nobody asks. */
    void (*changed)(void *owner, const struct account *account, enum account_state from);
    void *owner;
};

struct registry_changes {
    size_t added, changed, removed, unchanged;
};

void registry_init(struct registry *registry, struct loop *loop);
void registry_clear(struct registry *registry);
/* Other options: what they say of addresses takes effect on all accounts. */
void registry_configure(struct registry *registry, const struct conf *conf);

size_t registry_count(const struct registry *registry);
struct account *registry_by_id(const struct registry *registry, struct slice id);
/* Any case of the letters is right. */
struct account *registry_by_login(const struct registry *registry, struct slice login);

/* Makes the registry hold exactly the set's accounts. What is unchanged keeps
 * its token, state and connections. Takes the records out of the set. */
void registry_apply(struct registry *registry, struct account_set *set,
                    struct registry_changes *changes);

/* The store's record of one account is this now; the record is taken over. What
 * `grant` has (NULL: nothing) becomes the account's token. NULL: memory is out, and
 * the account is as it was. */
struct account *registry_put(struct registry *registry, struct account_record *record,
                             struct token_grant *grant);
/* It is no longer in the store. */
void registry_remove(struct registry *registry, struct account *account);

/* Begins with the first account whose serial is greater than `after`. */
void registry_walk_begin(struct registry_walk *walk, struct registry *registry, uint64_t after);
struct account *registry_walk_next(struct registry_walk *walk); /* NULL: that was all */
void registry_walk_end(struct registry_walk *walk);

/* A new relay knows nothing. */
void registry_relay_started(struct registry *registry, struct relay_link *link);
void registry_relay_gone(struct registry *registry);
