/* HTTP and HTTPS on the simulator's loop (libmicrohttpd, no threads). */
#pragma once

#include <stdbool.h>
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
};

enum http_ending {
    HTTP_WHOLE,
    HTTP_CHUNKED,  /* no Content-Length */
    HTTP_CUT_SHORT /* the connection is closed in mid-body */
};

struct http_reply {
    unsigned status;
    char *body; /* malloc'd, taken over; NULL: empty */
    const char *type;
    unsigned retry_after; /* seconds, 0: no such header */
    enum http_ending ending;
    uint64_t delay_ms;
};

struct http_route {
    const char *method, *path;
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

extern const struct http_route http_token_routes[], http_control_routes[];

/* Shared by both servers; http_introspect.c. */
void http_introspect(const struct http_request *request, struct http_reply *reply);
