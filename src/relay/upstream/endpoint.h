/* A provider's submission server, as one worker sees it: its addresses, its
 * TLS sessions, and whether BDAT works there. Shared by the worker's accounts
 * that use it, counted, and freed with the last of them. */
#pragma once

#include <uthash.h>

#include "net/dial.h"
#include "net/tls.h"
#include "relay/limit/breaker.h"
#include "relay/request.h"
#include "relay/worker.h"
#include "smtp/reply.h"

#define ENDPOINT_FAILING_MAX 64

struct endpoint;

/* Embedded in who waits for addresses. */
struct endpoint_waiter {
    struct list_node node;
    /* endpoint->addresses are fresh, or `why` says why there are none. */
    void (*resolved)(struct endpoint_waiter *waiter, const struct reason *why);
};

struct endpoint {
    UT_hash_handle hh;
    char *key; /* "host:port" */
    char *host;
    uint32_t port;
    unsigned refs;
    struct worker *worker;
    struct endpoint **table;
    struct tls_peer tls;
    struct net_address addresses[DIAL_MAX_ADDRESSES];
    size_t address_count;
    uint64_t addresses_until; /* ms, of the loop */
    struct request request;
    struct timer patience; /* of the request */
    struct list waiters;
    uint64_t bdat_demoted_until; /* ms, 0: BDAT works as far as we know */
    unsigned bdat_losses;        /* connections lost behind BDAT, in a row */
    /* Connections being set up, and accounts that wait for that to be fewer. */
    size_t dialing;
    struct list crowd; /* account.crowd_node */
    struct timer serve_crowd;
    void (*serve)(struct list_node *node); /* one of the crowd has its turn */
    /* Several accounts in a row could not connect. */
    struct breaker breaker;
    uint32_t failing[ENDPOINT_FAILING_MAX]; /* hashes of their ids */
    unsigned failing_count;
    struct smtp_reply last_failure;
};

struct endpoint *endpoint_get(struct endpoint **table, struct worker *worker, struct slice host,
                              uint32_t port);
void endpoint_put(struct endpoint *endpoint);

/* Calls the waiter back, at once when addresses are at hand. */
void endpoint_resolve(struct endpoint *endpoint, struct endpoint_waiter *waiter);
void endpoint_cancel(struct endpoint *endpoint, struct endpoint_waiter *waiter);
/* No address worked: ask again before the next attempt. */
void endpoint_forget_addresses(struct endpoint *endpoint);

bool endpoint_bdat_works(const struct endpoint *endpoint);
void endpoint_demote_bdat(struct endpoint *endpoint, const char *why);
/* The connection vanished after BDAT content: twice in a row is BDAT-shaped. */
void endpoint_lost_behind_bdat(struct endpoint *endpoint);

/* All accounts together set up upstream.concurrent_dials connections at once: a relay
 * that starts with mail for ten thousand accounts does not knock ten thousand times in
 * one moment. `most` is less than that; 0: no less. */
bool endpoint_has_room(const struct endpoint *endpoint, uint32_t most);
/* An account waits for room; `serve` is called when there is some, and again for what it
 * then leaves. */
void endpoint_join_crowd(struct endpoint *endpoint, struct list_node *node,
                         void (*serve)(struct list_node *node));
void endpoint_leave_crowd(struct endpoint *endpoint, struct list_node *node);
void endpoint_dial_begins(struct endpoint *endpoint);

/* An attempt to connect has ended, for the account with this hash. One account
 * that fails again and again says nothing of the server. `why` with a failure. */
void endpoint_dial_ended(struct endpoint *endpoint, uint32_t account, bool trial,
                         enum breaker_result result, const struct smtp_reply *why);
