/* What the relay counts: an anonymous mapping that both processes share, one
 * block per worker, plain numbers. A block is written by its worker only; the
 * broker reads and sums when somebody asks. X-macro: adding one is one row.
 *
 * Whoever reads another process's blocks must take any number for possible.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* X(kind, name, help). COUNTER only grows; GAUGE is what there is now;
 * HISTOGRAM takes milliseconds and is told in seconds. */
#define STATS(X)                                                                                   \
    X(COUNTER, client_connections_total, "client connections accepted")                            \
    X(COUNTER, client_refused_total, "client connections refused by a connection limit")           \
    X(GAUGE, client_sessions, "client connections open now")                                       \
    X(COUNTER, client_auth_ok_total, "successful client logins")                                   \
    X(COUNTER, client_auth_failed_total, "failed client logins")                                   \
    X(COUNTER, client_ended_total, "sessions ended because their account was removed or changed")  \
    X(COUNTER, protocol_errors_total, "client protocol violations")                                \
    X(COUNTER, messages_delivered_total, "messages that the provider accepted")                    \
    X(COUNTER, messages_rejected_total, "messages refused for good")                               \
    X(COUNTER, messages_deferred_total, "messages answered with a temporary failure")              \
    X(COUNTER, messages_unknown_total, "messages whose fate at the provider is unknown")           \
    X(COUNTER, messages_dry_run_total, "messages accepted in dry-run mode, not sent")              \
    X(COUNTER, client_gone_total, "messages whose client vanished before the answer")              \
    X(COUNTER, bytes_received_total, "message octets taken from clients")                          \
    X(COUNTER, spilled_total, "messages that went to a temporary file")                            \
    X(GAUGE, message_memory_bytes, "memory that holds messages now")                               \
    X(GAUGE, messages_waiting, "messages that wait for a connection now")                          \
    X(GAUGE, messages_running, "messages that are with a provider now")                            \
    X(HISTOGRAM, message_wait_seconds, "from a complete message to its turn on a connection")      \
    X(HISTOGRAM, message_delivery_seconds, "from a complete message to the provider's 250")        \
    X(GAUGE, accounts, "accounts that the relay knows now")                                        \
    X(COUNTER, upstream_dials_total, "connections to providers begun")                             \
    X(COUNTER, upstream_prewarmed_total, "of these: begun ahead of mail")                          \
    X(COUNTER, upstream_dial_failed_total, "connections to providers that did not become ready")   \
    X(COUNTER, upstream_logins_total, "successful logins at providers")                            \
    X(COUNTER, upstream_tls_resumed_total, "TLS handshakes that resumed a session")                \
    X(COUNTER, upstream_evicted_total, "idle connections closed by the provider")                  \
    X(COUNTER, upstream_retired_total, "connections that we retired")                              \
    X(COUNTER, upstream_retries_total, "silent retries before the commit point")                   \
    X(GAUGE, upstream_dialing, "connections to providers being set up now")                        \
    X(GAUGE, upstream_idle, "connections to providers that wait for a message now")                \
    X(GAUGE, upstream_busy, "connections to providers with a message now")                         \
    X(GAUGE, upstream_draining, "connections to providers that say goodbye now")                   \
    X(COUNTER, bdat_demotions_total, "providers demoted from BDAT to DATA")                        \
    X(COUNTER, token_wait_total, "messages that had to wait for an access token")                  \
    X(COUNTER, probes_total, "accounts' logins checked for an administrator")                      \
    X(COUNTER, refused_messages_per_minute_total, "messages deferred by messages_per_minute")      \
    X(COUNTER, refused_messages_per_hour_total, "messages deferred by messages_per_hour")          \
    X(COUNTER, refused_messages_per_day_total, "messages deferred by messages_per_day")            \
    X(COUNTER, refused_recipients_per_day_total, "messages deferred by recipients_per_day")        \
    X(COUNTER, refused_concurrent_total, "messages deferred by max_concurrent_messages")           \
    X(COUNTER, refused_connections_total, "messages deferred because all connections were busy")   \
    X(COUNTER, refused_broken_total, "messages deferred while an account or server fails")         \
    X(COUNTER, refused_at_mail_total, "of these and others: told at MAIL, before any content")     \
    X(COUNTER, connections_cut_total, "times that a provider said that connections are too many")  \
    X(COUNTER, account_breakers_total, "accounts left alone because their connections failed")     \
    X(COUNTER, endpoint_breakers_total, "servers left alone because accounts could not connect")

/* Bucket b counts what took at most 2^b ms, the last one what took longer:
 * 1 ms to nine minutes, the longest that a provider is waited for. */
#define STATS_BUCKETS 21

struct stats_histogram {
    uint64_t buckets[STATS_BUCKETS]; /* each value is in one only */
    uint64_t sum_ms;
};

/* Nothing but uint64_t inside: it is summed word by word. */
struct stats {
#define STATS_COUNTER(name) uint64_t name;
#define STATS_GAUGE(name) uint64_t name;
#define STATS_HISTOGRAM(name) struct stats_histogram name;
#define STATS_FIELD(kind, name, help) STATS_##kind(name)
    STATS(STATS_FIELD)
#undef STATS_FIELD
    uint64_t apart[16]; /* two workers' numbers share no cache line, nor its neighbour */
};

#define STATS_WORDS (sizeof(struct stats) / sizeof(uint64_t))
#define STATS_WORKERS_MAX 64

struct stats_area {
    struct stats blocks[STATS_WORKERS_MAX];
};

enum stats_kind { STATS_KIND_COUNTER, STATS_KIND_GAUGE, STATS_KIND_HISTOGRAM };

struct stats_info {
    const char *name, *help;
    enum stats_kind kind;
    size_t offset, size; /* octets in struct stats */
};

extern const struct stats_info stats_table[]; /* ends with a NULL name */

/* The number of a counter or gauge, and the buckets of a histogram. */
uint64_t stats_number(const struct stats *stats, const struct stats_info *info);
const struct stats_histogram *stats_histogram(const struct stats *stats,
                                              const struct stats_info *info);

/* Adds the blocks of an area, which somebody may be writing to, to *sum. */
void stats_sum(const struct stats_area *area, struct stats *sum);

static inline void stats_add(uint64_t *number, uint64_t n)
{
    __atomic_store_n(number, *number + n, __ATOMIC_RELAXED);
}

/* Of a gauge. */
static inline void stats_sub(uint64_t *number, uint64_t n)
{
    __atomic_store_n(number, *number - n, __ATOMIC_RELAXED);
}

static inline void stats_observe(struct stats_histogram *histogram, uint64_t ms)
{
    unsigned bucket = ms > 1 ? 64 - (unsigned)__builtin_clzll(ms - 1) : 0;

    stats_add(&histogram->buckets[bucket < STATS_BUCKETS ? bucket : STATS_BUCKETS - 1], 1);
    stats_add(&histogram->sum_ms, ms);
}
