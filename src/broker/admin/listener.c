/* One listening socket: an MHD daemon without a thread, turned by our loop.
 *
 * MHD times out connections that do nothing; one that sends an octet now and then
 * would stay for ever. So each connection has a deadline for the request that it
 * is sending, moved on by a body that comes fast enough, and is cut at its end.
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "broker/admin/request_private.h"
#include "net/listen.h"

#define TURNS_MAX 16 /* of MHD, before other things get their turn */
#define LAST_TURNS 4
#define BACKLOG 128
#define SOCKET_MODE 0600

/* --- turns ------------------------------------------------------------------ */

static void free_closed(uv_handle_t *handle)
{
    struct admin_listener *listener = handle->data;

    if (--listener->handles == 0)
        free(listener);
}

static void close_handles(struct admin_listener *listener)
{
    uv_close((uv_handle_t *)&listener->poll, free_closed);
    uv_close((uv_handle_t *)&listener->timer, free_closed);
}

static void turn(struct admin_listener *listener);

static void on_poll(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    turn(poll->data);
}

static void on_timer(uv_timer_t *timer)
{
    turn(timer->data);
}

static bool is_deserted(const struct admin_listener *listener)
{
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(listener->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);

    return !info || info->num_connections == 0;
}

static void turn(struct admin_listener *listener)
{
    MHD_UNSIGNED_LONG_LONG wait = 0;

    for (int i = 0; i < TURNS_MAX; i++) {
        MHD_run(listener->daemon);
        if (MHD_get_timeout(listener->daemon, &wait) != MHD_YES) {
            wait = UINT64_MAX;
            break;
        }
        if (wait)
            break;
    }
    if (listener->retiring && is_deserted(listener))
        listener_close(listener);
    else if (wait == UINT64_MAX)
        uv_timer_stop(&listener->timer);
    else
        uv_timer_start(&listener->timer, on_timer, wait, 0);
}

void listener_kick(struct admin_listener *listener)
{
    uv_timer_start(&listener->timer, on_timer, 0, 0);
}

/* --- connections ------------------------------------------------------------ */

static void on_deadline(struct timer *timer)
{
    struct admin_connection *connection = container_of(timer, struct admin_connection, deadline);

    log_event(LOG_DEBUG, "admin_client_too_slow", log_s("client", connection->key));
    connection_cut(connection);
}

/* MHD sees the end of its input, and closes. */
void connection_cut(struct admin_connection *connection)
{
    shutdown(connection->fd, SHUT_RDWR);
}

void connection_expect(struct admin_connection *connection, size_t body_octets)
{
    struct admin *admin = connection->listener->admin;
    uint64_t now = loop_now(admin->loop), spent;

    if (!body_octets)
        connection->reading_since_ms = now;
    spent = now - connection->reading_since_ms;
    loop_timer_set(admin->loop, &connection->deadline,
                   admin->conf->admin_timeout_ms + body_octets / ADMIN_BODY_RATE > spent
                       ? admin->conf->admin_timeout_ms + body_octets / ADMIN_BODY_RATE - spent
                       : 0);
}

/* MHD misses an end of input that came together with the request, and would
 * keep the connection for the whole time-out. */
void connection_replied(struct admin_connection *connection)
{
    char octet;

    connection_expect(connection, 0); /* the next request */
    if (recv(connection->fd, &octet, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
        connection_cut(connection);
}

void connection_read(struct admin_connection *connection)
{
    loop_timer_cancel(connection->listener->admin->loop, &connection->deadline);
}

static void learn_peer(struct admin_connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection->mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    struct net_address address = {.len = sizeof(address.v6)};
    struct ucred peer;
    socklen_t len = sizeof(peer);

    if (connection->listener->is_unix) {
        memcpy(connection->key, "unix", sizeof("unix"));
        connection->has_uid = getsockopt(connection->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0;
        connection->uid = connection->has_uid ? peer.uid : 0;
        return;
    }
    memcpy(&address.any, info->client_addr,
           info->client_addr->sa_family == AF_INET6 ? sizeof(address.v6) : sizeof(address.v4));
    clients_key(&address, connection->key, sizeof(connection->key));
}

static void on_started(struct admin_listener *listener, struct MHD_Connection *mhd, void **context)
{
    struct admin_connection *connection = calloc(1, sizeof(*connection));
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);

    *context = connection;
    if (!connection)
        return;
    connection->listener = listener;
    connection->mhd = mhd;
    connection->fd = info->connect_fd;
    timer_init(&connection->deadline, on_deadline);
    list_push_tail(&listener->connections, &connection->node);
    learn_peer(connection);
    connection_expect(connection, 0);
}

static void on_connection(void *owner, struct MHD_Connection *mhd, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    struct admin_listener *listener = owner;
    struct admin_connection *connection = *context;

    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        on_started(listener, mhd, context);
    } else if (connection) {
        if (connection->request)
            exchange_detach(connection->request);
        connection_read(connection);
        list_remove(&listener->connections, &connection->node);
        free(connection);
        *context = NULL;
    }
}

/* A TLS handshake costs a millisecond that the broker has better uses for. */
static enum MHD_Result on_accept(void *owner, const struct sockaddr *from, socklen_t len)
{
    struct admin_listener *listener = owner;
    struct net_address address = {.len = len};
    char key[64];

    if (listener->admin->stopping)
        return MHD_NO;
    if (!listener->has_tls || len > sizeof(address.v6))
        return MHD_YES;
    memcpy(&address.any, from, len);
    clients_key(&address, key, sizeof(key));
    return clients_take_handshake(listener->admin->clients, key, loop_now(listener->admin->loop))
               ? MHD_YES
               : MHD_NO;
}

/* --- start and end ---------------------------------------------------------- */

/* Paths are decoded by us, behind the routing. */
static size_t leave_escaped(void *owner, struct MHD_Connection *mhd, char *text)
{
    (void)owner;
    (void)mhd;
    return strlen(text);
}

static struct MHD_Daemon *start_daemon(struct admin_listener *listener, int fd, const char *cert,
                                       const char *key)
{
    const struct conf *conf = listener->admin->conf;
    unsigned flags =
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | (listener->has_tls ? MHD_USE_TLS : 0);
    unsigned idle_s = (unsigned)((conf->admin_timeout_ms + 999) / 1000);
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)cert},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)key},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (char[]){"NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"}},
        {MHD_OPTION_END, 0, NULL},
    };

    return MHD_start_daemon(
        flags, 0, on_accept, listener, exchange_continue, listener, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_NOTIFY_COMPLETED, exchange_completed, listener, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, listener, MHD_OPTION_URI_LOG_CALLBACK, exchange_begin, listener,
        MHD_OPTION_UNESCAPE_CALLBACK, leave_escaped, NULL, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)ADMIN_CLIENTS_MAX, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        (unsigned)ADMIN_CLIENTS_PER_ADDRESS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)ADMIN_HEADER_MAX, MHD_OPTION_CONNECTION_TIMEOUT, idle_s, MHD_OPTION_ARRAY,
        listener->has_tls ? tls : tls + 3, MHD_OPTION_END);
}

/* Takes over the socket, in any case. */
static bool serve(struct admin_listener *listener, int fd, struct slice cert_pem,
                  struct slice key_pem, struct reason *why)
{
    const union MHD_DaemonInfo *info;

    listener->daemon = start_daemon(listener, fd, cert_pem.ptr, key_pem.ptr);
    if (!listener->daemon) {
        close(fd);
        return reason_set(why, "cannot serve HTTP%s on %s", listener->has_tls ? "S" : "",
                          listener->address);
    }
    info = MHD_get_daemon_info(listener->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    uv_poll_init(&listener->admin->loop->uv, &listener->poll, info->epoll_fd);
    uv_timer_init(&listener->admin->loop->uv, &listener->timer);
    listener->poll.data = listener->timer.data = listener;
    listener->handles = 2;
    uv_poll_start(&listener->poll, UV_READABLE, on_poll);
    list_push_tail(&listener->admin->listeners, &listener->node);
    return true;
}

static bool is_local(const struct net_address *address)
{
    struct net_range loopback[2];

    net_range_parse(SLICE("127.0.0.0/8"), &loopback[0], NULL);
    net_range_parse(SLICE("::1"), &loopback[1], NULL);
    return net_address_is_unix(address) || net_range_holds(&loopback[0], address) ||
           net_range_holds(&loopback[1], address);
}

static int bind_address(struct admin_listener *listener, const char *text, struct reason *why)
{
    struct net_address address;
    int fd;

    if (!net_address_parse(text, &address, why))
        return -1;
    listener->is_unix = net_address_is_unix(&address);
    listener->is_local = is_local(&address);
    fd = listen_open(&address, false, BACKLOG, SOCKET_MODE, why);
    if (fd < 0)
        return -1;
    if (listener->is_unix)
        slice_copy(slice_of(text + strlen("unix:")), listener->path, sizeof(listener->path));
    net_address_format(&address, listener->address, sizeof(listener->address));
    return fd;
}

struct admin_listener *listener_open(struct admin *admin, const char *address, bool has_tls,
                                     struct slice cert_pem, struct slice key_pem,
                                     struct reason *why)
{
    struct admin_listener *listener = calloc(1, sizeof(*listener));
    int fd;

    if (!listener) {
        reason_set(why, "out of memory");
        return NULL;
    }
    listener->admin = admin;
    listener->has_tls = has_tls;
    list_init(&listener->connections);
    fd = bind_address(listener, address, why);
    if (fd >= 0 && serve(listener, fd, cert_pem, key_pem, why))
        return listener;
    free(listener);
    return NULL;
}

struct admin_listener *listener_renew(struct admin_listener *old, struct slice cert_pem,
                                      struct slice key_pem, struct reason *why)
{
    struct admin_listener *listener = calloc(1, sizeof(*listener));
    int fd;

    if (!listener) {
        reason_set(why, "out of memory");
        return NULL;
    }
    *listener = *old;
    listener->node = (struct list_node){NULL, NULL};
    list_init(&listener->connections);
    fd = MHD_quiesce_daemon(old->daemon);
    old->retiring = true;
    listener_kick(old);
    if (fd >= 0 && serve(listener, fd, cert_pem, key_pem, why))
        return listener;
    free(listener);
    return NULL;
}

/* MHD must not be stopped while it has suspended connections. */
static void resume_all(const struct admin_listener *listener)
{
    list_foreach (&listener->admin->requests, node) {
        struct admin_request *request = container_of(node, struct admin_request, node);

        if (request->connection && request->connection->listener == listener)
            exchange_resume(request);
    }
}

void listener_close(struct admin_listener *listener)
{
    for (int i = 0; i < LAST_TURNS; i++) { /* replies that are ready go out */
        resume_all(listener);
        MHD_run(listener->daemon);
    }
    resume_all(listener); /* those that waited on */
    MHD_stop_daemon(listener->daemon);
    listener->daemon = NULL;
    if (listener->path[0])
        unlink(listener->path);
    list_remove(&listener->admin->listeners, &listener->node);
    close_handles(listener);
}
