/* The thread of a store: it carries out requests in the order in which they
 * were made and answers on the loop's thread.
 *
 *     loop's thread --jobs--> store's thread --mailbox--> loop's thread
 *
 * Requests that change something and follow one another are carried out
 * together: one transaction, one fsync, for a hundred accounts.
 */
#pragma once

#include <pthread.h>

#include "broker/store/store.h"

enum thread_job {
    THREAD_LOAD,
    THREAD_SAVE,
    THREAD_KEEP,
    THREAD_WRITE,
    THREAD_FETCH,
    THREAD_PAGE,
    THREAD_REKEY
};

struct store_thread;
struct thread_notice;

/* What the back end does; all on the store's thread. */
struct store_thread_ops {
    void (*load)(struct store_thread *thread, struct store_load *load);
    /* Saves, keeps and writes, by their jobs' kind: fills in the results of all. */
    void (*change)(struct store_thread *thread, struct list *jobs);
    void (*fetch)(struct store_thread *thread, struct store_fetch *fetch); /* NULL: keeps none */
    void (*page)(struct store_thread *thread, struct store_page *page);
    void (*rekey)(struct store_thread *thread, struct store_rekey *rekey);
    /* At the start, when it is due and when watch_fd can be read. Returns in how
     * many milliseconds it is due again. */
    uint64_t (*look)(struct store_thread *thread);
};

#define THREAD_NEVER UINT64_MAX

struct store_thread {
    struct store store;
    const struct store_thread_ops *ops;
    /* Rewriting everything for one change takes a while where there is much. Then
     * new tokens gather for so many times as long, so that this takes a part of one
     * processor at most. Processor time, not the disk's: what is small is written
     * at once, because a token that waits is lost when we are killed. 0: never. */
    unsigned gather_factor;
    int watch_fd; /* -1: none */
    /* How long the last change waited for others that change the same data. The next
     * one leaves them about as much time: else who has just had the lock would be
     * the first to have it again. */
    uint64_t waited_ms;
    /* Its own. */
    struct mailbox *results;
    struct thread_notice *notice;
    pthread_t thread;
    pthread_mutex_t lock;
    int wake_fd;
    struct list jobs; /* store_job.node */
    size_t in_haste;  /* of them, that do not wait for others to gather */
    bool closing;
    uint64_t gather_until, leave_until, look_at; /* ms, monotonic */
};

/* Starts the thread; what `ops` use must be ready. False: nothing is left
 * behind. */
bool store_thread_start(struct store_thread *thread, const struct store_options *options,
                        struct reason *why);
/* Finishes what was asked for and ends the thread. */
void store_thread_stop(struct store_thread *thread);

/* Tells the store's user that somebody else changed the data. */
void store_thread_tell_changed(struct store_thread *thread);
bool store_thread_is_watched(const struct store_thread *thread);

static inline struct store_thread *store_thread_of(struct store *store)
{
    return container_of(store, struct store_thread, store);
}

static inline struct store_job *store_thread_job_of(struct list_node *node)
{
    return container_of(node, struct store_job, node);
}

/* For struct store_ops. */
void store_thread_load(struct store *store, struct store_load *load);
void store_thread_save_token(struct store *store, struct store_save *save);
void store_thread_keep(struct store *store, struct store_keep *keep);
void store_thread_fetch(struct store *store, struct store_fetch *fetch);
void store_thread_write(struct store *store, struct store_write *write);
void store_thread_page(struct store *store, struct store_page *page);
void store_thread_rekey(struct store *store, struct store_rekey *rekey);

/* All saves and edits of the jobs have failed. */
void store_thread_fail_changes(struct list *jobs, const struct reason *why);
