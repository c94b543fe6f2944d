#include "relay/directory.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <uthash.h>

#include "base/log.h"

/* Two tables over the same entries: by login name and by account id. */
struct entry {
    struct login *login;
    UT_hash_handle by_name, by_id;
};

struct directory {
    pthread_rwlock_t lock;
    struct entry *names, *ids;
    unsigned char key[crypto_generichash_KEYBYTES]; /* of this process, for password tags */
};

uint32_t account_hash(struct slice id)
{
    uint32_t hash = 2166136261u; /* FNV-1a */

    for (size_t i = 0; i < id.len; i++)
        hash = (hash ^ (unsigned char)id.ptr[i]) * 16777619u;
    return hash;
}

struct directory *directory_new(void)
{
    struct directory *directory = calloc(1, sizeof(*directory));

    if (!directory)
        return NULL;
    pthread_rwlock_init(&directory->lock, NULL);
    randombytes_buf(directory->key, sizeof(directory->key));
    return directory;
}

struct login *login_ref(struct login *login)
{
    atomic_fetch_add(&login->refs, 1);
    return login;
}

void login_unref(struct login *login)
{
    if (!login || atomic_fetch_sub(&login->refs, 1) != 1)
        return;
    pthread_mutex_destroy(&login->lock);
    sodium_memzero(login->password_tag, sizeof(login->password_tag));
    free(login->name);
    free(login->id);
    free(login->provider);
    free(login);
}

/* True: somebody else holds the login. */
static bool drop_entry(struct directory *directory, struct entry *entry)
{
    bool held;

    assert(directory->names && directory->ids); /* each entry is in both */
    HASH_DELETE(by_name, directory->names, entry);
    HASH_DELETE(by_id, directory->ids, entry);
    atomic_store(&entry->login->removed, true);
    held = atomic_load(&entry->login->refs) > 1;
    login_unref(entry->login);
    free(entry);
    return held;
}

void directory_free(struct directory *directory)
{
    struct entry *entry, *next;

    if (!directory)
        return;
    HASH_ITER (by_name, directory->names, entry, next)
        drop_entry(directory, entry);
    sodium_memzero(directory->key, sizeof(directory->key));
    pthread_rwlock_destroy(&directory->lock);
    free(directory);
}

static struct entry *find_name(struct directory *directory, struct slice name)
{
    char lower[IPC_ID_MAX + 1];
    struct entry *entry;

    if (!slice_copy(name, lower, sizeof(lower)))
        return NULL;
    ascii_lower_in_place(lower);
    HASH_FIND(by_name, directory->names, lower, strlen(lower), entry);
    return entry;
}

static struct entry *find_id(struct directory *directory, struct slice id)
{
    struct entry *entry;

    HASH_FIND(by_id, directory->ids, id.ptr, id.len, entry);
    return entry;
}

struct login *directory_find(struct directory *directory, struct slice name)
{
    struct entry *entry;
    struct login *login;

    pthread_rwlock_rdlock(&directory->lock);
    entry = find_name(directory, name);
    login = entry ? login_ref(entry->login) : NULL;
    pthread_rwlock_unlock(&directory->lock);
    return login;
}

/* More in one message than in a day would never have room. */
static uint32_t max_recipients(const struct ipc_account *account)
{
    uint32_t max = account->recipients_per_message ? account->recipients_per_message : UINT32_MAX;

    if (account->recipients_per_day && account->recipients_per_day < max)
        max = account->recipients_per_day;
    return max;
}

static struct login *login_new(const struct ipc_account *account)
{
    struct login *login = calloc(1, sizeof(*login));

    if (!login)
        return NULL;
    atomic_init(&login->refs, 1);
    pthread_mutex_init(&login->lock, NULL);
    login->name = slice_dup(account->login);
    login->id = slice_dup(account->id);
    login->provider = slice_dup(account->provider);
    login->generation = account->generation;
    login->owner = account_hash(account->id);
    login->has_password = account->has_password;
    atomic_init(&login->max_recipients, max_recipients(account));
    if (!login->name || !login->id || !login->provider) {
        login_unref(login);
        return NULL;
    }
    ascii_lower_in_place(login->name);
    return login;
}

/* Nothing that a client's session stands on is another: only limits or the
 * like. The login stays, with what it remembers. */
static bool same_login(const struct login *login, const struct ipc_account *account)
{
    return login->generation == account->generation &&
           login->has_password == (account->has_password != 0) &&
           slice_equal_nocase(slice_of(login->name), account->login) &&
           slice_equal(slice_of(login->provider), account->provider);
}

static bool replace(struct directory *directory, struct entry *entry)
{
    struct slice id = slice_of(entry->login->id), name = slice_of(entry->login->name);
    struct entry *old;
    bool held = false;

    pthread_rwlock_wrlock(&directory->lock);
    while ((old = find_id(directory, id)) || (old = find_name(directory, name)))
        held |= drop_entry(directory, old);
    HASH_ADD_KEYPTR(by_name, directory->names, entry->login->name, strlen(entry->login->name),
                    entry);
    HASH_ADD_KEYPTR(by_id, directory->ids, entry->login->id, strlen(entry->login->id), entry);
    pthread_rwlock_unlock(&directory->lock);
    return held;
}

bool directory_put(struct directory *directory, const struct ipc_account *account)
{
    /* Without the lock: nobody but this thread changes the tables. */
    struct entry *old = find_id(directory, account->id), *entry;

    if (old && same_login(old->login, account)) {
        atomic_store(&old->login->max_recipients, max_recipients(account));
        return false;
    }
    entry = calloc(1, sizeof(*entry));
    if (entry && (entry->login = login_new(account)))
        return replace(directory, entry);
    free(entry);
    log_event(LOG_ERROR, "account_not_taken", log_sl("account", account->id),
              log_s("reason", "out of memory"));
    return directory_remove(directory, account->id); /* what it was is no longer true */
}

bool directory_remove(struct directory *directory, struct slice id)
{
    struct entry *entry;
    bool held = false;

    pthread_rwlock_wrlock(&directory->lock);
    entry = find_id(directory, id);
    if (entry)
        held = drop_entry(directory, entry);
    pthread_rwlock_unlock(&directory->lock);
    return held;
}

void directory_state(struct directory *directory, const struct ipc_state *state)
{
    struct entry *entry;

    pthread_rwlock_rdlock(&directory->lock);
    entry = find_id(directory, state->id);
    if (entry && entry->login->generation == state->generation) {
        struct login *login = entry->login;

        pthread_mutex_lock(&login->lock);
        slice_copy(state->text, login->text, sizeof(login->text));
        login->until_wall_ms = state->until_wall_ms;
        atomic_store(&login->state, (int)state->state);
        pthread_mutex_unlock(&login->lock);
    }
    pthread_rwlock_unlock(&directory->lock);
}

void directory_each(struct directory *directory, void (*each)(struct login *, void *), void *arg)
{
    struct entry *entry, *next;

    pthread_rwlock_rdlock(&directory->lock);
    HASH_ITER (by_name, directory->names, entry, next)
        each(entry->login, arg);
    pthread_rwlock_unlock(&directory->lock);
}

enum account_state login_state(struct login *login, uint64_t wall_ms, char *text, size_t cap)
{
    enum account_state state = (enum account_state)atomic_load(&login->state);

    if (state == ACCOUNT_ACTIVE)
        return state;
    pthread_mutex_lock(&login->lock);
    if (login->until_wall_ms && login->until_wall_ms <= wall_ms)
        state = ACCOUNT_ACTIVE;
    else
        slice_copy(slice_of(login->text), text, cap);
    pthread_mutex_unlock(&login->lock);
    return state;
}

void login_refuse(struct login *login, uint64_t until, const struct smtp_reply *reply)
{
    pthread_mutex_lock(&login->lock);
    if (until) {
        login->refusal.code = reply->code;
        login->refusal.enhanced = reply->enhanced;
        slice_copy((struct slice){reply->text ? reply->text : "", reply->text_len},
                   login->refusal.text, sizeof(login->refusal.text));
    }
    atomic_store(&login->refused_until, until);
    pthread_mutex_unlock(&login->lock);
}

bool login_is_refused(struct login *login, uint64_t now_ms, struct smtp_reply *reply)
{
    bool refused;

    if (atomic_load(&login->refused_until) <= now_ms)
        return false;
    pthread_mutex_lock(&login->lock);
    refused = atomic_load(&login->refused_until) > now_ms;
    if (refused)
        smtp_reply_set(reply, login->refusal.code, login->refusal.enhanced, login->refusal.text);
    pthread_mutex_unlock(&login->lock);
    return refused;
}

static void password_tag(struct directory *directory, const struct login *login,
                         struct slice password, unsigned char tag[32])
{
    crypto_generichash_state state;

    /* The login object is part of it: a changed account has a new one. */
    crypto_generichash_init(&state, directory->key, sizeof(directory->key), 32);
    crypto_generichash_update(&state, (const unsigned char *)login->name, strlen(login->name) + 1);
    crypto_generichash_update(&state, (const unsigned char *)password.ptr, password.len);
    crypto_generichash_final(&state, tag, 32);
    sodium_memzero(&state, sizeof(state));
}

void login_remember_password(struct directory *directory, struct login *login,
                             struct slice password)
{
    unsigned char tag[32];

    password_tag(directory, login, password, tag);
    pthread_mutex_lock(&login->lock);
    memcpy(login->password_tag, tag, sizeof(tag));
    login->known_good = true;
    pthread_mutex_unlock(&login->lock);
    sodium_memzero(tag, sizeof(tag));
}

bool login_password_remembered(struct directory *directory, struct login *login,
                               struct slice password)
{
    unsigned char tag[32];
    bool same;

    password_tag(directory, login, password, tag);
    pthread_mutex_lock(&login->lock);
    same = login->known_good && sodium_memcmp(login->password_tag, tag, sizeof(tag)) == 0;
    pthread_mutex_unlock(&login->lock);
    sodium_memzero(tag, sizeof(tag));
    return same;
}

void login_set_live(struct login *login, const char *client, uint64_t now_ms, uint64_t for_ms)
{
    struct login_live *place = NULL;

    pthread_mutex_lock(&login->lock);
    for (size_t i = 0; i < LOGIN_LIVE_MAX; i++) {
        struct login_live *live = &login->live[i];

        if (strcmp(live->client, client) == 0) {
            place = live;
            break;
        }
        if (!place || live->until < place->until)
            place = live; /* a free or the oldest one */
    }
    slice_copy(slice_of(client), place->client, sizeof(place->client));
    place->until = now_ms + for_ms;
    atomic_store(&login->live_count, LOGIN_LIVE_MAX);
    pthread_mutex_unlock(&login->lock);
}

bool login_is_live(struct login *login, const char *client, uint64_t now_ms)
{
    unsigned alive = 0;
    bool found = false;

    if (!atomic_load(&login->live_count))
        return false;
    pthread_mutex_lock(&login->lock);
    for (size_t i = 0; i < LOGIN_LIVE_MAX; i++) {
        struct login_live *live = &login->live[i];

        if (live->until <= now_ms)
            continue;
        alive++;
        found = found || strcmp(live->client, client) == 0;
    }
    atomic_store(&login->live_count, alive);
    pthread_mutex_unlock(&login->lock);
    return found;
}
