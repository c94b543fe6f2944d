#include "broker/netlink.h"

#include <errno.h>
#include <linux/rtnetlink.h>

/* Headers are copied out, so that no alignment is needed. False: too short. */
static bool take(struct slice *bytes, void *out, size_t len)
{
    if (bytes->len < len)
        return false;
    memcpy(out, bytes->ptr, len);
    *bytes = (struct slice){bytes->ptr + len, bytes->len - len};
    return true;
}

/* The next message or attribute of `len` octets, and the padding behind it,
 * which the last one may lack. */
static bool take_padded(struct slice *bytes, size_t len, size_t header, struct slice *out)
{
    size_t padded = NLMSG_ALIGN(len);

    if (len < header || len > bytes->len)
        return false;
    *out = (struct slice){bytes->ptr + header, len - header};
    if (padded > bytes->len)
        padded = bytes->len;
    *bytes = (struct slice){bytes->ptr + padded, bytes->len - padded};
    return true;
}

static bool take_attribute(struct slice *bytes, unsigned *type, struct slice *value)
{
    struct rtattr header;
    struct slice peek = *bytes;

    if (!take(&peek, &header, sizeof(header)) ||
        !take_padded(bytes, header.rta_len, sizeof(header), value))
        return false;
    *type = header.rta_type & NLA_TYPE_MASK;
    return true;
}

static bool set_address(struct ip_address *address, uint32_t family, struct slice value)
{
    if (value.len != (family == AF_INET ? 4 : 16))
        return false;
    *address = (struct ip_address){.family = family};
    memcpy(address->bits, value.ptr, value.len);
    return true;
}

/* IFA_ADDRESS is the peer's where there is one, and IFA_LOCAL then ours. */
static bool read_attributes(struct slice bytes, uint32_t family, struct netlink_event *event)
{
    struct ip_address *address = &event->place.address;
    bool local = false;

    while (bytes.len) {
        struct slice value;
        unsigned type;

        if (!take_attribute(&bytes, &type, &value))
            return false;
        if (type == IFA_LOCAL || (type == IFA_ADDRESS && !local)) {
            if (!set_address(address, family, value))
                return false;
            local = local || type == IFA_LOCAL;
        } else if (type == IFA_FLAGS && !take(&value, &event->flags, sizeof(event->flags))) {
            return false;
        }
    }
    return address->family != 0;
}

/* 1, 0 for a family that is not ours, -1. */
static int read_address(struct slice body, struct netlink_event *event)
{
    struct ifaddrmsg header;

    if (!take(&body, &header, sizeof(header)))
        return -1;
    if (header.ifa_family != AF_INET && header.ifa_family != AF_INET6)
        return 0;
    if (header.ifa_prefixlen > (header.ifa_family == AF_INET ? 32 : 128))
        return -1;
    event->place.index = header.ifa_index;
    event->place.prefix = header.ifa_prefixlen;
    event->flags = header.ifa_flags; /* the low octet; IFA_FLAGS has all */
    event->scope = header.ifa_scope;
    return read_attributes(body, header.ifa_family, event) ? 1 : -1;
}

/* An acknowledgement is a failure without an error: nothing to tell. */
static int read_failure(struct slice body, struct netlink_event *event)
{
    int error;

    if (!take(&body, &error, sizeof(error)))
        return -1;
    event->kind = NETLINK_FAILED;
    event->error = error > -4096 ? -error : EIO;
    return error < 0;
}

static int read_message(const struct nlmsghdr *header, struct slice body,
                        struct netlink_event *event)
{
    *event = (struct netlink_event){.seq = header->nlmsg_seq,
                                    .dumped = header->nlmsg_flags & NLM_F_MULTI,
                                    .interrupted = header->nlmsg_flags & NLM_F_DUMP_INTR};
    switch (header->nlmsg_type) {
    case RTM_NEWADDR:
        event->kind = NETLINK_ADDRESS;
        return read_address(body, event);
    case RTM_DELADDR:
        event->kind = NETLINK_GONE;
        return read_address(body, event);
    case NLMSG_DONE:
        /* A dump that failed half way says so here. */
        if (body.len >= sizeof(int) && read_failure(body, event) == 1)
            return 1;
        event->kind = NETLINK_DONE;
        return 1;
    case NLMSG_ERROR:
        return read_failure(body, event);
    default:
        return 0;
    }
}

int netlink_next(struct slice *datagram, struct netlink_event *event)
{
    int rc = 0;

    while (!rc && datagram->len) {
        struct slice peek = *datagram, body;
        struct nlmsghdr header;

        if (!take(&peek, &header, sizeof(header)) ||
            !take_padded(datagram, header.nlmsg_len, sizeof(header), &body))
            rc = -1;
        else
            rc = read_message(&header, body, event);
    }
    if (rc < 0)
        *datagram = SLICE_NONE;
    return rc;
}

size_t netlink_dump_request(uint32_t seq, char out[NETLINK_REQUEST_LEN])
{
    struct {
        struct nlmsghdr header;
        struct ifaddrmsg body;
    } request = {.header = {.nlmsg_len = sizeof(request),
                            .nlmsg_type = RTM_GETADDR,
                            .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
                            .nlmsg_seq = seq}};

    _Static_assert(sizeof(request) == NETLINK_REQUEST_LEN, "the request's size");
    memcpy(out, &request, sizeof(request));
    return sizeof(request);
}
