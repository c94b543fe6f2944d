/* HTTPS requests to token endpoints and to the receiver of events: libcurl's multi interface on
 * our loop.
 *
 * Connections are kept and shared (HTTP/2 where offered); TLS is always
 * verified; redirects are refused, because a redirect would carry a refresh
 * token to a place that nobody configured; proxies of the environment are not
 * used, for the same reason.
 */
#pragma once

#include "broker/oauth/response.h"
#include "net/cert_facts.h"
#include "net/loop.h"

struct http;
struct http_request;

struct http_settings {
    char ca_file[1024]; /* "" curl's own default */
    uint64_t timeout_ms, connect_ms;
    uint32_t connections, connections_per_host;
};

/* `answer` is valid during the call; NULL when there was none, and `why` then
 * says why. The request is gone after it. */
typedef void http_done(void *owner, const struct oauth_answer *answer, const char *why);

struct http *http_new(struct loop *loop, const struct http_settings *settings, struct reason *why);
/* For requests begun from now on. */
void http_configure(struct http *http, const struct http_settings *settings);
/* Cancels what is running. The loop must run on for its handles to close; the
 * memory goes with them. */
void http_free(struct http *http);

/* A POST of anything. */
struct http_call {
    const char *url;
    struct slice body;
    const char *const *headers; /* "Name: value", NULL-terminated */
    bool fresh;                 /* as below */
    bool plain;                 /* http:// serves, too: to this host */
    bool status_only;           /* of the answer's body nothing is kept */
};
/* As http_post. */
struct http_request *http_send(struct http *http, const struct http_call *call, http_done *done,
                               void *owner);

/* Sends a form; `body` is copied, and the copy wiped. `fresh`: on a connection of
 * its own, because the one that would be shared may be the trouble. `done` is
 * called later, never from inside. NULL when memory is out. */
struct http_request *http_post(struct http *http, const char *url, struct slice body, bool fresh,
                               http_done *done, void *owner);
/* --- a look at the way to a host ---------------------------------------------------- */

enum http_stage { HTTP_DNS, HTTP_TCP, HTTP_TLS, HTTP_STAGES };

struct http_look {
    unsigned reached;              /* stages that succeeded: HTTP_STAGES: all */
    uint64_t took_ms[HTTP_STAGES]; /* of those */
    const char *why;               /* the next one failed; NULL: none did */
    const char *address, *source;  /* of the connection; "" not known */
    struct cert_facts cert;        /* of the host, once TLS is there */
};

/* Valid during the call; the request is gone after it. */
typedef void http_looked(void *owner, const struct http_look *look);

/* Connects, verifies the certificate, and leaves: nothing is asked. As http_post. */
struct http_request *http_look(struct http *http, const char *url, http_looked *done, void *owner);

/* No callback follows. */
void http_cancel(struct http_request *request);
