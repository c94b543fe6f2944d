#include "broker/registry.h"

#include <stdlib.h>

#include "base/log.h"
#include "broker/account_address.h"
#include "broker/tell.h"
#include "broker/wipe.h"

void registry_init(struct registry *registry, struct loop *loop)
{
    *registry = (struct registry){.loop = loop};
    list_init(&registry->walks);
    addresses_init(&registry->addresses);
    registry->addresses.judged = account_address_judged;
    registry->addresses.owner = registry;
}

/* Connections from another address do not serve any more. */
static void rebind(struct registry *registry)
{
    struct account *account, *next;

    HASH_ITER (by_id, registry->ids, account, next) {
        if (!account->record->source_address[0])
            continue;
        account->generation = ++registry->generations;
        tell_put(account);
        tell_state(account);
        tell_token(account);
    }
}

void registry_configure(struct registry *registry, const struct conf *conf)
{
    struct address_rules rules = address_rules_of(conf);
    bool other_binding = rules.binding != registry->addresses.rules.binding;

    registry->conf = conf;
    if (other_binding)
        rebind(registry);
    addresses_configure(&registry->addresses, &rules);
}

size_t registry_count(const struct registry *registry)
{
    return HASH_CNT(by_id, registry->ids);
}

struct account *registry_by_id(const struct registry *registry, struct slice id)
{
    struct account *account;

    HASH_FIND(by_id, registry->ids, id.ptr, id.len, account);
    return account;
}

struct account *registry_by_login(const struct registry *registry, struct slice login)
{
    char lower[IPC_ID_MAX + 1];
    struct account *account;

    if (!slice_copy(login, lower, sizeof(lower)))
        return NULL;
    for (size_t i = 0; i < login.len; i++)
        lower[i] = ascii_lower(lower[i]);
    HASH_FIND(by_login, registry->logins, lower, login.len, account);
    return account;
}

static void hold_disabled(struct account *account)
{
    const struct account_record *record = account->record;
    char memory[256];
    struct text text;

    text_init(&text, memory, sizeof(memory));
    text_addf(&text, "the operator has disabled this account%s%s",
              record->disabled_reason[0] ? ": " : "", record->disabled_reason);
    account_hold(account, HOLD_OPERATOR, record->disabled ? ACCOUNT_DISABLED : ACCOUNT_ACTIVE, 0,
                 record->disabled ? memory : NULL);
}

/* The last one of all walks. */
static void enlist(struct registry *registry, struct account *account)
{
    const struct account_record *record = account->record;

    account->serial = ++registry->serials;
    HASH_ADD_KEYPTR(by_id, registry->ids, record->id, strlen(record->id), account);
    HASH_ADD_KEYPTR(by_login, registry->logins, record->login, strlen(record->login), account);
}

static struct account *add(struct registry *registry, struct account_record *record)
{
    struct account *account = account_new(registry, record);

    if (!account || !token_init(registry->tokens, account)) {
        if (account) {
            account->record = NULL; /* the caller's, as nothing was added */
            account_free(account);
        }
        return NULL;
    }
    account->generation = ++registry->generations;
    account->listed = true;
    enlist(registry, account);
    hold_disabled(account);
    account->settled = true; /* that the operator has disabled it is no news */
    account_address_set(account);
    return account;
}

/* Those who would see it next see the one behind it. */
static void leave_walks(struct registry *registry, const struct account *account)
{
    list_foreach (&registry->walks, node) {
        struct registry_walk *walk = container_of(node, struct registry_walk, node);

        if (walk->next == account)
            walk->next = account->by_id.next;
    }
}

static void unlist(struct registry *registry, struct account *account)
{
    assert(registry->ids && registry->logins);
    leave_walks(registry, account);
    HASH_DELETE(by_id, registry->ids, account);
    HASH_DELETE(by_login, registry->logins, account);
}

static void remove_account(struct registry *registry, struct account *account)
{
    tell_remove(account);
    token_clear(account);
    addresses_leave(&registry->addresses, &account->source);
    unlist(registry, account);
    account_free(account);
}

/* The hash tables point into the record. With the same id and login the account keeps its
 * place in them. */
static void replace_record(struct account *account, struct account_record *record)
{
    account->by_id.key = record->id;
    account->by_login.key = record->login;
    record_free(account->record);
    account->record = record;
}

/* With another id or login it is the same account still: what is under way for it, such as a
 * new refresh token, must not be lost. To the relay it is another one. */
static void rename_account(struct registry *registry, struct account *account,
                           struct account_record *record)
{
    bool other_id = strcmp(account->record->id, record->id) != 0;

    log_event(LOG_INFO, "account_renamed", log_s("account", account->record->id),
              log_s("email", account->record->email), log_s("new_account", record->id),
              log_s("new_email", record->email));
    tell_remove(account);
    unlist(registry, account);
    record_free(account->record);
    account->record = record;
    enlist(registry, account);
    if (other_id)
        token_renamed(account);
}

static bool has_names(const struct account *account, const struct account_record *record)
{
    return strcmp(account->record->id, record->id) == 0 &&
           strcmp(account->record->login, record->login) == 0;
}

static void change(struct registry *registry, struct account *account,
                   struct account_record *record, struct token_grant *grant)
{
    bool same_identity = record_same_identity(account->record, record);
    bool same_credentials = record_same_credentials(account->record, record);
    bool same_token = strcmp(account->record->refresh_token, record->refresh_token) == 0;
    char *newest = NULL;

    if (!same_token && token_is_superseded(account, record->refresh_token))
        newest = slice_dup(slice_of(token_newest_refresh_token(account)));
    if (has_names(account, record))
        replace_record(account, record);
    else
        rename_account(registry, account, record);
    if (newest) {
        same_token = true;
        saving_retake(account, newest);
        secret_free(&newest);
    }
    if (!same_identity) {
        account->generation = ++registry->generations;
        /* What the provider said was about another set-up. */
        account_hold(account, HOLD_PROVIDER, ACCOUNT_ACTIVE, 0, NULL);
        account->checks_spent_ms = 0;
    }
    tell_put(account);
    hold_disabled(account);
    account_address_set(account);
    if (!same_credentials)
        token_reset(account, same_token, grant);
    else
        token_settings_changed(account);
    tell_state(account);
    tell_token(account);
}

static void mark_listed(struct registry *registry, const struct account_set *set)
{
    struct account *account, *next;

    HASH_ITER (by_id, registry->ids, account, next) {
        account->listed = false;
    }
    for (size_t i = 0; i < set->count; i++) {
        account = registry_by_id(registry, slice_of(set->records[i]->id));
        /* With a login that is another account's, it is that one. */
        if (account && (strcmp(account->record->login, set->records[i]->login) == 0 ||
                        !registry_by_login(registry, slice_of(set->records[i]->login))))
            account->listed = true;
    }
}

static void remove_unlisted(struct registry *registry, struct registry_changes *changes)
{
    struct account *account, *next;

    HASH_ITER (by_id, registry->ids, account, next) {
        if (account->listed)
            continue;
        registry_remove(registry, account);
        changes->removed++;
    }
}

static void apply_record(struct registry *registry, struct account_record **record,
                         struct registry_changes *changes)
{
    struct account *account = registry_by_id(registry, slice_of((*record)->id));

    if (account && record_same(account->record, *record)) {
        changes->unchanged++;
        return;
    }
    if (account) {
        change(registry, account, *record, NULL);
        changes->changed++;
    } else if (add(registry, *record)) {
        changes->added++;
    } else {
        log_event(LOG_ERROR, "account_lost", log_s("account", (*record)->id),
                  log_s("reason", "out of memory"));
        return;
    }
    *record = NULL;
}

void registry_apply(struct registry *registry, struct account_set *set,
                    struct registry_changes *changes)
{
    *changes = (struct registry_changes){0};
    mark_listed(registry, set);
    remove_unlisted(registry, changes);
    for (size_t i = 0; i < set->count; i++)
        apply_record(registry, &set->records[i], changes);
    tokens_spread(registry->tokens, changes->added);
}

/* The account whose record this is: one of the two names may be new. When they are two
 * accounts', neither is it, and both are gone. */
static struct account *find_or_clear(struct registry *registry, const struct account_record *record)
{
    struct account *by_id = registry_by_id(registry, slice_of(record->id));
    struct account *by_login = registry_by_login(registry, slice_of(record->login));

    if (!by_id || !by_login || by_id == by_login)
        return by_id ? by_id : by_login;
    registry_remove(registry, by_id);
    registry_remove(registry, by_login);
    return NULL;
}

struct account *registry_put(struct registry *registry, struct account_record *record,
                             struct token_grant *grant)
{
    struct account *account = find_or_clear(registry, record);

    if (account && record_same(account->record, record)) {
        record_free(record);
    } else if (account) {
        change(registry, account, record, grant);
    } else {
        account = add(registry, record);
        if (!account) {
            record_free(record);
            return NULL;
        }
        log_event(LOG_INFO, "account_added", log_s("account", record->id),
                  log_s("email", record->email));
    }
    if (grant)
        token_adopt(account, grant);
    return account;
}

void registry_remove(struct registry *registry, struct account *account)
{
    log_event(LOG_INFO, "account_removed", log_s("account", account->record->id));
    remove_account(registry, account);
}

/* Removed ones leave gaps, and nothing else changes the order. */
void registry_walk_begin(struct registry_walk *walk, struct registry *registry, uint64_t after)
{
    *walk = (struct registry_walk){.registry = registry, .next = registry->ids};
    while (walk->next && walk->next->serial <= after)
        walk->next = walk->next->by_id.next;
    list_push_tail(&registry->walks, &walk->node);
}

struct account *registry_walk_next(struct registry_walk *walk)
{
    struct account *account = walk->next;

    if (account)
        walk->next = account->by_id.next;
    return account;
}

void registry_walk_end(struct registry_walk *walk)
{
    list_remove(&walk->registry->walks, &walk->node);
}

void registry_clear(struct registry *registry)
{
    struct account *account, *next;

    HASH_ITER (by_id, registry->ids, account, next) {
        remove_account(registry, account);
    }
    addresses_clear(&registry->addresses);
}

void registry_relay_started(struct registry *registry, struct relay_link *link)
{
    registry_relay_gone(registry);
    registry->link = link;
}

void registry_relay_gone(struct registry *registry)
{
    struct account *account, *next;

    if (!registry->link)
        return;
    registry->link = NULL;
    HASH_ITER (by_id, registry->ids, account, next) {
        account->in_relay = false;
    }
}
