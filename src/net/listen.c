#include "net/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define ACCEPT_BATCH 64     /* other connections get their turn in between */
#define ACCEPT_RETRY_MS 100 /* when descriptors or memory are out */

static bool parse_unix(const char *path, struct net_address *out, struct reason *why)
{
    if (strlen(path) >= sizeof(out->local.sun_path))
        return reason_set(why, "unix socket path \"%s\" is longer than %zu octets", path,
                          sizeof(out->local.sun_path) - 1);
    out->local.sun_family = AF_UNIX;
    memcpy(out->local.sun_path, path, strlen(path) + 1);
    out->len = sizeof(out->local);
    return true;
}

static bool split_port(const char *text, char *host, size_t cap, uint16_t *port)
{
    const char *colon = strrchr(text, ':');
    uint64_t number;
    size_t len;

    if (!colon || !slice_to_u64(slice_of(colon + 1), &number) || number > 65535)
        return false;
    len = (size_t)(colon - text);
    if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
        text++;
        len -= 2;
    }
    if (!slice_copy((struct slice){text, len}, host, cap))
        return false;
    *port = (uint16_t)number;
    return true;
}

bool net_address_parse(const char *text, struct net_address *out, struct reason *why)
{
    char host[INET6_ADDRSTRLEN + 1];
    uint16_t port;

    memset(out, 0, sizeof(*out));
    if (strncmp(text, "unix:", 5) == 0)
        return parse_unix(text + 5, out, why);
    if (!split_port(text, host, sizeof(host), &port))
        return reason_set(why,
                          "\"%s\" is not an address: write 192.0.2.1:25, [2001:db8::1]:25, *:25 "
                          "or unix:/path",
                          text);
    if (inet_pton(AF_INET, host, &out->v4.sin_addr) == 1) {
        out->v4.sin_family = AF_INET;
        out->v4.sin_port = htons(port);
        out->len = sizeof(out->v4);
        return true;
    }
    if (strcmp(host, "*") == 0)
        memcpy(host, "::", 3);
    if (inet_pton(AF_INET6, host, &out->v6.sin6_addr) == 1) {
        out->v6.sin6_family = AF_INET6;
        out->v6.sin6_port = htons(port);
        out->len = sizeof(out->v6);
        return true;
    }
    return reason_set(why, "\"%s\" names no IP address; a listener takes numbers, not host names",
                      text);
}

bool net_address_is_unix(const struct net_address *address)
{
    return address->any.sa_family == AF_UNIX;
}

static bool is_mapped(const struct net_address *address)
{
    return address->any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&address->v6.sin6_addr);
}

void net_address_host(const struct net_address *address, char *out, size_t cap)
{
    char host[INET6_ADDRSTRLEN] = "";

    if (address->any.sa_family == AF_INET)
        inet_ntop(AF_INET, &address->v4.sin_addr, host, sizeof(host));
    else if (is_mapped(address))
        inet_ntop(AF_INET, address->v6.sin6_addr.s6_addr + 12, host, sizeof(host));
    else if (address->any.sa_family == AF_INET6)
        inet_ntop(AF_INET6, &address->v6.sin6_addr, host, sizeof(host));
    else
        memcpy(host, "unix", 5);
    slice_copy(slice_of(host), out, cap);
}

void net_address_format(const struct net_address *address, char *out, size_t cap)
{
    char host[INET6_ADDRSTRLEN];

    net_address_host(address, host, sizeof(host));
    if (net_address_is_unix(address))
        snprintf(out, cap, "unix:%s", address->local.sun_path);
    else if (strchr(host, ':'))
        snprintf(out, cap, "[%s]:%u", host, ntohs(address->v6.sin6_port));
    else
        snprintf(out, cap, "%s:%u", host, ntohs(address->v4.sin_port));
}

bool net_range_parse(struct slice text, struct net_range *out, struct reason *why)
{
    char host[INET6_ADDRSTRLEN + 8];
    uint64_t prefix;
    unsigned max;
    char *slash;

    memset(out, 0, sizeof(*out));
    if (!slice_copy(text, host, sizeof(host)))
        return reason_set(why, "\"%.*s\" is no address range", (int)text.len, text.ptr);
    if (strcmp(host, "unix") == 0) {
        out->family = AF_UNIX;
        return true;
    }
    slash = strchr(host, '/');
    if (slash)
        *slash++ = '\0';
    if (inet_pton(AF_INET, host, out->bits) == 1)
        out->family = AF_INET;
    else if (inet_pton(AF_INET6, host, out->bits) == 1)
        out->family = AF_INET6;
    else
        return reason_set(why, "\"%.*s\" is no address range: write 192.0.2.0/24, ::1 or unix",
                          (int)text.len, text.ptr);
    max = out->family == AF_INET ? 32 : 128;
    prefix = max;
    if (slash && (!slice_to_u64(slice_of(slash), &prefix) || prefix > max))
        return reason_set(why, "\"%.*s\": the prefix length must be 0 to %u", (int)text.len,
                          text.ptr, max);
    out->prefix = (unsigned)prefix;
    return true;
}

static bool same_prefix(const unsigned char *a, const unsigned char *b, unsigned prefix)
{
    unsigned rest = prefix % 8;

    if (memcmp(a, b, prefix / 8) != 0)
        return false;
    return !rest || (a[prefix / 8] ^ b[prefix / 8]) >> (8 - rest) == 0;
}

bool net_range_holds(const struct net_range *range, const struct net_address *address)
{
    int family = address->any.sa_family;
    const unsigned char *bits;

    if (family == AF_UNIX)
        return range->family == AF_UNIX;
    if (family == AF_INET) {
        bits = (const unsigned char *)&address->v4.sin_addr;
    } else if (is_mapped(address)) {
        family = AF_INET;
        bits = address->v6.sin6_addr.s6_addr + 12;
    } else {
        bits = address->v6.sin6_addr.s6_addr;
    }
    return family == range->family && same_prefix(bits, range->bits, range->prefix);
}

/* A socket file that nobody listens on is left over from a crash; one that we may
 * not connect to is another user's. */
static bool clear_stale_unix(const struct net_address *address, struct reason *why)
{
    const char *path = address->local.sun_path;
    struct stat status;
    int probe, rc;

    if (lstat(path, &status) != 0)
        return true;
    if (!S_ISSOCK(status.st_mode))
        return reason_set(why, "%s exists and is not a socket", path);
    probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    rc = connect(probe, &address->any, address->len) == 0 ? 0 : errno;
    close(probe);
    if (rc == 0 || rc == EAGAIN) /* the latter: its backlog is full */
        return reason_set(why, "%s: another process listens there", path);
    if (rc == ECONNREFUSED)
        unlink(path);
    return true;
}

static bool bind_socket(int fd, const struct net_address *address, bool reuse_port, int unix_mode)
{
    int one = 1, zero = 0;
    mode_t mask;
    int rc;

    if (!net_address_is_unix(address)) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        if (reuse_port)
            setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
        if (address->any.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&address->v6.sin6_addr))
            setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
        return bind(fd, &address->any, address->len) == 0;
    }
    mask = umask(0777 & ~(mode_t)unix_mode);
    rc = bind(fd, &address->any, address->len);
    umask(mask);
    return rc == 0;
}

int listen_open(const struct net_address *address, bool reuse_port, int backlog, int unix_mode,
                struct reason *why)
{
    char text[NET_ADDRESS_TEXT];
    int fd;

    net_address_format(address, text, sizeof(text));
    if (net_address_is_unix(address) && !clear_stale_unix(address, why))
        return -1;
    fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        reason_set(why, "cannot open a socket for %s: %s", text, strerror(errno));
        return -1;
    }
    if (!bind_socket(fd, address, reuse_port, unix_mode) || listen(fd, backlog) != 0) {
        reason_set(why, "cannot listen on %s: %s", text, strerror(errno));
        close(fd);
        return -1;
    }
    return fd;
}

static void arm(struct acceptor *acceptor);

static bool accept_one(struct acceptor *acceptor)
{
    struct net_address peer = {.len = sizeof(peer.local)};
    int one = 1;
    int fd = accept4(acceptor->fd, &peer.any, &peer.len, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd >= 0) {
        if (!net_address_is_unix(&peer))
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        else if (peer.len <= sizeof(peer.local.sun_family))
            peer.local.sun_path[0] = '\0';
        acceptor->accepted(acceptor, fd, &peer);
        return true;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        /* The waiting client would wake us again at once: pause instead. */
        uv_poll_stop(&acceptor->poll);
        loop_timer_set(acceptor->loop, &acceptor->retry, ACCEPT_RETRY_MS);
    }
    return errno == ECONNABORTED || errno == EINTR;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct acceptor *acceptor = poll->data;

    (void)events;
    if (status < 0)
        return;
    for (int i = 0; i < ACCEPT_BATCH && !acceptor->paused; i++) {
        if (!accept_one(acceptor))
            break;
    }
}

static void arm(struct acceptor *acceptor)
{
    if (acceptor->paused)
        uv_poll_stop(&acceptor->poll);
    else
        uv_poll_start(&acceptor->poll, UV_READABLE, on_poll);
}

static void on_retry(struct timer *timer)
{
    arm(container_of(timer, struct acceptor, retry));
}

bool acceptor_start(struct acceptor *acceptor, struct loop *loop, int fd,
                    void (*accepted)(struct acceptor *, int, const struct net_address *),
                    void *owner, struct reason *why)
{
    int rc = uv_poll_init(&loop->uv, &acceptor->poll, fd);

    if (rc < 0)
        return reason_set(why, "cannot watch a listening socket: %s", uv_strerror(rc));
    acceptor->fd = fd;
    acceptor->paused = false;
    acceptor->loop = loop;
    acceptor->owner = owner;
    acceptor->accepted = accepted;
    acceptor->poll.data = acceptor;
    timer_init(&acceptor->retry, on_retry);
    arm(acceptor);
    return true;
}

void acceptor_pause(struct acceptor *acceptor, bool paused)
{
    if (acceptor->paused == paused)
        return;
    acceptor->paused = paused;
    arm(acceptor);
}

void acceptor_close(struct acceptor *acceptor, uv_close_cb closed)
{
    loop_timer_cancel(acceptor->loop, &acceptor->retry);
    uv_close((uv_handle_t *)&acceptor->poll, closed);
}
