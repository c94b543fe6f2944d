/* What the files of the admin API's server share. Private to them.
 *
 *     server.c    start, end, reload; the listeners
 *     listener.c  one listening socket: its MHD daemon on our loop, its connections
 *     exchange.c  a request from its first octet to its reply, as MHD calls us
 *     access.c    who may
 *     routes.c    which route
 *     request.c   what handlers ask and reply
 *     stream.c    replies whose length nobody knows
 *
 * MHD never runs inside another call of it: whoever resumes a connection asks for
 * a turn of its listener (listener_kick), which comes later.
 */
#pragma once

#include <microhttpd.h>
#include <sys/types.h>

#include "broker/admin/api_tokens.h"
#include "broker/admin/clients.h"
#include "broker/admin/routes.h"
#include "broker/admin/server.h"
#include "broker/admin/target.h"
#include "conf/conf.h"
#include "net/loop.h"

#define ADMIN_CLIENTS_MAX 64          /* connections of one listener... */
#define ADMIN_CLIENTS_PER_ADDRESS 16  /* ...and of one address of it */
#define ADMIN_HEADER_MAX 32768        /* MHD's memory per connection */
#define ADMIN_BODIES_MAX (128u << 20) /* of all requests together */
#define ADMIN_JSON_MAX (2u << 20)     /* a body that is parsed as a whole */
#define ADMIN_SWALLOW_MAX (8u << 20)  /* of a refused body, so that the client hears why */
#define ADMIN_STREAM_WANTED 65536     /* below it a stream's owner is asked for more */
#define ADMIN_STREAM_MAX (64u << 20)  /* beyond it the client is cut off */
#define ADMIN_BODY_RATE 16            /* octets per millisecond: slower is too slow */

struct admin {
    struct broker *broker;
    struct loop *loop;
    const struct conf *conf; /* replaced by reloads */
    struct list listeners;   /* admin_listener.node */
    struct list requests;    /* admin_request.node: all that exist */
    struct list wanting;     /* admin_request.wanting_node */
    uv_timer_t *wake;        /* serves `wanting`; allocated, as libuv closes it later */
    struct clients *clients;
    struct api_tokens tokens;
    bool tokens_writing; /* a thread changes the file */
    char tokens_path[4096];
    char hostname[256]; /* that a browser may have typed */
    size_t body_octets; /* of all requests */
    bool stopping;
};

struct admin_listener {
    struct admin *admin;
    struct list_node node;
    struct MHD_Daemon *daemon; /* NULL: stopped, handles close */
    uv_poll_t poll;
    uv_timer_t timer;
    int handles; /* open ones of libuv */
    bool is_unix, has_tls, is_local, retiring;
    struct list connections;        /* admin_connection.node */
    char address[NET_ADDRESS_TEXT]; /* as bound */
    char path[108];                 /* of the unix socket, to be removed; "" */
};

struct admin_connection {
    struct admin_listener *listener;
    struct list_node node;
    struct MHD_Connection *mhd;
    int fd;
    struct admin_request *request; /* that MHD has begun and not completed */
    char key[64];                  /* of its address, for limits and logs */
    bool has_uid;
    uid_t uid;
    struct timer deadline; /* of the request that is being read */
    uint64_t reading_since_ms;
};

enum request_state {
    REQUEST_HEAD,      /* made when its first line came */
    REQUEST_BODY,      /* accepted; its body is collected */
    REQUEST_HELD,      /* a handler has it */
    REQUEST_REPLIED,   /* the reply waits for MHD, which may still read the body */
    REQUEST_STREAMING, /* the handler writes */
    REQUEST_ENDED,     /* the stream's end is queued */
    REQUEST_STATES
};

#define ADMIN_HEADERS_MAX 4

struct admin_header {
    const char *name;
    char value[ROUTE_ALLOW_MAX];
};

struct admin_request {
    struct admin *admin;
    struct list_node node;
    enum request_state state;
    struct admin_connection *connection; /* NULL: MHD is done with it */
    bool suspended;                      /* in MHD */
    /* What was asked. */
    char method[16];
    struct target target;
    struct route_match match;
    struct reason target_why; /* "" the target is well-formed */
    char *content_type;
    enum admin_scope scope; /* what the client may */
    char who[96];           /* for the log: "token:NAME", "uid:0", "127.0.0.1" */
    char *body;
    size_t body_len, body_cap, body_max, swallowed;
    json_t *json;
    uint64_t began_us;
    /* What is replied. */
    struct MHD_Response *response;
    unsigned status;
    bool queued; /* MHD has it */
    struct admin_header headers[ADMIN_HEADERS_MAX];
    size_t header_count;
    struct timer delay; /* holds a refusal back */
    uint64_t delay_ms;
    /* A stream. */
    struct chain queue;
    void (*want)(struct admin_request *request, void *owner);
    void *owner;
    struct list_node wanting_node;
    bool wrote; /* since `want` was called last */
    bool full;  /* told so, and not yet asked for more */
    bool cut;   /* the client is too slow, or gone */
};

/* server.c */
void admin_wake(struct admin *admin); /* serves `wanting` soon */

/* listener.c */
struct admin_listener *listener_open(struct admin *admin, const char *address, bool has_tls,
                                     struct slice cert_pem, struct slice key_pem,
                                     struct reason *why);
/* Goes on with connections that are open, on the same socket as the new one. */
struct admin_listener *listener_renew(struct admin_listener *old, struct slice cert_pem,
                                      struct slice key_pem, struct reason *why);
void listener_close(struct admin_listener *listener);
void listener_kick(struct admin_listener *listener); /* a turn of MHD soon */
/* So much of a request's body has come; the request has been read; it has been
 * replied to, and another may come. */
void connection_expect(struct admin_connection *connection, size_t body_octets);
void connection_read(struct admin_connection *connection);
void connection_replied(struct admin_connection *connection);
void connection_cut(struct admin_connection *connection);

/* exchange.c: callbacks for MHD. */
void *exchange_begin(void *owner, const char *uri, struct MHD_Connection *mhd);
enum MHD_Result exchange_continue(void *owner, struct MHD_Connection *mhd, const char *path,
                                  const char *method, const char *version, const char *octets,
                                  size_t *len, void **context);
void exchange_completed(void *owner, struct MHD_Connection *mhd, void **context,
                        enum MHD_RequestTerminationCode code);
/* MHD is done with it. */
void exchange_detach(struct admin_request *request);
/* The reply is there: MHD may go on. */
void exchange_resume(struct admin_request *request);
/* Frees a request that neither MHD nor a handler has any more. */
void request_maybe_free(struct admin_request *request);
void request_free(struct admin_request *request);
void request_set_state(struct admin_request *request, enum request_state state);

/* access.c: sets scope and who; true: the request may go on to its route. */
bool access_check(struct admin_request *request);

/* request.c: takes the response over. */
void request_set_response(struct admin_request *request, unsigned status, const char *content_type,
                          struct MHD_Response *response);
const char *request_header(const struct admin_request *request, const char *name);

/* stream.c */
void stream_ask(struct admin_request *request);    /* for more, soon */
void stream_serve(struct admin_request *request);  /* asks now */
void stream_detach(struct admin_request *request); /* the client has gone */
