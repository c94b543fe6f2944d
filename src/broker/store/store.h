/* Where accounts are kept. A back end is a table of functions; all of them
 * return at once and answer later on the loop's thread, so that a slow disk or
 * a remote engine stops nobody.
 *
 * A request is embedded in its owner's struct, which stays where it is until
 * `done` was called; done may free it. Requests are carried out, and answered,
 * in the order in which they were made. What an answer shows was true then: a
 * load that was asked for before a write is answered before it.
 */
#pragma once

#include "broker/store/account_set.h"
#include "ipc/ipc.h"
#include "net/mailbox.h"

enum store_status {
    STORE_OK,
    STORE_FAILED,  /* nothing was changed; try again */
    STORE_GONE,    /* there is no such record any more */
    STORE_CHANGED, /* the record is not what the caller believes: load again */
    STORE_EXISTS,  /* the id or the login is another record's */
    STORE_INVALID  /* what the record would become cannot serve; the reason says why */
};

struct store_job { /* the back end's part of a request */
    struct mail mail;
    struct list_node node;
    int kind;
};

struct store_load {
    struct store_job job;
    const struct conf *conf; /* the caller keeps it until done */
    struct account_set *set; /* out; the callee's. NULL: it cannot be read */
    struct reason why;
    void (*done)(struct store_load *load);
    void *owner;
};

/* An access token, kept for the next start. `binding` tells what it was got with
 * (record_binding), so that it serves no other grant. The caller keeps the texts. */
struct store_access {
    const char *id;
    const char *value; /* NULL: none is to be kept */
    uint64_t expires_wall_ms, life_ms;
    unsigned char binding[RECORD_BINDING];
};

/* Replaces a refresh token, durably: STORE_OK means that it survives a power
 * failure. `expected` is what the store held when the caller read it, so that
 * an operator's edit is never overwritten; the store remembers that the endpoint has
 * replaced it. */
struct store_save {
    struct store_job job;
    const char *id, *expected, *token; /* the caller keeps them until done */
    const struct store_access *access; /* kept with it, NULL: none; the caller's too */
    enum store_status status;          /* out */
    struct reason why;
    void (*done)(struct store_save *save);
    void *owner;
};

/* Keeps access tokens; those whose account is gone are left out. */
struct store_keep {
    struct store_job job;
    const struct store_access *items; /* the caller's until done */
    size_t count;
    enum store_status status; /* out */
    struct reason why;
    void (*done)(struct store_keep *keep);
    void *owner;
};

/* The access token that is kept of an account. */
struct store_fetch {
    struct store_job job;
    const char *id; /* the caller's until done */
    char *value;    /* out; malloc'd, the callee's, wiped by him; NULL: there is none */
    unsigned char binding[RECORD_BINDING]; /* out */
    struct reason why;                     /* NULL value: "" or why it cannot be had */
    void (*done)(struct store_fetch *fetch);
    void *owner;
};

enum store_edit_kind {
    STORE_ADD,     /* a new record; STORE_EXISTS when its id or login is taken */
    STORE_REPLACE, /* takes the place of the record with its login or its id, whose keys it
                    * keeps where it has none of its own; else it is new */
    STORE_PATCH,   /* RFC 7396 merge patch of the record `id` */
    STORE_REMOVE   /* the record `id`; STORE_CHANGED when it has not the token `expected` */
};

/* Whose application asks where for tokens, and where they are used. */
struct store_place {
    char *client_id, *client_secret, *token_url, *endpoint;
};

bool store_place_is(const struct store_place *place, const struct account_record *record);

/* One record's change. `object` is taken over (its reference count is the
 * store's until done) and is a record as accounts.json has it. An account keeps
 * its id unless it is given another one; a new one without gets that which its
 * e-mail makes, with a number behind it where that is another's. */
struct store_edit {
    enum store_edit_kind kind;
    char *id;       /* PATCH, REMOVE: which one; malloc'd */
    char *expected; /* REMOVE: its refresh token, NULL: any; malloc'd, wiped with the edit */
    json_t *object; /* ADD, REPLACE, PATCH */
    /* What the record must have with the edit, else STORE_CHANGED: its secrets are for that.
     * NULL: anything. The caller keeps it until done. */
    const struct store_place *place;
    /* ADD, REPLACE: the refresh token that the endpoint has just replaced by the object's, or
     * NULL; malloc'd, wiped with the edit. */
    char *superseded;
    /* out */
    enum store_status status;
    struct reason why; /* STORE_OK: "", or a note such as a key that nobody knows */
    /* The record as it is now, checked, or NULL; the caller takes it or
     * store_write_clear frees it. REPLACE: `replaced` is the id of the record whose
     * place it took, malloc'd, NULL if none. */
    struct account_record *record;
    char *replaced;
};

/* Changes of many records in one transaction: those whose status is STORE_OK are
 * durable together when done is called; the others changed nothing. When the
 * transaction itself fails, all are STORE_FAILED. */
struct store_write {
    struct store_job job;
    const struct conf *conf; /* the caller keeps it until done */
    struct store_edit *edits;
    size_t count;
    void (*done)(struct store_write *write);
    void *owner;
};

/* Frees what edits own (object, id, expected, record, replaced) and the array itself. */
void store_write_clear(struct store_write *write);

/* Raw records, secrets included, for export: up to `limit` of them behind
 * `after` (an id as the last page gave it; "" the first page), in an order that
 * stays. */
struct store_page {
    struct store_job job;
    char after[IPC_ID_MAX + 1]; /* in; out: of the last record, for the next page */
    size_t limit;
    json_t *records; /* out: an array, the caller's; NULL on failure */
    bool more;       /* out */
    struct reason why;
    void (*done)(struct store_page *page);
    void *owner;
};

/* Seals all secrets anew. New: the store makes a key and forgets the old one;
 * else everything is sealed under the first key of the key file. */
struct store_rekey {
    struct store_job job;
    size_t records; /* out: sealed anew */
    enum store_status status;
    struct reason why;
    void (*done)(struct store_rekey *rekey);
    void *owner;
};

struct store {
    const struct store_ops *ops;
};

struct store_options {
    const char *key_file;    /* "" the back end's own place beside the data */
    struct mailbox *results; /* of the loop on which callbacks come; outlives the store */
    /* Somebody else changed the data; on the loop's thread. NULL: nobody asks. */
    void (*changed)(void *owner);
    void *owner;
    bool look_only; /* for --check: nothing is made, and no schema changed */
};

struct store_ops {
    const char *scheme; /* of the location: "file" */
    bool whole;         /* a write takes as long as all records do: better few of them */
    struct store *(*open)(const char *path, const struct store_options *options,
                          struct reason *why);
    void (*load)(struct store *store, struct store_load *load);
    void (*save_token)(struct store *store, struct store_save *save);
    /* NULL, both: it keeps no access tokens. */
    void (*keep)(struct store *store, struct store_keep *keep);
    void (*fetch)(struct store *store, struct store_fetch *fetch);
    void (*write)(struct store *store, struct store_write *write);
    void (*page)(struct store *store, struct store_page *page);
    void (*rekey)(struct store *store, struct store_rekey *rekey);
    /* Finishes what was asked for and frees the store; may block. The callbacks
     * still come, through the mailbox. */
    void (*close)(struct store *store);
};

extern const struct store_ops file_store_ops, sqlite_store_ops;

/* "file:PATH", "sqlite:PATH", or a path: one that ends in .db or holds an SQLite
 * file is sqlite, any other is file. */
const struct store_ops *store_find(const char *location, const char **path);
/* NULL and a reason when the back end does not start. */
struct store *store_open(const char *location, const struct store_options *options,
                         struct reason *why);
