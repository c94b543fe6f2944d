#include "broker/passwords.h"

#include <sodium.h>
#include <stdlib.h>

#include "base/log.h"

#define WAITING_MAX 256
/* Each takes one of libuv's four threads and 64 MiB. */
#define RUNNING_MAX 2
#define PASSWORD_MAX 1024

/* Of a password that nobody knows, with the parameters of "bearerctl passwd". */
static const char nobodys_hash[] = "$argon2id$v=19$m=65536,t=2,p=1$6VDGOkZZZ0n2rIj1fQdBUQ$"
                                   "nP3RxHSk0ZrkmYT0Y8CZoDdSbZf3UXTSIpHG0gAOkdM";

struct check {
    uv_work_t work;
    struct list_node node;
    struct passwords *passwords;
    char hash[crypto_pwhash_STRBYTES];
    char password[PASSWORD_MAX];
    size_t password_len;
    bool known; /* the hash is an account's */
    bool right;
    uint64_t generation, tag;
    passwords_done *done; /* NULL: forgotten */
    void *owner;
};

struct passwords {
    struct loop *loop;
    struct list waiting, running; /* check.node */
    bool closing;
};

static void pump(struct passwords *passwords);

struct passwords *passwords_new(struct loop *loop)
{
    struct passwords *passwords = calloc(1, sizeof(*passwords));

    if (!passwords)
        return NULL;
    passwords->loop = loop;
    list_init(&passwords->waiting);
    list_init(&passwords->running);
    return passwords;
}

static void free_check(struct check *check)
{
    explicit_bzero(check, sizeof(*check));
    free(check);
}

static void maybe_free(struct passwords *passwords)
{
    if (passwords->closing && list_empty(&passwords->running))
        free(passwords);
}

void passwords_forget_all(struct passwords *passwords)
{
    list_foreach_safe (&passwords->waiting, node) {
        list_remove(&passwords->waiting, node);
        free_check(container_of(node, struct check, node));
    }
    list_foreach (&passwords->running, running) {
        container_of(running, struct check, node)->done = NULL;
    }
}

void passwords_free(struct passwords *passwords)
{
    if (!passwords)
        return;
    passwords_forget_all(passwords);
    passwords->closing = true;
    maybe_free(passwords);
}

static void on_thread(uv_work_t *work)
{
    struct check *check = work->data;

    check->right = crypto_pwhash_str_verify(check->hash, check->password, check->password_len) == 0;
    explicit_bzero(check->password, sizeof(check->password));
}

static void on_done(uv_work_t *work, int status)
{
    struct check *check = work->data;
    struct passwords *passwords = check->passwords;
    bool right = status == 0 && check->right && check->known;

    list_remove(&passwords->running, &check->node);
    if (check->done)
        check->done(check->owner, check->tag, right ? PASSWORD_RIGHT : PASSWORD_WRONG,
                    check->generation);
    free_check(check);
    if (passwords->closing)
        maybe_free(passwords);
    else
        pump(passwords);
}

static void pump(struct passwords *passwords)
{
    struct list_node *node;

    while (passwords->running.count < RUNNING_MAX && (node = list_pop_head(&passwords->waiting))) {
        struct check *check = container_of(node, struct check, node);

        list_push_tail(&passwords->running, &check->node);
        uv_queue_work(&passwords->loop->uv, &check->work, on_thread, on_done);
    }
}

static struct check *new_check(struct passwords *passwords, const char *hash, struct slice password)
{
    struct check *check = calloc(1, sizeof(*check));

    if (!check)
        return NULL;
    check->work.data = check;
    check->passwords = passwords;
    check->known = hash[0] != '\0' && password.len <= PASSWORD_MAX;
    slice_copy(slice_of(check->known ? hash : nobodys_hash), check->hash, sizeof(check->hash));
    if (password.len && password.len <= PASSWORD_MAX)
        memcpy(check->password, password.ptr, check->password_len = password.len);
    return check;
}

void passwords_check(struct passwords *passwords, const char *hash, struct slice password,
                     uint64_t generation, passwords_done *done, void *owner, uint64_t tag)
{
    struct check *check =
        passwords->waiting.count < WAITING_MAX ? new_check(passwords, hash, password) : NULL;

    if (!check) {
        done(owner, tag, PASSWORD_BUSY, generation);
        return;
    }
    check->generation = generation;
    check->tag = tag;
    check->done = done;
    check->owner = owner;
    list_push_tail(&passwords->waiting, &check->node);
    pump(passwords);
}
