/* The sockets on which clients are accepted: bound by the broker, used by the
 * relay, and kept open here, so that a new relay goes on where the last one
 * died and no client is refused in between. */
#pragma once

#include "conf/conf.h"
#include "net/listen.h"

#define LISTENER_SHARED UINT32_MAX /* by all workers: unix sockets */

struct listener_socket {
    int fd;
    uint32_t worker;
    enum conf_tls tls;
    char address[NET_ADDRESS_TEXT]; /* with the port that was bound */
};

struct listeners {
    struct listener_socket *sockets;
    size_t count;
};

/* One socket per worker for each TCP address. False and a reason that names the
 * address; nothing is open then. */
bool listeners_open(struct listeners *listeners, const struct conf *conf, struct reason *why);
void listeners_close(struct listeners *listeners);
/* "127.0.0.1:2525 unix:/run/x" for the log: each address once. */
void listeners_format(const struct listeners *listeners, char *out, size_t cap);
