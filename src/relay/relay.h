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

#include <stdatomic.h>

#include "ipc/stats.h"
#include "relay/settings.h"

#define RELAY_WORKERS_MAX 64

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

_Static_assert(RELAY_WORKERS_MAX <= STATS_WORKERS_MAX, "each worker has a block");

/* Runs the process until the broker says drain or goes away. `stats_fd` is the
 * broker's memory for a struct stats_area. Returns the exit status. */
int relay_main(int ipc_fd, int stats_fd);
