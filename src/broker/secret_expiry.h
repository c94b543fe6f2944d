/* Client secrets and certificates that end: who is warned, and when.
 *
 * All that end within 30 days are gathered once an hour, and by reloads; what many
 * accounts share is one entry. The log tells 30, 7 and 1 days ahead and when it is over,
 * each once.
 */
#pragma once

#include <uthash.h>

#include "broker/registry.h"

#define EXPIRY_TOLD_MS (30 * 86400000ull) /* before it, nobody needs to know */
#define EXPIRY_SOON_MS (7 * 86400000ull)  /* from here on something is amiss */
#define EXPIRING_MAX 1000

struct expiring {
    UT_hash_handle hh;
    char *key;             /* the end and the client id */
    const char *client_id; /* in it */
    uint64_t expires_wall_ms;
    char *app; /* "" not of an application of the configuration */
    bool is_certificate;
    size_t accounts;
    bool found;    /* in the gathering under way */
    unsigned told; /* the stage that was logged last; 0: none */
};

struct secret_expiry {
    const struct registry *registry;
    struct loop *loop;
    struct timer timer;
    struct expiring *all; /* by client id and end, soonest first */
};

void secret_expiry_init(struct secret_expiry *expiry, struct loop *loop,
                        const struct registry *registry);
void secret_expiry_clear(struct secret_expiry *expiry);
/* Gathers anew, with the registry's configuration, and logs what is due. */
void secret_expiry_update(struct secret_expiry *expiry, uint64_t wall_ms);
/* Within a second, once however often it is asked for. */
void secret_expiry_soon(struct secret_expiry *expiry);

/* Those that end within `ahead_ms`, or have ended, soonest first. For health reasons and
 * metrics; nothing is computed. */
void secret_expiry_each(const struct secret_expiry *expiry, uint64_t wall_ms, uint64_t ahead_ms,
                        void (*each)(const struct expiring *one, void *arg), void *arg);
