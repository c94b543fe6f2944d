#include "broker/address_watch.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"

#define DUMP_EVERY_MS 60000
#define DUMP_SOON_MS 1000
/* Larger than what the kernel puts into one part of a dump. */
#define DATAGRAM_MAX 65536
/* Then others have their turn; the socket stays readable. */
#define DATAGRAMS_PER_TURN 64

struct address_watch {
    struct loop *loop;
    struct addresses *addresses;
    uv_poll_t poll;
    int fd;
    uint32_t seq; /* of the dump under way, or the last one */
    bool dumping;
    bool again; /* the dump under way may have missed something */
    uint64_t begun_ms;
    struct timer timer; /* the next dump */
    char datagram[DATAGRAM_MAX];
};

static void dump_in(struct address_watch *watch, uint64_t ms)
{
    loop_timer_set(watch->loop, &watch->timer, ms);
}

/* At once, unless the last one was just now: a flood of changes is not answered
 * by a flood of dumps. */
static void dump_again(struct address_watch *watch)
{
    uint64_t now = loop_now(watch->loop), soonest = watch->begun_ms + DUMP_SOON_MS;

    dump_in(watch, soonest > now ? soonest - now : 0);
}

static void complain(const char *what, int error)
{
    log_event(LOG_WARN, "address_watch", log_s("text", what), log_s("reason", strerror(error)));
}

static bool begin_dump(struct address_watch *watch)
{
    char request[NETLINK_REQUEST_LEN];
    size_t len = netlink_dump_request(++watch->seq, request);
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};

    watch->again = false;
    watch->begun_ms = loop_now(watch->loop);
    watch->dumping = sendto(watch->fd, request, len, 0, (struct sockaddr *)&kernel,
                            sizeof(kernel)) == (ssize_t)len;
    if (watch->dumping)
        addresses_dump_begin(watch->addresses);
    dump_in(watch, DUMP_EVERY_MS); /* also when no answer comes */
    return watch->dumping;
}

static void on_timer(struct timer *timer)
{
    struct address_watch *watch = container_of(timer, struct address_watch, timer);

    if (!begin_dump(watch))
        complain("cannot ask for this host's addresses", errno);
}

/* What changed while the dump was made may be in it or not. */
static void end_dump(struct address_watch *watch, bool whole)
{
    watch->dumping = false;
    if (whole)
        addresses_dump_end(watch->addresses);
    if (!whole || watch->again)
        dump_again(watch);
}

/* The next dump is due in a minute, unless another was still being made. */
static void take_failure(struct address_watch *watch, const struct netlink_event *event)
{
    if (event->seq != watch->seq)
        return;
    watch->dumping = false;
    complain("the kernel refuses to list this host's addresses", event->error);
    if (event->error == EBUSY)
        dump_again(watch);
}

static void take_event(struct address_watch *watch, const struct netlink_event *event)
{
    bool ours = watch->dumping && event->seq == watch->seq;

    switch (event->kind) {
    case NETLINK_ADDRESS:
    case NETLINK_GONE:
        if (event->dumped && !ours)
            return; /* of a dump that was given up */
        watch->again = watch->again || !event->dumped || event->interrupted;
        if (!addresses_take(watch->addresses, event))
            watch->again = true;
        break;
    case NETLINK_DONE:
        if (ours)
            end_dump(watch, !event->interrupted);
        break;
    case NETLINK_FAILED:
        take_failure(watch, event);
        break;
    }
}

static void take_datagram(struct address_watch *watch, size_t len)
{
    struct slice rest = {watch->datagram, len};
    struct netlink_event event;
    int rc;

    while ((rc = netlink_next(&rest, &event)) == 1)
        take_event(watch, &event);
    if (rc < 0) {
        complain("the kernel's list of addresses cannot be read", EBADMSG);
        watch->dumping = false;
    }
}

/* False: nothing is there to read. */
static bool receive(struct address_watch *watch)
{
    struct sockaddr_nl from = {0};
    struct iovec piece = {watch->datagram, sizeof(watch->datagram)};
    struct msghdr message = {
        .msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &piece, .msg_iovlen = 1};
    ssize_t len = recvmsg(watch->fd, &message, MSG_DONTWAIT);

    if (len < 0 && errno == EAGAIN)
        return false;
    if (len < 0) { /* ENOBUFS: notifications were lost */
        complain("changes of addresses were missed; all are read again", errno);
        dump_again(watch);
        return true;
    }
    if (from.nl_pid == 0 && !(message.msg_flags & MSG_TRUNC))
        take_datagram(watch, (size_t)len);
    return true;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct address_watch *watch = poll->data;

    (void)events;
    for (int i = 0; i < DATAGRAMS_PER_TURN && receive(watch); i++)
        ;
    if (status < 0) /* libuv takes a pending error, such as ENOBUFS, for the end */
        uv_poll_start(poll, UV_READABLE, on_readable);
}

static int open_socket(struct reason *why)
{
    struct sockaddr_nl groups = {.nl_family = AF_NETLINK,
                                 .nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);

    if (fd < 0 || bind(fd, (struct sockaddr *)&groups, sizeof(groups)) != 0) {
        reason_set(why, "rtnetlink: %s", strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

struct address_watch *address_watch_open(struct loop *loop, struct addresses *addresses,
                                         struct reason *why)
{
    struct address_watch *watch = calloc(1, sizeof(*watch));

    reason_set(why, "out of memory");
    if (!watch)
        return NULL;
    watch->loop = loop;
    watch->addresses = addresses;
    timer_init(&watch->timer, on_timer);
    watch->fd = open_socket(why);
    if (watch->fd < 0 || uv_poll_init(&loop->uv, &watch->poll, watch->fd) < 0) {
        if (watch->fd >= 0)
            close(watch->fd);
        free(watch);
        return NULL;
    }
    watch->poll.data = watch;
    uv_poll_start(&watch->poll, UV_READABLE, on_readable);
    /* The kernel makes a dump while it is read, so nothing has to be waited for. */
    if (!begin_dump(watch))
        complain("cannot ask for this host's addresses", errno);
    while (watch->dumping && receive(watch))
        ;
    return watch;
}

void address_watch_close(struct address_watch *watch)
{
    if (!watch)
        return;
    loop_timer_cancel(watch->loop, &watch->timer);
    uv_poll_stop(&watch->poll);
    uv_close((uv_handle_t *)&watch->poll, on_closed);
    close(watch->fd);
}
