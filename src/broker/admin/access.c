/* Who may do what.
 *
 *     a valid token                        what its scope says; "write" is the owner, too
 *     unix socket, peer is root or we      the owner
 *     loopback or unix socket, no token    read and write, unless admin.require_token
 *     anybody else                         what is open
 *
 * A browser may be made to send requests to loopback by any page that it shows.
 * It then adds Origin, or (for a name that was made to mean loopback) a Host that
 * is not ours; such requests are anybody else's.
 */
#include <arpa/inet.h>
#include <inttypes.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "broker/admin/request_private.h"

#define FAILURE_DELAY_MS 1000
#define CURE_TOKEN                                                                                 \
    "send \"Authorization: Bearer brd_...\" with an API token; the owner makes one with "          \
    "POST /admin/api-tokens on the unix socket"

static bool is_literal(struct slice host)
{
    char copy[INET6_ADDRSTRLEN + 1];
    unsigned char bits[16];

    if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        return slice_copy((struct slice){host.ptr + 1, host.len - 2}, copy, sizeof(copy)) &&
               inet_pton(AF_INET6, copy, bits) == 1;
    return slice_copy(host, copy, sizeof(copy)) && inet_pton(AF_INET, copy, bits) == 1;
}

static bool is_our_host(const struct admin_request *request, const char *header)
{
    const struct conf *conf = request->admin->conf;
    struct slice host = slice_of(header);
    const char *colon = strrchr(header, ':');

    if (colon && !strchr(colon, ']'))
        host.len = (size_t)(colon - header);
    return !host.len || is_literal(host) || slice_equal_nocase(host, SLICE("localhost")) ||
           slice_equal_nocase(host, slice_of(conf->admin_host)) ||
           slice_equal_nocase(host, slice_of(conf->hostname)) ||
           slice_equal_nocase(host, slice_of(request->admin->hostname));
}

/* What a request shows that a page of somebody else's may have caused; or NULL. */
static const char *foreign_sign(const struct admin_request *request)
{
    const char *host = request_header(request, "Host");
    const char *site = request_header(request, "Sec-Fetch-Site");

    if (request->connection->listener->is_unix) /* no browser gets there */
        return NULL;
    if (request_header(request, "Origin"))
        return "Origin";
    if (site && strcmp(site, "none") != 0)
        return "Sec-Fetch-Site";
    return host && !is_our_host(request, host) ? "Host" : NULL;
}

/* --- tokens ----------------------------------------------------------------- */

static void refuse_token(struct admin_request *request)
{
    struct admin *admin = request->admin;
    uint64_t wait_s;

    if (!clients_count_failure(admin->clients, request->connection->key, loop_now(admin->loop),
                               &wait_s)) {
        char seconds[24];

        snprintf(seconds, sizeof(seconds), "%" PRIu64, wait_s);
        admin_header(request, "Retry-After", seconds);
        admin_error(request, 429, "too many wrong API tokens from %s; wait %s seconds",
                    request->connection->key, seconds);
        return;
    }
    log_event(LOG_WARN, "admin_token_refused", log_s("client", request->connection->key));
    request->delay_ms = FAILURE_DELAY_MS;
    admin_header(request, "WWW-Authenticate", "Bearer error=\"invalid_token\"");
    admin_error(request, 401,
                "Authorization: this is no API token of ours; check it, or make another one");
}

/* "Bearer TOKEN". */
static bool take_token(struct admin_request *request, const char *header)
{
    struct slice text = slice_of(header);
    struct api_token *token = NULL;

    if (slice_starts_nocase(text, SLICE("Bearer "))) {
        text = slice_trim((struct slice){text.ptr + 7, text.len - 7});
        token = api_tokens_find(&request->admin->tokens, text);
    }
    if (!token && request->match.route->scope == ADMIN_OPEN)
        return true; /* a watcher with an old token still wants to know */
    if (!token) {
        refuse_token(request);
        return false;
    }
    token->last_used_ms = clock_wall_ms();
    request->scope = token->write ? ADMIN_OWNER : ADMIN_READ;
    snprintf(request->who, sizeof(request->who), "token:%s", token->name);
    return true;
}

/* --- no token --------------------------------------------------------------- */

static bool is_owner(const struct admin_connection *connection)
{
    return connection->has_uid && (connection->uid == 0 || connection->uid == geteuid());
}

static void take_place(struct admin_request *request)
{
    const struct admin_connection *connection = request->connection;

    if (connection->has_uid)
        snprintf(request->who, sizeof(request->who), "uid:%u", (unsigned)connection->uid);
    else
        slice_copy(slice_of(connection->key), request->who, sizeof(request->who));
    request->scope = ADMIN_OPEN;
    if (foreign_sign(request))
        return;
    if (is_owner(connection))
        request->scope = ADMIN_OWNER;
    else if (connection->listener->is_local && !request->admin->conf->admin_require_token)
        request->scope = ADMIN_WRITE;
}

static void refuse_scope(struct admin_request *request)
{
    const char *sign = foreign_sign(request);
    bool has_token = strncmp(request->who, "token:", 6) == 0;

    if (has_token) {
        admin_error(request, 403,
                    "the token \"%s\" has scope read; %s %s needs one with scope "
                    "write",
                    request->who + 6, request->method, request->match.route->path);
    } else if (sign) {
        admin_error(request, 403,
                    "%s: without an API token, requests that another page may have caused are "
                    "refused; use an address or localhost, or " CURE_TOKEN,
                    sign);
    } else if (request->scope == ADMIN_WRITE) {
        admin_error(request, 403,
                    "%s %s is for the owner: use the unix socket as root or as bearerd's user, or "
                    "an API token with scope write",
                    request->method, request->match.route->path);
    } else {
        admin_header(request, "WWW-Authenticate", "Bearer");
        admin_error(request, 401, "Authorization: there is none; " CURE_TOKEN);
    }
}

bool access_check(struct admin_request *request)
{
    const char *header = request_header(request, "Authorization");

    if (!header)
        take_place(request);
    else if (!take_token(request, header))
        return false;
    if (request->scope >= request->match.route->scope)
        return true;
    refuse_scope(request);
    return false;
}
