/* All accounts, by id and by login.
 *
 * The relay learns of an account when a client names its login, and is kept
 * informed from then on; so a start with 100,000 accounts sends nothing.
 */
#pragma once

#include "broker/account.h"
#include "broker/store/store.h"
#include "net/loop.h"

struct relay_link;

struct registry {
    struct loop *loop;
    const struct conf *conf; /* replaced by reloads */
    struct tokens *tokens;
    struct relay_link *link; /* NULL: no relay runs */
    struct account *ids, *logins;
    uint64_t generations; /* the last one given */
};

struct registry_changes {
    size_t added, changed, removed, unchanged;
};

void registry_init(struct registry *registry, struct loop *loop);
void registry_clear(struct registry *registry);

size_t registry_count(const struct registry *registry);
struct account *registry_by_id(const struct registry *registry, struct slice id);
/* Any case of the letters is right. */
struct account *registry_by_login(const struct registry *registry, struct slice login);

/* Makes the registry hold exactly the set's accounts. What is unchanged keeps
 * its token, state and connections. Takes the records out of the set. */
void registry_apply(struct registry *registry, struct account_set *set,
                    struct registry_changes *changes);

/* The same for one record: whatever else has its id or its login goes. Takes the
 * record. NULL: memory is out. */
struct account *registry_put(struct registry *registry, struct account_record *record);
/* False: there is no such account. */
bool registry_remove(struct registry *registry, struct slice id);
/* What a write to the store has done: to be called for each of its edits, in
 * their order, once it is answered. The account as it is now; NULL: it is gone,
 * or nothing was done. Takes the edit's record. */
struct account *registry_apply_edit(struct registry *registry, struct store_edit *edit);

/* A new relay knows nothing. */
void registry_relay_started(struct registry *registry, struct relay_link *link);
void registry_relay_gone(struct registry *registry);
