/* A listener on this machine's loopback address, for the one request with which a browser
 * brings a provider's answer. It reads no more than a request's head, gives short pages, and
 * whatever else comes there is turned away. */
#pragma once

#include <poll.h>

#include "ctl/callback.h"

#define LOOPBACK_VISITORS 8 /* browsers open connections ahead; the oldest gives way */
#define LOOPBACK_POLLS (2 + LOOPBACK_VISITORS)

struct loopback {
    int listeners[2]; /* 127.0.0.1, and ::1 where there is one; -1: none */
    unsigned port;
    struct loopback_visitor {
        int fd; /* -1: none */
        size_t len;
        char head[CALLBACK_HEAD_MAX];
    } visitors[LOOPBACK_VISITORS];
    size_t next; /* of the visitors: who gives way */
};

/* Listens at a port that the system chooses. Returns an exit code, after saying why. */
int loopback_open(struct loopback *loopback);
void loopback_close(struct loopback *loopback); /* wipes */

/* Fills `polls` and returns how many. */
size_t loopback_polls(const struct loopback *loopback, struct pollfd polls[LOOPBACK_POLLS]);
/* Goes on behind poll(2). True: an answer with this state came; `target` ("/?code=...") gets
 * it, terminated: a secret of the caller's. */
bool loopback_step(struct loopback *loopback, const struct pollfd *polls, size_t count,
                   const char *state, char target[CALLBACK_HEAD_MAX]);
