/* Listening sockets: addresses as options write them, and accepting. */
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <uv.h>

#include "net/loop.h"

/* IPv4, IPv6 or a unix path, as sockets want it. */
struct net_address {
    socklen_t len;
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un local;
    };
};

#define NET_ADDRESS_TEXT 128

/* "192.0.2.1:25", "[2001:db8::1]:25", "*:25" (all IPv4 and IPv6), "unix:/path".
 * Addresses are numbers, never names. */
bool net_address_parse(const char *text, struct net_address *out, struct reason *why);
/* "192.0.2.1:25", "[2001:db8::1]:25", "unix:/path", "unix:" (a nameless peer). */
void net_address_format(const struct net_address *address, char *out, size_t cap);
/* The same without the port: what limits per address and logs use. */
void net_address_host(const struct net_address *address, char *out, size_t cap);
bool net_address_is_unix(const struct net_address *address);

/* An address range as in "192.0.2.0/24", "::1", "unix". */
struct net_range {
    int family; /* AF_INET, AF_INET6 or AF_UNIX */
    unsigned char bits[16];
    unsigned prefix;
};

bool net_range_parse(struct slice text, struct net_range *out, struct reason *why);
/* IPv4-mapped IPv6 addresses match IPv4 ranges. */
bool net_range_holds(const struct net_range *range, const struct net_address *address);

/* A bound, listening, non-blocking, close-on-exec socket; reuse_port lets
 * several sockets of one process share a TCP address. A stale unix socket file
 * is replaced, a live one is an error; unix_mode is its permission. Returns
 * the descriptor or -1 and a reason. */
int listen_open(const struct net_address *address, bool reuse_port, int backlog, int unix_mode,
                struct reason *why);

struct acceptor {
    uv_poll_t poll;
    int fd;
    bool paused;
    struct loop *loop;
    struct timer retry; /* after EMFILE and the like */
    void *owner;
    /* Takes over the non-blocking descriptor. */
    void (*accepted)(struct acceptor *acceptor, int fd, const struct net_address *peer);
};

bool acceptor_start(struct acceptor *acceptor, struct loop *loop, int fd,
                    void (*accepted)(struct acceptor *, int, const struct net_address *),
                    void *owner, struct reason *why);
void acceptor_pause(struct acceptor *acceptor, bool paused);
/* Stops; the listening descriptor is not closed. `closed` may be NULL. */
void acceptor_close(struct acceptor *acceptor, uv_close_cb closed);
