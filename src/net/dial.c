#include "net/dial.h"

#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

static void try_next(struct dial *dial);

static void on_handle_closed(uv_handle_t *handle)
{
    free(handle);
}

static void drop_attempt(struct dial *dial, bool close_fd)
{
    loop_timer_cancel(dial->loop, &dial->timeout);
    if (dial->poll) {
        uv_poll_stop(dial->poll);
        uv_close((uv_handle_t *)dial->poll, on_handle_closed);
        dial->poll = NULL;
    }
    if (close_fd && dial->fd >= 0)
        close(dial->fd);
    dial->fd = -1;
}

static void finish(struct dial *dial, int fd)
{
    dial->active = false;
    dial->done(dial, fd, &dial->why);
}

/* With the source, where one is set: it may be the cause. */
static void explain(struct dial *dial, int error)
{
    char to[NET_ADDRESS_TEXT], from[NET_ADDRESS_TEXT];

    net_address_format(&dial->addresses[dial->next - 1], to, sizeof(to));
    if (!dial->source.len) {
        reason_set(&dial->why, "cannot connect to %s: %s", to, strerror(error));
        return;
    }
    net_address_host(&dial->source, from, sizeof(from));
    reason_set(&dial->why, "cannot connect from %s to %s: %s", from, to,
               error == EAFNOSUPPORT ? "one is IPv4 and the other IPv6" : strerror(error));
}

static void attempt_failed(struct dial *dial, int error)
{
    explain(dial, error);
    drop_attempt(dial, true);
    try_next(dial);
}

static void on_writable(uv_poll_t *poll, int status, int events)
{
    struct dial *dial = poll->data;
    socklen_t len = sizeof(int);
    int error = 0, fd = dial->fd;

    (void)events;
    if (getsockopt(dial->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        error = errno;
    if (!error && status < 0)
        error = ECONNRESET;
    if (error) {
        attempt_failed(dial, error);
        return;
    }
    drop_attempt(dial, false);
    finish(dial, fd);
}

static void on_timeout(struct timer *timer)
{
    struct dial *dial = container_of(timer, struct dial, timeout);

    if (dial->fd >= 0)
        attempt_failed(dial, ETIMEDOUT);
    else
        try_next(dial); /* the deferred start, or deferred failure */
}

/* 0: under way; else an errno. */
static int connect_one(struct dial *dial, const struct net_address *address)
{
    int one = 1;

    if (dial->source.len && dial->source.any.sa_family != address->any.sa_family)
        return EAFNOSUPPORT;
    dial->fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (dial->fd < 0)
        return errno;
    setsockopt(dial->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (dial->source.len) {
        /* The port is chosen at connect time, so sources do not run out. */
        setsockopt(dial->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
        if (bind(dial->fd, &dial->source.any, dial->source.len) != 0)
            return errno;
    }
    dial->asked = true;
    if (connect(dial->fd, &address->any, address->len) != 0 && errno != EINPROGRESS)
        return errno;
    dial->poll = malloc(sizeof(*dial->poll));
    if (!dial->poll)
        return ENOMEM;
    if (uv_poll_init(&dial->loop->uv, dial->poll, dial->fd) < 0) {
        free(dial->poll);
        dial->poll = NULL;
        return ENOMEM;
    }
    dial->poll->data = dial;
    uv_poll_start(dial->poll, UV_WRITABLE, on_writable);
    loop_timer_set(dial->loop, &dial->timeout, dial->attempt_ms);
    return 0;
}

static void try_next(struct dial *dial)
{
    while (dial->next < dial->count) {
        int error = connect_one(dial, &dial->addresses[dial->next++]);

        if (!error)
            return;
        explain(dial, error);
        drop_attempt(dial, true);
    }
    finish(dial, -1);
}

void dial_init(struct dial *dial, struct loop *loop, void *owner)
{
    *dial = (struct dial){.loop = loop, .fd = -1, .owner = owner};
    timer_init(&dial->timeout, on_timeout);
}

void dial_start(struct dial *dial, const struct net_address *addresses, size_t count,
                const struct net_address *source, uint64_t attempt_ms, dial_done *done)
{
    int error;

    assert(!dial->active);
    dial->count = count < DIAL_MAX_ADDRESSES ? count : DIAL_MAX_ADDRESSES;
    if (dial->count)
        memcpy(dial->addresses, addresses, dial->count * sizeof(*addresses));
    dial->source = source ? *source : (struct net_address){0};
    dial->next = 0;
    dial->attempt_ms = attempt_ms;
    dial->done = done;
    dial->active = true;
    dial->asked = false;
    reason_set(&dial->why, "no address to connect to");
    if (dial->count) {
        error = connect_one(dial, &dial->addresses[dial->next++]);
        if (!error)
            return;
        explain(dial, error);
        drop_attempt(dial, true);
    }
    /* The answer must not come from inside this call. */
    loop_timer_set(dial->loop, &dial->timeout, 0);
}

void dial_cancel(struct dial *dial)
{
    if (!dial->active)
        return;
    dial->active = false;
    drop_attempt(dial, true);
}
