/* Where accounts are kept. A back end is a table of functions; all of them
 * return at once and answer later on the loop's thread, so that a slow disk or
 * a remote engine stops nobody.
 *
 * A request is embedded in its owner's struct, which stays where it is until
 * `done` was called; done may free it.
 */
#pragma once

#include "broker/store/account_set.h"
#include "net/mailbox.h"

enum store_status {
    STORE_OK,
    STORE_FAILED, /* nothing was changed; try again */
    STORE_GONE,   /* there is no such record any more */
    STORE_CHANGED /* the record is not what the caller believes: load again */
};

struct store_job { /* the back end's part of a request */
    struct mail mail;
    struct list_node node;
    bool save;
};

struct store_load {
    struct store_job job;
    const struct conf *conf; /* the caller keeps it until done */
    struct account_set *set; /* out; the callee's. NULL: it cannot be read */
    struct reason why;
    void (*done)(struct store_load *load);
    void *owner;
};

/* Replaces a refresh token, durably: STORE_OK means that it survives a power
 * failure. `expected` is what the store held when the caller read it, so that
 * an operator's edit is never overwritten. */
struct store_save {
    struct store_job job;
    const char *id, *expected, *token; /* the caller keeps them until done */
    enum store_status status;          /* out */
    struct reason why;
    void (*done)(struct store_save *save);
    void *owner;
};

struct store {
    const struct store_ops *ops;
};

struct store_ops {
    const char *scheme; /* of the location: "file" */
    struct store *(*open)(const char *path, struct mailbox *results, struct reason *why);
    void (*load)(struct store *store, struct store_load *load);
    void (*save_token)(struct store *store, struct store_save *save);
    /* Finishes what was asked for and frees the store; may block. The callbacks
     * still come, through the mailbox. */
    void (*close)(struct store *store);
};

extern const struct store_ops file_store_ops;

/* "file:PATH", or a path. `results` belongs to the loop on which callbacks come
 * and outlives the store. NULL and a reason when the back end does not start. */
struct store *store_open(const char *location, struct mailbox *results, struct reason *why);
