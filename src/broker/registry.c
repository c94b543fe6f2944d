#include "broker/registry.h"

#include <stdlib.h>

#include "base/log.h"
#include "broker/tell.h"

void registry_init(struct registry *registry, struct loop *loop)
{
    *registry = (struct registry){.loop = loop};
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

static struct account *add(struct registry *registry, struct account_record *record)
{
    struct account *account = account_new(registry, record);

    if (!account || !token_init(registry->tokens, account)) {
        free(account);
        return NULL;
    }
    account->generation = ++registry->generations;
    account->listed = true;
    HASH_ADD_KEYPTR(by_id, registry->ids, record->id, strlen(record->id), account);
    HASH_ADD_KEYPTR(by_login, registry->logins, record->login, strlen(record->login), account);
    hold_disabled(account);
    return account;
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

static void remove_logged(struct registry *registry, struct account *account)
{
    log_event(LOG_INFO, "account_removed", log_s("account", account->record->id));
    remove_account(registry, account);
}

static void remove_unlisted(struct registry *registry, struct registry_changes *changes)
{
    struct account *account, *next;

    HASH_ITER (by_id, registry->ids, account, next) {
        if (account->listed)
            continue;
        remove_logged(registry, account);
        changes->removed++;
    }
}

/* Takes the record unless the account has the same already. NULL: memory is
 * out. */
static struct account *apply_record(struct registry *registry, struct account_record **record,
                                    struct registry_changes *changes)
{
    struct account *account = registry_by_id(registry, slice_of((*record)->id));

    if (account && record_same(account->record, *record)) {
        changes->unchanged++;
        return account;
    }
    if (account) {
        change(registry, account, *record);
        changes->changed++;
    } else if ((account = add(registry, *record))) {
        changes->added++;
    } else {
        log_event(LOG_ERROR, "account_lost", log_s("account", (*record)->id),
                  log_s("reason", "out of memory"));
        return NULL;
    }
    *record = NULL;
    return account;
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

bool registry_remove(struct registry *registry, struct slice id)
{
    struct account *account = registry_by_id(registry, id);

    if (account)
        remove_logged(registry, account);
    return account != NULL;
}

struct account *registry_put(struct registry *registry, struct account_record *record)
{
    struct account *same_id = registry_by_id(registry, slice_of(record->id));
    struct account *same_login = registry_by_login(registry, slice_of(record->login));
    struct registry_changes changes = {0};
    struct account *account;

    if (same_id && same_id != same_login)
        remove_logged(registry, same_id);
    if (same_login && same_login != same_id)
        remove_logged(registry, same_login);
    account = apply_record(registry, &record, &changes);
    record_free(record); /* unless it was taken */
    tokens_spread(registry->tokens, changes.added);
    return account;
}

static bool moved(const char *old_id, const struct account_record *record)
{
    return old_id && strcmp(old_id, record->id) != 0;
}

struct account *registry_apply_edit(struct registry *registry, struct store_edit *edit)
{
    struct account_record *record = edit->record;
    const char *old_id = edit->kind == STORE_PATCH ? edit->id : edit->replaced;

    if (edit->status != STORE_OK)
        return NULL;
    if (edit->kind == STORE_REMOVE) {
        registry_remove(registry, slice_of(edit->id));
        return NULL;
    }
    if (moved(old_id, record))
        registry_remove(registry, slice_of(old_id));
    edit->record = NULL;
    return registry_put(registry, record);
}

void registry_clear(struct registry *registry)
{
    struct account *account, *next;

    HASH_ITER (by_id, registry->ids, account, next) {
        remove_account(registry, account);
    }
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
