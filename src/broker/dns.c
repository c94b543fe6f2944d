#include "broker/dns.h"

#include <ares.h>
#include <arpa/inet.h>
#include <netdb.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/list.h"
#include "base/log.h"

#define TIMEOUT_MS 2000
#define TRIES 3
#define RESOLV_CONF "/etc/resolv.conf"

struct dns {
    struct loop *loop;
    ares_channel channel;
    uv_timer_t timer;
    struct list watchers; /* watcher.node */
    size_t queries;       /* in flight */
    unsigned busy;        /* inside of c-ares: the channel must stay */
    bool closing;
    struct timespec configured; /* resolv.conf as the channel knows it */
};

struct watcher {
    uv_poll_t poll;
    struct list_node node;
    struct dns *dns;
    ares_socket_t fd;
};

struct query {
    struct dns *dns;
    dns_done *done;
    void *owner;
};

static void arm_timer(struct dns *dns);

static void process(struct dns *dns, ares_socket_t readable, ares_socket_t writable)
{
    dns->busy++;
    ares_process_fd(dns->channel, readable, writable);
    dns->busy--;
    arm_timer(dns);
}

static void on_timer(uv_timer_t *timer)
{
    process(timer->data, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

static void arm_timer(struct dns *dns)
{
    struct timeval memory, *wait = ares_timeout(dns->channel, NULL, &memory);

    if (wait)
        uv_timer_start(&dns->timer, on_timer,
                       (uint64_t)wait->tv_sec * 1000 + (uint64_t)wait->tv_usec / 1000 + 1, 0);
    else
        uv_timer_stop(&dns->timer);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct watcher *watcher = poll->data;
    ares_socket_t fd = watcher->fd; /* the watcher may go meanwhile */

    process(watcher->dns, status < 0 || events & UV_READABLE ? fd : ARES_SOCKET_BAD,
            events & UV_WRITABLE ? fd : ARES_SOCKET_BAD);
}

static void free_watcher(uv_handle_t *handle)
{
    free(handle->data);
}

static struct watcher *find_watcher(struct dns *dns, ares_socket_t fd)
{
    list_foreach (&dns->watchers, node) {
        struct watcher *watcher = container_of(node, struct watcher, node);

        if (watcher->fd == fd)
            return watcher;
    }
    return NULL;
}

static struct watcher *add_watcher(struct dns *dns, ares_socket_t fd)
{
    struct watcher *watcher = calloc(1, sizeof(*watcher));

    if (!watcher || uv_poll_init_socket(&dns->loop->uv, &watcher->poll, fd) < 0) {
        free(watcher);
        return NULL; /* the query then times out */
    }
    watcher->poll.data = watcher;
    watcher->dns = dns;
    watcher->fd = fd;
    list_push_tail(&dns->watchers, &watcher->node);
    return watcher;
}

static void on_socket(void *owner, ares_socket_t fd, int readable, int writable)
{
    struct dns *dns = owner;
    struct watcher *watcher = find_watcher(dns, fd);

    if (!readable && !writable) {
        if (!watcher)
            return;
        list_remove(&dns->watchers, &watcher->node);
        uv_close((uv_handle_t *)&watcher->poll, free_watcher);
        return;
    }
    if (!watcher)
        watcher = add_watcher(dns, fd);
    if (watcher)
        uv_poll_start(&watcher->poll, (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0),
                      on_poll);
}

static struct timespec file_time(void)
{
    struct stat status;

    return stat(RESOLV_CONF, &status) == 0 ? status.st_mtim : (struct timespec){0, 0};
}

static bool open_channel(struct dns *dns, struct reason *why)
{
    struct ares_options options = {.sock_state_cb = on_socket,
                                   .sock_state_cb_data = dns,
                                   .timeout = TIMEOUT_MS,
                                   .tries = TRIES};
    int rc;

    dns->configured = file_time();
    rc = ares_init_options(&dns->channel, &options,
                           ARES_OPT_SOCK_STATE_CB | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES);
    return rc == ARES_SUCCESS || reason_set(why, "cannot start DNS: %s", ares_strerror(rc));
}

struct dns *dns_new(struct loop *loop, struct reason *why)
{
    struct dns *dns = calloc(1, sizeof(*dns));

    if (!dns || ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS) {
        free(dns);
        reason_set(why, "out of memory for DNS");
        return NULL;
    }
    dns->loop = loop;
    list_init(&dns->watchers);
    if (!open_channel(dns, why)) {
        free(dns);
        return NULL;
    }
    uv_timer_init(&loop->uv, &dns->timer);
    dns->timer.data = dns;
    return dns;
}

static void free_dns(uv_handle_t *handle)
{
    free(handle->data);
}

void dns_free(struct dns *dns)
{
    if (!dns)
        return;
    dns->closing = true;
    ares_destroy(dns->channel);
    ares_library_cleanup();
    uv_close((uv_handle_t *)&dns->timer, free_dns);
}

/* A host may move to another network while we run. */
static void follow_resolv_conf(struct dns *dns)
{
    struct timespec now = file_time();
    struct reason why;
    ares_channel old = dns->channel;

    if (dns->busy || dns->queries ||
        (now.tv_sec == dns->configured.tv_sec && now.tv_nsec == dns->configured.tv_nsec))
        return;
    if (!open_channel(dns, &why)) {
        dns->channel = old;
        return;
    }
    ares_destroy(old);
    log_event(LOG_INFO, "dns_configuration_read", log_s("file", RESOLV_CONF));
}

static void take_node(struct dns_result *result, const struct ares_addrinfo_node *node)
{
    struct net_address *address = &result->addresses[result->count];
    uint64_t ttl = node->ai_ttl > 0 ? (uint64_t)node->ai_ttl * 1000 : 0;

    if (node->ai_family != AF_INET && node->ai_family != AF_INET6)
        return;
    memset(address, 0, sizeof(*address));
    memcpy(&address->any, node->ai_addr, node->ai_addrlen);
    address->len = node->ai_addrlen;
    if (ttl && (!result->ttl_ms || ttl < result->ttl_ms))
        result->ttl_ms = ttl;
    result->count++;
}

static void on_answer(void *owner, int status, int timeouts, struct ares_addrinfo *answer)
{
    struct query *query = owner;
    struct dns_result result = {.count = 0};

    (void)timeouts;
    query->dns->queries--;
    if (status == ARES_SUCCESS) {
        for (struct ares_addrinfo_node *node = answer->nodes;
             node && result.count < DNS_ADDRESSES_MAX; node = node->ai_next)
            take_node(&result, node);
    }
    if (!result.count)
        result.error = status == ARES_SUCCESS ? "no address" : ares_strerror(status);
    if (!query->dns->closing)
        query->done(query->owner, &result);
    if (answer)
        ares_freeaddrinfo(answer);
    free(query);
}

void dns_query(struct dns *dns, const char *host, bool ipv6, dns_done *done, void *owner)
{
    struct ares_addrinfo_hints hints = {.ai_family = ipv6 ? AF_UNSPEC : AF_INET,
                                        .ai_socktype = SOCK_STREAM};
    struct query *query = malloc(sizeof(*query));

    if (!query) {
        done(owner, &(struct dns_result){.error = "out of memory"});
        return;
    }
    follow_resolv_conf(dns);
    *query = (struct query){dns, done, owner};
    dns->queries++;
    dns->busy++;
    ares_getaddrinfo(dns->channel, host, NULL, &hints, on_answer, query);
    dns->busy--;
    arm_timer(dns);
}
