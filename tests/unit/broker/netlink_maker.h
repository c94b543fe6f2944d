/* Messages as the kernel makes them, for tests of their parser. */
#pragma once

#include <linux/rtnetlink.h>

#include "check.h"

struct datagram {
    char bytes[4096];
    size_t len;
    size_t message; /* where the last message begins */
};

static inline void put(struct datagram *to, const void *bytes, size_t len)
{
    assert_true(to->len + len + 3 <= sizeof(to->bytes));
    memcpy(to->bytes + to->len, bytes, len);
    to->len += len;
}

static inline void pad(struct datagram *to)
{
    while (to->len % 4)
        put(to, "", 1);
}

/* The length of the message so far. */
static inline void close_message(struct datagram *to)
{
    uint32_t len = (uint32_t)(to->len - to->message);

    memcpy(to->bytes + to->message, &len, sizeof(len));
    pad(to);
}

static inline void message_begin(struct datagram *to, unsigned type, unsigned flags, uint32_t seq)
{
    struct nlmsghdr header = {
        .nlmsg_type = (uint16_t)type, .nlmsg_flags = (uint16_t)flags, .nlmsg_seq = seq};

    to->message = to->len;
    put(to, &header, sizeof(header));
    close_message(to);
}

static inline void message_body(struct datagram *to, const void *bytes, size_t len)
{
    put(to, bytes, len);
    close_message(to);
}

static inline void message_address(struct datagram *to, unsigned family, unsigned prefix,
                                   unsigned flags, uint32_t index)
{
    struct ifaddrmsg body = {.ifa_family = (uint8_t)family,
                             .ifa_prefixlen = (uint8_t)prefix,
                             .ifa_flags = (uint8_t)flags,
                             .ifa_index = index};

    message_body(to, &body, sizeof(body));
}

static inline void message_attribute(struct datagram *to, unsigned type, const void *value,
                                     size_t len)
{
    struct rtattr header = {.rta_len = (uint16_t)(sizeof(header) + len),
                            .rta_type = (uint16_t)type};

    put(to, &header, sizeof(header));
    put(to, value, len);
    close_message(to);
}
