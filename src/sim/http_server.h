/* HTTP and HTTPS on the simulator's loop (libmicrohttpd, no threads). */
#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <uv.h>

#include "base/list.h"
#include "base/str.h"

struct sim;
struct certs;
struct MHD_Connection;
struct MHD_Daemon;

struct http_request {
    struct sim *sim;
    struct MHD_Connection *connection;
    const char *method, *path;
    struct slice body;
    struct slice tenant; /* the path's first part, where the route has {tenant} */
};

enum http_ending {
    HTTP_WHOLE,
    HTTP_CHUNKED,   /* no Content-Length */
    HTTP_CUT_SHORT, /* the connection is closed in mid-body */
    HTTP_CLOSED     /* ... instead of an answer */
};

struct http_reply {
    unsigned status;
    char *body; /* malloc'd, taken over; NULL: empty */
    const char *type;
    char *location;       /* likewise, of a redirect; NULL: none */
    unsigned retry_after; /* seconds, 0: no such header */
    bool retry_date;      /* as a date */
    enum http_ending ending;
    uint64_t delay_ms;
};

struct http_route {
    const char *method, *path; /* "/{tenant}/..." stands for any first part */
    void (*handle)(const struct http_request *request, struct http_reply *reply);
};

struct http_server {
    struct sim *sim;
    const struct http_route *routes; /* ends with a NULL method */
    struct MHD_Daemon *daemon;
    struct list waiting; /* replies whose time has not come */
    uv_poll_t poll;
    uv_timer_t timer;
    int port;
    bool skewed; /* its Date follows the knob clock_skew_s */
};

/* `certs` NULL: plain HTTP. */
bool http_server_start(struct http_server *server, struct sim *sim, int port,
                       const struct certs *certs, const struct http_route *routes,
                       struct reason *why);
void http_server_stop(struct http_server *server);

/* For handlers. */
const char *http_query(const struct http_request *request, const char *name);  /* or NULL */
const char *http_header(const struct http_request *request, const char *name); /* or NULL */
/* The decoded value of a form field of the body, malloc'd, or NULL. */
char *http_form_field(const struct http_request *request, const char *name);
/* The same of a GET's query or a POST's body, "" when there is none. */
char *http_parameter(const struct http_request *request, const char *name);
char *http_url_decode(struct slice text); /* malloc'd; '+' is a space */
void http_url_encode(struct slice text, FILE *out);
/* "https://localhost:8443", as the client wrote it where it did. */
void http_origin(const struct http_request *request, char *out, size_t cap);

extern const struct http_route http_token_routes[], http_control_routes[];

/* Handlers of the routes, each in a file of its name. */
void http_token(const struct http_request *http, struct http_reply *reply);
void http_introspect(const struct http_request *request, struct http_reply *reply);
void http_authorize(const struct http_request *http, struct http_reply *reply);
void http_devicecode(const struct http_request *http, struct http_reply *reply);
void http_device(const struct http_request *http, struct http_reply *reply);
void http_jwks(const struct http_request *request, struct http_reply *reply);
void http_discovery(const struct http_request *request, struct http_reply *reply);
void http_get_clients(const struct http_request *request, struct http_reply *reply);
void http_post_clients(const struct http_request *request, struct http_reply *reply);
void http_get_devices(const struct http_request *request, struct http_reply *reply);
void http_post_devices(const struct http_request *request, struct http_reply *reply);
