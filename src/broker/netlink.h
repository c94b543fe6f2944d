/* The kernel's messages about local addresses (rtnetlink), as values: octets
 * in, events out. No descriptor; address_watch.c has that. */
#pragma once

#include "base/str.h"
#include "broker/ranges.h"

/* An address on an interface. The same address may be on several, and on one
 * with several prefixes. */
struct netlink_place {
    struct ip_address address;
    uint32_t index;  /* of the interface */
    uint32_t prefix; /* bits, within the family's size */
};

enum netlink_kind {
    NETLINK_ADDRESS, /* is there, or its flags have changed */
    NETLINK_GONE,
    NETLINK_DONE, /* a dump is complete */
    NETLINK_FAILED,
};

struct netlink_event {
    enum netlink_kind kind;
    uint32_t seq;     /* of the request that is answered */
    bool dumped;      /* part of a dump, not a notification */
    bool interrupted; /* the dump is not of one moment */
    int error;        /* FAILED: an errno */
    struct netlink_place place;
    uint32_t flags; /* IFA_F_* */
    uint32_t scope; /* RT_SCOPE_* */
};

/* Takes messages from the front of *datagram up to one that says something.
 * 1: *event is filled; 0: nothing is left; -1: it is damaged, and what is left
 * of it cannot be read. */
int netlink_next(struct slice *datagram, struct netlink_event *event);

#define NETLINK_REQUEST_LEN 24

/* Asks for all addresses of both families; returns its length. */
size_t netlink_dump_request(uint32_t seq, char out[NETLINK_REQUEST_LEN]);
