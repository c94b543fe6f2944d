/* One worker thread: its loop and everything that it owns. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "net/listen.h"
#include "net/loop.h"
#include "net/mailbox.h"
#include "relay/relay.h"

struct account_table; /* upstream: accounts owned by this worker */
struct request;
struct session;

struct worker_listener {
    struct acceptor acceptor;
    struct worker *worker;
    enum conf_tls tls;
    char address[NET_ADDRESS_TEXT];
};

struct worker {
    struct relay *relay;
    unsigned index;
    pthread_t thread;
    struct loop loop;
    struct mailbox mailbox;
    struct stats *stats;
    struct settings *settings; /* the worker's reference */
    struct worker_listener listeners[CONF_LISTENERS_MAX];
    size_t listener_count;
    /* inbound */
    struct list sessions; /* session.worker_node */
    atomic_bool sweeping; /* session_end_removed will be called */
    uint64_t session_serial;
    /* upstream */
    struct account_table *accounts;
    uint64_t conn_serial;
    size_t jobs_out; /* jobs of sessions here, ended ones too, that are with their owners */
    /* requests to the broker under way, by number */
    struct request *requests;
    uint64_t request_serial;
    bool draining;
    struct timer drain_timer;
};

struct worker *worker_new(struct relay *relay, unsigned index, struct settings *settings,
                          struct reason *why);
bool worker_add_listener(struct worker *worker, int fd, enum conf_tls tls, const char *address,
                         struct reason *why);
bool worker_start(struct worker *worker, struct reason *why); /* creates the thread */
void worker_join(struct worker *worker);                      /* waits for its end */
void worker_free(struct worker *worker); /* not while another one runs: it may post to it */

/* From the main thread. Settings: a reference is handed over. */
void worker_post_settings(struct worker *worker, struct settings *settings);
void worker_post_drain(struct worker *worker); /* link_worker_drained follows */
void worker_post_end(struct worker *worker);   /* ends the thread's loop */

/* Runs `fn(worker, arg)` on the worker's thread. */
void worker_call(struct worker *worker, void (*fn)(struct worker *worker, void *arg), void *arg);

static inline const struct conf *worker_conf(const struct worker *worker)
{
    return worker->settings->conf;
}
