/* A request from its first octet to its reply, as MHD calls us:
 *
 *     exchange_begin       the request line
 *     exchange_continue    once behind the header, with each piece of the body, at
 *                          its end, and again whenever a suspended one is resumed
 *     exchange_completed   MHD is done with it, well or not
 *
 * A refusal is decided behind the header, but told behind the body where that is
 * small: a client that still sends would lose the reply with the connection.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "broker/admin/handlers.h"
#include "broker/admin/request_private.h"
#include "broker/broker.h"
#include "broker/wipe.h"

#define UNREAD_BODY_MAX 65536 /* of a route that takes none */

void request_set_state(struct admin_request *request, enum request_state state)
{
    static const bool may[REQUEST_STATES][REQUEST_STATES] = {
        [REQUEST_HEAD] = {[REQUEST_BODY] = true, [REQUEST_REPLIED] = true},
        [REQUEST_BODY] = {[REQUEST_HELD] = true, [REQUEST_REPLIED] = true},
        [REQUEST_HELD] = {[REQUEST_REPLIED] = true, [REQUEST_STREAMING] = true},
        [REQUEST_STREAMING] = {[REQUEST_ENDED] = true},
    };

    assert(may[request->state][state]); /* one reply to each request */
    request->state = state;
}

/* --- life ------------------------------------------------------------------- */

static void on_delay(struct timer *timer)
{
    struct admin_request *request = container_of(timer, struct admin_request, delay);

    request->delay_ms = 0;
    exchange_resume(request);
}

static struct admin_connection *connection_of(struct MHD_Connection *mhd)
{
    return MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

void *exchange_begin(void *owner, const char *uri, struct MHD_Connection *mhd)
{
    struct admin_listener *listener = owner;
    struct admin_connection *connection = connection_of(mhd);
    struct admin_request *request = connection ? calloc(1, sizeof(*request)) : NULL;

    if (!request)
        return NULL;
    if (connection->request)
        exchange_detach(connection->request);
    connection->request = request;
    request->admin = listener->admin;
    request->connection = connection;
    request->began_us = clock_us();
    timer_init(&request->delay, on_delay);
    chain_init(&request->queue, &listener->admin->loop->chunks);
    list_push_tail(&listener->admin->requests, &request->node);
    target_parse(&request->target, uri, &request->target_why);
    return request;
}

static void free_body(struct admin_request *request)
{
    request->admin->body_octets -= request->body_cap;
    secret_free_len(request->body, request->body_cap);
    request->body = NULL;
    request->body_len = request->body_cap = 0;
}

void request_free(struct admin_request *request)
{
    loop_timer_cancel(request->admin->loop, &request->delay);
    list_remove(&request->admin->requests, &request->node);
    if (list_node_linked(&request->wanting_node))
        list_remove(&request->admin->wanting, &request->wanting_node);
    chain_clear(&request->queue);
    free_body(request);
    target_clear(&request->target);
    json_decref(request->json);
    free(request->content_type);
    if (request->response)
        MHD_destroy_response(request->response);
    free(request);
}

void request_maybe_free(struct admin_request *request)
{
    if (!request->connection && request->state != REQUEST_HELD &&
        request->state != REQUEST_STREAMING)
        request_free(request);
}

static void log_request(const struct admin_request *request)
{
    bool changes = request->match.route && strcmp(request->match.route->method, "GET") != 0;

    log_event(changes ? LOG_INFO : LOG_DEBUG, "admin_request", log_s("client", request->who),
              log_s("method", request->method), log_s("path", request->target.path),
              log_u("status", request->status),
              log_u("ms", (clock_us() - request->began_us) / 1000));
}

/* MHD completes most requests (exchange_completed), but not those that it refuses
 * itself behind their first line: those end with the connection. */
void exchange_detach(struct admin_request *request)
{
    request->connection->request = NULL;
    request->connection = NULL;
    request->suspended = false;
    if (request->state == REQUEST_STREAMING || request->state == REQUEST_ENDED)
        stream_detach(request);
    request_maybe_free(request);
}

void exchange_completed(void *owner, struct MHD_Connection *mhd, void **context,
                        enum MHD_RequestTerminationCode code)
{
    struct admin_request *request = *context;
    struct admin_connection *connection;

    (void)owner;
    (void)mhd;
    (void)code;
    if (!request)
        return;
    *context = NULL;
    connection = request->connection;
    log_request(request);
    exchange_detach(request);
    connection_replied(connection);
}

/* --- the header ------------------------------------------------------------- */

static void refuse_route(struct admin_request *request)
{
    if (!request->match.allow[0]) {
        admin_reply_text(request, 404, "text/plain; charset=utf-8", SLICE("404: Not Found\n"));
        return;
    }
    admin_header(request, "Allow", request->match.allow);
    admin_reply_text(request, 405, "text/plain; charset=utf-8", SLICE("405: Method Not Allowed\n"));
}

static void tell_options(struct admin_request *request)
{
    if (!request->match.allow[0] && strcmp(request->target.path, "*") != 0) {
        refuse_route(request);
        return;
    }
    admin_header(request, "Allow",
                 request->match.allow[0] ? request->match.allow
                                         : "GET, HEAD, POST, PUT, PATCH, DELETE");
    admin_reply_text(request, 204, "text/plain; charset=utf-8", SLICE(""));
}

static bool check_rate(struct admin_request *request)
{
    struct admin *admin = request->admin;
    uint64_t wait_s;

    /* Who watches whether we live must not be told that we are busy. */
    if (request->match.route && request->match.route->scope == ADMIN_OPEN)
        return true;
    if (clients_take_request(admin->clients, request->connection->key, loop_now(admin->loop),
                             &wait_s))
        return true;
    admin_header(request, "Retry-After", "1");
    admin_error(request, 429,
                "more than admin.requests_per_second (%u) requests from %s; ask again in a second",
                admin->conf->admin_requests_per_second, request->connection->key);
    return false;
}

static bool has_word(const char *words, const char *word)
{
    size_t len = strlen(word);

    for (const char *at = words; *at; at += strspn(at, " ")) {
        size_t this = strcspn(at, " ");

        if (this == len && memcmp(at, word, len) == 0)
            return true;
        at += this;
    }
    return false;
}

static bool check_query(struct admin_request *request)
{
    const char *known = request->match.route->query;

    for (size_t i = 0; known && i < request->target.count; i++) {
        const char *name = request->target.parameters[i].name;

        if (has_word(known, name))
            continue;
        admin_error_field(request, 400, "query", "there is no parameter \"%.64s\" of %s %s%s%s%s",
                          name, request->method, request->match.route->path,
                          *known ? "; there are: " : "; it has none", known, "");
        return false;
    }
    return true;
}

/* Whole JSON texts are small; streams of lines may be as long as the route says. */
static size_t body_limit(const struct admin_request *request)
{
    size_t max = request->match.route->body_max;

    if (!max)
        return UNREAD_BODY_MAX;
    return max > ADMIN_JSON_MAX && strcmp(request->content_type, "application/x-ndjson") != 0
               ? ADMIN_JSON_MAX
               : max;
}

static void refuse_body(struct admin_request *request)
{
    admin_error(request, 413, "the body is larger than %zu octets, which is the most for %s %s",
                request->body_max, request->method, request->match.route->path);
}

static bool check_body_length(struct admin_request *request)
{
    const char *length = request_header(request, "Content-Length");
    uint64_t octets;

    request->body_max = body_limit(request);
    if (!length || (slice_to_u64(slice_of(length), &octets) && octets <= request->body_max))
        return true;
    refuse_body(request);
    return false;
}

static bool check_drain(struct admin_request *request)
{
    const struct admin_route *route = request->match.route;

    if (!request->admin->broker->draining || strcmp(route->method, "GET") == 0 ||
        route->handle == control_drain)
        return true;
    admin_error(request, 503, "bearerd is ending and takes no changes any more");
    return false;
}

static void check_head(struct admin_request *request)
{
    route_find(request->method, request->target.path ? request->target.path : "", &request->match);
    if (!request->target.path)
        admin_error(request, 503, "out of memory");
    else if (!check_rate(request))
        return;
    else if (request->target_why.text[0])
        admin_error(request, 400, "%s", request->target_why.text);
    else if (strcmp(request->method, "OPTIONS") == 0)
        tell_options(request);
    else if (!request->match.route)
        refuse_route(request);
    else if (!access_check(request))
        return;
    else if (request->match.bad_param)
        admin_error(request, 400, "path: the name in it is too long or not encoded well");
    else if (check_query(request) && check_drain(request) && check_body_length(request))
        request_set_state(request, REQUEST_BODY);
}

static char *content_type_of(const struct admin_request *request)
{
    const char *header = request_header(request, "Content-Type");
    struct slice type = slice_of(header ? header : "");
    char *copy;

    type.len = strcspn(header ? header : "", ";");
    copy = slice_dup(slice_trim(type));
    if (copy)
        ascii_lower_in_place(copy);
    return copy;
}

/* Whether a refusal waits for the end of the body, so that the connection lives. */
static bool swallows(const struct admin_request *request)
{
    const char *length = request_header(request, "Content-Length");
    uint64_t octets;

    if (request_header(request, "Expect"))
        return false;
    return !length || (slice_to_u64(slice_of(length), &octets) && octets <= ADMIN_SWALLOW_MAX);
}

/* --- the body --------------------------------------------------------------- */

static bool make_room(struct admin_request *request, size_t more)
{
    size_t needed = request->body_len + more + 1,
           cap = request->body_cap ? request->body_cap : 4096;
    char *grown;

    if (needed <= request->body_cap)
        return true;
    while (cap < needed)
        cap *= 2;
    if (request->admin->body_octets + (cap - request->body_cap) > ADMIN_BODIES_MAX)
        return false;
    grown = malloc(cap);
    if (!grown)
        return false;
    if (request->body)
        memcpy(grown, request->body, request->body_len);
    secret_free_len(request->body, request->body_cap);
    request->admin->body_octets += cap - request->body_cap;
    request->body = grown;
    request->body_cap = cap;
    return true;
}

static void add_body(struct admin_request *request, struct slice octets)
{
    if (request->body_len + octets.len > request->body_max) {
        refuse_body(request);
    } else if (!make_room(request, octets.len)) {
        admin_header(request, "Retry-After", "5");
        admin_error(request, 503, "too many large requests at once; ask again in a while");
    } else {
        memcpy(request->body + request->body_len, octets.ptr, octets.len);
        request->body_len += octets.len;
        request->body[request->body_len] = '\0';
        return;
    }
    free_body(request);
}

static enum MHD_Result take_body(struct admin_request *request, struct slice octets)
{
    if (request->state == REQUEST_BODY)
        add_body(request, octets);
    request->swallowed += octets.len;
    connection_expect(request->connection, request->swallowed);
    return request->state == REQUEST_BODY || request->swallowed <= ADMIN_SWALLOW_MAX ? MHD_YES
                                                                                     : MHD_NO;
}

/* --- the reply -------------------------------------------------------------- */

static enum MHD_Result suspend(struct admin_request *request)
{
    request->suspended = true;
    MHD_suspend_connection(request->connection->mhd);
    return MHD_YES;
}

void exchange_resume(struct admin_request *request)
{
    if (!request->connection || !request->suspended)
        return;
    request->suspended = false;
    MHD_resume_connection(request->connection->mhd);
    listener_kick(request->connection->listener);
}

/* What can be done for the request now. */
static enum MHD_Result go_on(struct admin_request *request)
{
    enum MHD_Result result;

    if (request->admin->stopping && !request->response)
        return MHD_NO;
    if (request->delay_ms && !request->admin->stopping) {
        loop_timer_set(request->admin->loop, &request->delay, request->delay_ms);
        return suspend(request);
    }
    if (!request->response)
        return request->state == REQUEST_HELD ? suspend(request) : MHD_NO;
    if (request->queued)
        return MHD_YES;
    connection_read(request->connection);
    request->queued = true;
    result = MHD_queue_response(request->connection->mhd, request->status, request->response);
    MHD_destroy_response(request->response);
    request->response = NULL;
    return result;
}

static enum MHD_Result take_head(struct admin_request *request, const char *method)
{
    slice_copy(slice_of(method), request->method, sizeof(request->method));
    slice_copy(slice_of(request->connection->key), request->who, sizeof(request->who));
    request->content_type = content_type_of(request);
    if (!request->content_type)
        return MHD_NO;
    check_head(request);
    return request->state == REQUEST_BODY || swallows(request) ? MHD_YES : go_on(request);
}

static enum MHD_Result take_end(struct admin_request *request)
{
    if (request->state == REQUEST_BODY) {
        connection_read(request->connection);
        request_set_state(request, REQUEST_HELD);
        request->match.route->handle(request);
    }
    return go_on(request);
}

enum MHD_Result exchange_continue(void *owner, struct MHD_Connection *mhd, const char *path,
                                  const char *method, const char *version, const char *octets,
                                  size_t *len, void **context)
{
    struct admin_request *request = *context;
    struct slice piece = {octets, *len};

    (void)owner;
    (void)mhd;
    (void)path;
    (void)version;
    if (!request)
        return MHD_NO;
    if (!request->method[0])
        return take_head(request, method);
    *len = 0;
    return piece.len ? take_body(request, piece) : take_end(request);
}
