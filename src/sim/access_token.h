/* Access tokens and identity tokens, as each provider makes them: Google's are
 * opaque, Microsoft's are JWTs whose claims a client may look at. */
#pragma once

#include "sim/scope.h"
#include "sim/sim.h"

struct access_order {
    struct account *account; /* NULL: for the application itself */
    struct client *client;
    const struct scope *scope;
    struct knob_scope knobs;
    int64_t seconds;     /* what the client is told */
    uint64_t expires_ms; /* when it really dies, wall clock */
};

struct access *access_issue(struct sim *sim, const struct access_order *order);
/* malloc'd; `nonce` may be "". */
char *identity_issue(struct sim *sim, const struct account *account, const struct client *client,
                     const char *nonce);
