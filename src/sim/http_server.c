#include "sim/http_server.h"

#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "sim/sim.h"

#define BODY_MAX (16u << 20)
#define TENANT "/{tenant}"
#define TURNS_MAX 16 /* of the daemon, before other things get their turn */

/* One request between its first octet and its reply. */
struct exchange {
    struct http_server *server;
    struct MHD_Connection *connection;
    struct list_node node; /* server.waiting while delayed */
    struct delay_entry wake;
    char *body;
    size_t len, cap;
    struct http_reply reply;
    bool handled;
};

static void turn(struct http_server *server);

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

static void turn(struct http_server *server)
{
    MHD_UNSIGNED_LONG_LONG wait;

    for (int i = 0; i < TURNS_MAX; i++) {
        MHD_run(server->daemon);
        if (MHD_get_timeout(server->daemon, &wait) != MHD_YES) {
            uv_timer_stop(&server->timer);
            return;
        }
        if (wait)
            break;
    }
    uv_timer_start(&server->timer, on_timer, wait, 0);
}

static bool add_body(struct exchange *exchange, const char *bytes, size_t len)
{
    if (exchange->len + len > BODY_MAX)
        return false;
    if (exchange->len + len + 1 > exchange->cap) {
        size_t cap = (exchange->len + len + 1) * 2;
        char *grown = realloc(exchange->body, cap);

        if (!grown)
            return false;
        exchange->body = grown;
        exchange->cap = cap;
    }
    memcpy(exchange->body + exchange->len, bytes, len);
    exchange->len += len;
    exchange->body[exchange->len] = '\0';
    return true;
}

static bool route_matches(const char *route, const char *path, struct slice *tenant)
{
    const char *slash = *path ? strchr(path + 1, '/') : NULL;

    *tenant = SLICE_NONE;
    if (strncmp(route, TENANT, sizeof(TENANT) - 1) != 0)
        return strcmp(route, path) == 0;
    if (!slash || slash == path + 1 || strcmp(route + sizeof(TENANT) - 1, slash) != 0)
        return false;
    *tenant = (struct slice){path + 1, (size_t)(slash - path - 1)};
    return true;
}

static const struct http_route *find_route(const struct http_route *routes,
                                           struct http_request *request, bool *known)
{
    *known = false;
    for (; routes->method; routes++) {
        if (!route_matches(routes->path, request->path, &request->tenant))
            continue;
        *known = true;
        if (strcmp(routes->method, request->method) == 0)
            return routes;
    }
    return NULL;
}

static void handle(struct exchange *exchange, const char *method, const char *path)
{
    struct http_server *server = exchange->server;
    struct http_request request = {
        server->sim, exchange->connection, method, path, {exchange->body, exchange->len},
        SLICE_NONE};
    bool known;
    const struct http_route *route = find_route(server->routes, &request, &known);

    exchange->reply = (struct http_reply){.status = 200, .type = "application/json"};
    if (route)
        route->handle(&request, &exchange->reply);
    else
        exchange->reply.status = known ? 405 : 404;
    if (!exchange->reply.body)
        exchange->reply.body = strdup(exchange->reply.status < 300 ? "{}\n" : "\n");
}

struct cut {
    char *body;
    size_t len, stop; /* no more than so much is sent */
};

static ssize_t read_cut(void *owner, uint64_t at, char *out, size_t max)
{
    const struct cut *cut = owner;
    size_t len = cut->stop - (size_t)at;

    if (!len)
        return cut->stop < cut->len ? MHD_CONTENT_READER_END_WITH_ERROR
                                    : MHD_CONTENT_READER_END_OF_STREAM;
    if (len > max)
        len = max;
    memcpy(out, cut->body + at, len);
    return (ssize_t)len;
}

static void free_cut(void *owner)
{
    struct cut *cut = owner;

    free(cut->body);
    free(cut);
}

static struct MHD_Response *make_response(struct http_reply *reply)
{
    size_t len = strlen(reply->body);
    struct cut *cut;
    char *body = reply->body;

    reply->body = NULL;
    if (reply->ending == HTTP_WHOLE)
        return MHD_create_response_from_buffer(len, body, MHD_RESPMEM_MUST_FREE);
    cut = malloc(sizeof(*cut));
    *cut = (struct cut){body, len, reply->ending == HTTP_CUT_SHORT ? len / 2 : len};
    return MHD_create_response_from_callback(reply->ending == HTTP_CHUNKED ? MHD_SIZE_UNKNOWN : len,
                                             4096, read_cut, cut, free_cut);
}

static void http_date(uint64_t wall_ms, char *out, size_t cap)
{
    time_t at = (time_t)(wall_ms / 1000);
    struct tm tm;

    strftime(out, cap, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&at, &tm));
}

static void add_headers(struct exchange *exchange, struct MHD_Response *response)
{
    const struct http_reply *reply = &exchange->reply;
    uint64_t now = sim_wall_ms(exchange->server->sim);
    char text[40];

    MHD_add_response_header(response, "Content-Type", reply->type);
    MHD_add_response_header(response, "Cache-Control", "no-store");
    if (reply->location)
        MHD_add_response_header(response, "Location", reply->location);
    if (exchange->server->skewed) {
        http_date(now, text, sizeof(text));
        MHD_add_response_header(response, "Date", text);
    }
    if (!reply->retry_after)
        return;
    snprintf(text, sizeof(text), "%u", reply->retry_after);
    if (reply->retry_date)
        http_date(now + (uint64_t)reply->retry_after * 1000, text, sizeof(text));
    MHD_add_response_header(response, "Retry-After", text);
}

static enum MHD_Result send_reply(struct exchange *exchange)
{
    struct MHD_Response *response;
    enum MHD_Result result;

    if (exchange->reply.ending == HTTP_CLOSED)
        return MHD_NO;
    response = make_response(&exchange->reply);
    add_headers(exchange, response);
    result = MHD_queue_response(exchange->connection, exchange->reply.status, response);
    MHD_destroy_response(response);
    return result;
}

static void resume(struct exchange *exchange)
{
    delay_cancel(&exchange->server->sim->delay, &exchange->wake);
    list_remove(&exchange->server->waiting, &exchange->node);
    exchange->reply.delay_ms = 0;
    MHD_resume_connection(exchange->connection);
}

static void on_wake(struct delay_entry *entry)
{
    struct exchange *exchange = container_of(entry, struct exchange, wake);
    struct http_server *server = exchange->server;

    resume(exchange);
    turn(server);
}

static void suspend(struct exchange *exchange)
{
    struct http_server *server = exchange->server;

    MHD_suspend_connection(exchange->connection);
    list_push_tail(&server->waiting, &exchange->node);
    exchange->wake.fire = on_wake;
    delay_set(&server->sim->delay, &exchange->wake, clock_us() + exchange->reply.delay_ms * 1000);
}

/* Called for the header, for pieces of the body, once at its end, and again
 * after a delay. */
static enum MHD_Result on_request(void *owner, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *bytes,
                                  size_t *len, void **context)
{
    struct exchange *exchange = *context;

    (void)version;
    if (!exchange) {
        exchange = calloc(1, sizeof(*exchange));
        exchange->server = owner;
        exchange->connection = connection;
        *context = exchange;
        return MHD_YES;
    }
    if (*len) {
        bool ok = add_body(exchange, bytes, *len);

        *len = 0;
        return ok ? MHD_YES : MHD_NO;
    }
    if (!exchange->handled) {
        handle(exchange, method, path);
        exchange->handled = true;
    }
    if (exchange->reply.delay_ms) {
        suspend(exchange);
        return MHD_YES;
    }
    return send_reply(exchange);
}

static void on_completed(void *owner, struct MHD_Connection *connection, void **context,
                         enum MHD_RequestTerminationCode code)
{
    struct exchange *exchange = *context;

    (void)owner;
    (void)connection;
    (void)code;
    if (!exchange)
        return;
    free(exchange->reply.body);
    free(exchange->reply.location);
    free(exchange->body);
    free(exchange);
    *context = NULL;
}

static int open_socket(struct http_server *server, int port, struct reason *why)
{
    struct net_address address;
    char text[NET_ADDRESS_TEXT];
    int fd;

    snprintf(text, sizeof(text), "%s:%d", server->sim->options.bind, port);
    if (!net_address_parse(text, &address, why))
        return -1;
    fd = listen_open(&address, false, 1024, 0, why);
    if (fd < 0)
        return -1;
    address.len = sizeof(address.local);
    getsockname(fd, &address.any, &address.len);
    server->port = ntohs(address.v4.sin_port);
    return fd;
}

static struct MHD_Daemon *start_daemon(struct http_server *server, int fd,
                                       const struct certs *certs)
{
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | (certs ? MHD_USE_TLS : 0);
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, certs ? certs->chain : NULL},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, certs ? certs->key : NULL},
        {MHD_OPTION_END, 0, NULL},
    };

    return MHD_start_daemon(flags, 0, NULL, NULL, on_request, server, MHD_OPTION_LISTEN_SOCKET, fd,
                            MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
                            MHD_OPTION_CONNECTION_LIMIT, 10000u, MHD_OPTION_ARRAY,
                            certs ? tls : tls + 2, MHD_OPTION_END);
}

bool http_server_start(struct http_server *server, struct sim *sim, int port,
                       const struct certs *certs, const struct http_route *routes,
                       struct reason *why)
{
    const union MHD_DaemonInfo *info;
    int fd;

    server->sim = sim;
    server->routes = routes;
    list_init(&server->waiting);
    fd = open_socket(server, port, why);
    if (fd < 0)
        return false;
    server->daemon = start_daemon(server, fd, certs);
    if (!server->daemon) {
        close(fd);
        return reason_set(why, "cannot start the HTTP%s server", certs ? "S" : "");
    }
    info = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    uv_poll_init(&sim->loop.uv, &server->poll, info->epoll_fd);
    uv_timer_init(&sim->loop.uv, &server->timer);
    server->poll.data = server->timer.data = server;
    uv_poll_start(&server->poll, UV_READABLE, on_poll);
    return true;
}

void http_server_stop(struct http_server *server)
{
    struct list_node *node;

    if (!server->daemon)
        return;
    uv_close((uv_handle_t *)&server->poll, NULL);
    uv_close((uv_handle_t *)&server->timer, NULL);
    while ((node = list_first(&server->waiting)))
        resume(container_of(node, struct exchange, node));
    MHD_run(server->daemon); /* lets the resumed go on, else it must not stop */
    MHD_stop_daemon(server->daemon);
    server->daemon = NULL;
}

const char *http_query(const struct http_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
}

const char *http_header(const struct http_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

char *http_url_decode(struct slice text)
{
    char *out = malloc(text.len + 1), *at = out;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i] == '+' ? ' ' : text.ptr[i];
        int high = i + 2 < text.len ? hex_value(text.ptr[i + 1]) : -1;
        int low = high >= 0 ? hex_value(text.ptr[i + 2]) : -1;

        if (c == '%' && low >= 0) {
            c = (char)(high * 16 + low);
            i += 2;
        }
        *at++ = c;
    }
    *at = '\0';
    return out;
}

char *http_form_field(const struct http_request *request, const char *name)
{
    const char *at = request->body.ptr, *end = at + request->body.len;
    size_t len = strlen(name);

    while (at && at < end) {
        const char *stop = memchr(at, '&', (size_t)(end - at));
        size_t part = (size_t)((stop ? stop : end) - at);

        if (part > len && memcmp(at, name, len) == 0 && at[len] == '=')
            return http_url_decode((struct slice){at + len + 1, part - len - 1});
        at += part + 1;
    }
    return NULL;
}

char *http_parameter(const struct http_request *request, const char *name)
{
    const char *query = http_query(request, name);
    char *field = strcmp(request->method, "POST") == 0 ? http_form_field(request, name) : NULL;

    if (field)
        return field;
    return strdup(query ? query : "");
}

void http_url_encode(struct slice text, FILE *out)
{
    static const char plain[] = "-._~";

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        char low = ascii_lower((char)c);

        if ((low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') || (c && strchr(plain, c)))
            fputc(c, out);
        else
            fprintf(out, "%%%02X", c);
    }
}

void http_origin(const struct http_request *request, char *out, size_t cap)
{
    const char *host = http_header(request, "Host");

    if (host)
        snprintf(out, cap, "https://%s", host);
    else
        snprintf(out, cap, "https://localhost:%d", request->sim->http.port);
}
