/* Counters: one block per worker, plain integers, written by that worker only
 * and summed by whoever asks. X-macro: adding one is one row. */
#pragma once

#include <stdint.h>

/* X(name, help) */
#define STATS_COUNTERS(X)                                                                          \
    X(client_connections_total, "client connections accepted")                                     \
    X(client_refused_total, "client connections refused by a connection limit")                    \
    X(client_auth_ok_total, "successful client logins")                                            \
    X(client_auth_failed_total, "failed client logins")                                            \
    X(protocol_errors_total, "client protocol violations")                                         \
    X(messages_delivered_total, "messages that the provider accepted")                             \
    X(messages_rejected_total, "messages refused for good")                                        \
    X(messages_deferred_total, "messages answered with a temporary failure")                       \
    X(messages_unknown_total, "messages whose fate at the provider is unknown")                    \
    X(messages_dry_run_total, "messages accepted in dry-run mode, not sent")                       \
    X(client_gone_total, "messages whose client vanished before the answer")                       \
    X(bytes_received_total, "message octets taken from clients")                                   \
    X(spilled_total, "messages that went to a temporary file")                                     \
    X(upstream_dials_total, "connections to providers begun")                                      \
    X(upstream_dial_failed_total, "connections to providers that did not become ready")            \
    X(upstream_logins_total, "successful logins at providers")                                     \
    X(upstream_tls_resumed_total, "TLS handshakes that resumed a session")                         \
    X(upstream_evicted_total, "idle connections closed by the provider")                           \
    X(upstream_retired_total, "connections that we retired")                                       \
    X(upstream_retries_total, "silent retries before the commit point")                            \
    X(bdat_demotions_total, "providers demoted from BDAT to DATA")                                 \
    X(token_wait_total, "messages that had to wait for an access token")                           \
    X(pool_wait_total, "messages that had to wait for a connection")

struct stats {
#define STATS_FIELD(name, help) uint64_t name;
    STATS_COUNTERS(STATS_FIELD)
#undef STATS_FIELD
} __attribute__((aligned(128)));

#define STATS_WORKERS_MAX 64

struct stats_area {
    uint32_t workers;
    struct stats block[STATS_WORKERS_MAX] __attribute__((aligned(128)));
};

struct stats_info {
    const char *name, *help;
};

extern const struct stats_info stats_table[]; /* ends with a NULL name */

static inline void stats_add(uint64_t *counter, uint64_t n)
{
    __atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}
