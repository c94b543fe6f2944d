/* Connecting: tries addresses in turn, from a given source address. */
#pragma once

#include <uv.h>

#include "net/listen.h"
#include "net/loop.h"

#define DIAL_MAX_ADDRESSES 16

struct dial;

/* fd is connected and non-blocking, and belongs to the callee; or -1 and a
 * reason naming the last address that failed. The dial is idle again. */
typedef void dial_done(struct dial *dial, int fd, const struct reason *why);

struct dial {
    struct loop *loop;
    uv_poll_t *poll; /* allocated per attempt: libuv closes it later */
    int fd;
    struct net_address addresses[DIAL_MAX_ADDRESSES];
    size_t count, next;
    struct net_address source; /* len 0: the system's choice */
    uint64_t attempt_ms;
    struct timer timeout;
    struct reason why;
    dial_done *done;
    void *owner;
    bool active;
    bool asked; /* a server was; else it failed for a reason of this host alone */
};

void dial_init(struct dial *dial, struct loop *loop, void *owner);
/* Each address gets attempt_ms. Addresses of another family than the source's
 * are skipped. `done` is called later, never from inside this function. */
void dial_start(struct dial *dial, const struct net_address *addresses, size_t count,
                const struct net_address *source, uint64_t attempt_ms, dial_done *done);
void dial_cancel(struct dial *dial); /* no callback follows */
