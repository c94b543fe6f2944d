/* Who may log in: the one table that all threads share, read once per AUTH.
 *
 * A login outlives its removal from the table while sessions hold it; it is
 * then marked removed. Everything that changes is behind the login's lock, or
 * atomic where every message looks at it.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/str.h"
#include "ipc/ipc.h"
#include "smtp/reply.h"

struct directory;

#define LOGIN_LIVE_MAX 16

struct login_live {
    char client[64];
    uint64_t until; /* ms, monotonic */
};

struct login {
    atomic_uint refs;
    /* Fixed for this object; a changed account gets a new one. */
    char *name; /* what the client says, lower case */
    char *id;   /* account id */
    char *provider;
    uint64_t generation;
    uint32_t owner; /* hash of the id: the worker is owner % worker_count */
    bool has_password;
    /* Changing. */
    atomic_int state; /* enum account_state; `until` may have ended it */
    atomic_bool removed;
    atomic_uint live_count; /* entries of `live`, some perhaps expired */
    pthread_mutex_t lock;
    uint64_t until_wall_ms;
    char text[IPC_TEXT_MAX + 1];
    atomic_uint max_recipients;         /* of one message; UINT32_MAX: no limit of its own */
    atomic_uint_fast64_t refused_until; /* ms, monotonic; with `refusal` */
    struct {
        int code;
        struct smtp_enhanced enhanced;
        char text[256];
    } refusal;
    bool known_good; /* password_tag is valid */
    unsigned char password_tag[32];
    struct login_live live[LOGIN_LIVE_MAX];
};

struct directory *directory_new(void);
void directory_free(struct directory *directory);

/* A reference, or NULL. Any case of the name's letters is right. */
struct login *directory_find(struct directory *directory, struct slice name);
struct login *login_ref(struct login *login);
void login_unref(struct login *login);

/* The broker's word, on the main thread. A put of an unknown or changed
 * account replaces the login; state messages then follow. True: sessions may
 * hold a login that was removed just now. */
bool directory_put(struct directory *directory, const struct ipc_account *account);
bool directory_remove(struct directory *directory, struct slice id);
void directory_state(struct directory *directory, const struct ipc_state *state);
/* Calls for each login, under the table's read lock. */
void directory_each(struct directory *directory, void (*each)(struct login *, void *), void *arg);

/* The state now (a state whose time is over counts as ACTIVE); for any but
 * ACTIVE, `text` gets what to tell the client. */
enum account_state login_state(struct login *login, uint64_t wall_ms, char *text, size_t cap);

/* Until then (ms, monotonic; 0: no longer) a message would be refused with this
 * reply, as the account's owner knows. */
void login_refuse(struct login *login, uint64_t until, const struct smtp_reply *reply);
/* True: MAIL is to be refused now, with *reply. */
bool login_is_refused(struct login *login, uint64_t now_ms, struct smtp_reply *reply);

/* The keyed memory of a password that was right: so that a busy client costs
 * one Argon2id, not one per connection. Only the tag is kept. */
void login_remember_password(struct directory *directory, struct login *login,
                             struct slice password);
bool login_password_remembered(struct directory *directory, struct login *login,
                               struct slice password);

/* For ten minutes behind a mixed verdict, this client's RCPTs are answered by
 * the provider itself (DESIGN.md: several recipients). */
void login_set_live(struct login *login, const char *client, uint64_t now_ms, uint64_t for_ms);
bool login_is_live(struct login *login, const char *client, uint64_t now_ms);

uint32_t account_hash(struct slice id);
