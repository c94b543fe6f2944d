#include "broker/registry.h"

#include <stdlib.h>

#include "base/log.h"
#include "broker/account_address.h"
#include "broker/tell.h"

void registry_init(struct registry *registry, struct loop *loop)
{
    *registry = (struct registry){.loop = loop};
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
    const struct address_rules rules = {.binding = conf->source_ip_binding,
                                        .validate = conf->source_ip_validate,
                                        .use_ipv6 = conf->use_ipv6,
                                        .private_ok = conf->source_ip_private != CONF_OFF,
                                        .private_assign = conf->source_ip_private == CONF_ON};
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
    bool disabled = account->record->disabled;

    account_hold(account, HOLD_OPERATOR, disabled ? ACCOUNT_DISABLED : ACCOUNT_ACTIVE, 0,
                 disabled ? "the operator has disabled this account" : NULL);
}

static bool add(struct registry *registry, struct account_record *record)
{
    struct account *account = account_new(registry, record);

    if (!account || !token_init(registry->tokens, account)) {
        free(account);
        return false;
    }
    account->generation = ++registry->generations;
    account->listed = true;
    HASH_ADD_KEYPTR(by_id, registry->ids, record->id, strlen(record->id), account);
    HASH_ADD_KEYPTR(by_login, registry->logins, record->login, strlen(record->login), account);
    hold_disabled(account);
    account_address_set(account);
    return true;
}

static void unlist(struct registry *registry, struct account *account)
{
    assert(registry->ids && registry->logins);
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

/* The hash tables point into the record, so the account moves with it. */
static void replace_record(struct registry *registry, struct account *account,
                           struct account_record *record)
{
    unlist(registry, account);
    record_free(account->record);
    account->record = record;
    HASH_ADD_KEYPTR(by_id, registry->ids, record->id, strlen(record->id), account);
    HASH_ADD_KEYPTR(by_login, registry->logins, record->login, strlen(record->login), account);
}

static void change(struct registry *registry, struct account *account,
                   struct account_record *record)
{
    bool same_identity = record_same_identity(account->record, record);
    bool same_credentials = record_same_credentials(account->record, record);

    replace_record(registry, account, record);
    if (!same_identity) {
        account->generation = ++registry->generations;
        /* What the provider said was about another set-up. */
        account_hold(account, HOLD_PROVIDER, ACCOUNT_ACTIVE, 0, NULL);
    }
    tell_put(account);
    hold_disabled(account);
    account_address_set(account);
    if (!same_credentials)
        token_reset(account);
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
        /* One with another login is another account. */
        if (account && strcmp(account->record->login, set->records[i]->login) == 0)
            account->listed = true;
    }
}

static void remove_unlisted(struct registry *registry, struct registry_changes *changes)
{
    struct account *account, *next;

    HASH_ITER (by_id, registry->ids, account, next) {
        if (account->listed)
            continue;
        log_event(LOG_INFO, "account_removed", log_s("account", account->record->id));
        remove_account(registry, account);
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
        change(registry, account, *record);
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

    registry->link = NULL;
    HASH_ITER (by_id, registry->ids, account, next) {
        account->in_relay = false;
    }
}
