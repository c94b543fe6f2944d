/* The relay process: all SMTP, inbound and upstream.
 *
 *     main thread: the broker's messages, the directory of logins
 *     worker 0..W-1: one loop each; sessions that it accepted, accounts that
 *     hash to it with their pools
 *
 * A session stays on its worker; a complete message goes to the account's
 * owner as a job and comes back with the verdict.
 */
#pragma once

#include <openssl/ssl.h>
#include <stdatomic.h>

#include "conf/conf.h"
#include "net/listen.h"
#include "relay/stats.h"

#define RELAY_WORKERS_MAX 64

/* Configuration as the workers use it: immutable, replaced as a whole on
 * reload, freed with its last reference. */
struct settings {
    atomic_uint refs;
    struct conf *conf;
    SSL_CTX *client_tls;
    SSL_CTX *server_tls; /* NULL: no listener has TLS */
    struct net_range trusted[CONF_TRUSTED_MAX];
    size_t trusted_count;
    char hostname[256];      /* greeting and EHLO answer */
    char upstream_helo[256]; /* what we call ourselves at providers */
};

struct settings *settings_ref(struct settings *settings);
void settings_unref(struct settings *settings);
bool settings_trusts(const struct settings *settings, const struct net_address *client);

struct worker;

struct relay {
    struct worker *workers[RELAY_WORKERS_MAX];
    unsigned worker_count;
    struct directory *directory;
    struct link *link; /* to the broker; main thread only */
    struct stats_area *stats;
    atomic_uint_fast64_t memory_used; /* message octets held in memory */
    atomic_uint clients;              /* connected, all workers */
};

/* Runs the process until the broker says drain or goes away. Returns the exit
 * status. */
int relay_main(int ipc_fd);
