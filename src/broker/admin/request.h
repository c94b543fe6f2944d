/* A request of the admin API, as its handlers see it.
 *
 * A handler is called once the whole request is there, on the loop's thread. It
 * replies now, or keeps the request and replies later: the request stays valid
 * until it was replied to, also when the client has gone meanwhile (the reply
 * then goes nowhere). Each request gets exactly one reply, or one stream.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/str.h"

struct broker;
struct admin_request;

enum admin_scope {
    ADMIN_OPEN, /* everybody who can connect */
    ADMIN_READ,
    ADMIN_WRITE,
    ADMIN_OWNER /* secrets: a token to write, or our own user on the unix socket */
};

typedef void admin_handler(struct admin_request *request);

struct admin_route {
    const char *method, *path; /* "/admin/accounts/{email}": one {name} at most */
    enum admin_scope scope;
    size_t body_max; /* octets; 0: it takes no body */
    admin_handler *handle;
    const char *summary; /* for /openapi.json's check and the manual */
    const char *query;   /* parameters of its query, "state provider"; others are refused, as a
                            mistyped dry_run would be dangerous. NULL: any */
};

struct broker *admin_broker(const struct admin_request *request);
/* The path's {name}, decoded; "" when the route has none. */
const char *admin_param(const struct admin_request *request);
/* A parameter of the query, decoded, or NULL. */
const char *admin_query(const struct admin_request *request, const char *name);
/* true/false/1/0, or `fallback`. False: it was something else, and has been
 * replied to with 400. */
bool admin_query_flag(struct admin_request *request, const char *name, bool fallback, bool *out);
/* A number within the range, or `fallback`; as above. */
bool admin_query_number(struct admin_request *request, const char *name, uint64_t low,
                        uint64_t high, uint64_t fallback, uint64_t *out);
struct slice admin_body(const struct admin_request *request);
const char *
admin_content_type(const struct admin_request *request); /* lower case, without parameters */
/* The body as JSON, borrowed: it goes with the request. NULL: it is none, and has
 * been replied to with 400. An empty body is an empty object. */
json_t *admin_json(struct admin_request *request);
/* What the client may do: for what depends on more than the route. */
bool admin_may(const struct admin_request *request, enum admin_scope scope);
/* Who that is, for the log: "token:NAME", "uid:0", "127.0.0.1". */
const char *admin_who(const struct admin_request *request);
bool admin_gone(const struct admin_request *request);
/* ISO 8601, UTC; null for 0. */
json_t *admin_time(uint64_t wall_ms);

/* A header of the reply, before it; `name` is a literal, the value is copied. Four
 * at most. */
void admin_header(struct admin_request *request, const char *name, const char *value);
/* Replies with the object, which is taken over. */
void admin_reply(struct admin_request *request, unsigned status, json_t *body);
/* Any text. */
void admin_reply_text(struct admin_request *request, unsigned status, const char *content_type,
                      struct slice body);
/* {"success": false, "error": ...} */
void admin_error(struct admin_request *request, unsigned status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with "field". */
void admin_error_field(struct admin_request *request, unsigned status, const char *field,
                       const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Both, and further fields: the object is taken over and gets "success", "error"
 * and, unless NULL, "field". */
void admin_error_with(struct admin_request *request, unsigned status, json_t *fields,
                      const char *field, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* A reply whose length nobody knows. `want` is called, never from inside another
 * call of these, whenever less than 64 KiB wait for the client, and so is asked
 * for more; it may be NULL. The first call comes soon by itself, each further one
 * after something was written: who waits for others writes when they are done. When the client
 * goes, `want` is called a last time with admin_gone() true; the owner ends the stream then. */
void admin_stream_begin(struct admin_request *request, unsigned status, const char *content_type,
                        void (*want)(struct admin_request *request, void *owner), void *owner);
/* Queues octets. False: 64 KiB or more wait now, better go on in `want`. Beyond
 * 64 MiB the client is cut off. */
bool admin_stream_write(struct admin_request *request, struct slice octets);
/* A line of JSON; the object is taken over. */
bool admin_stream_json(struct admin_request *request, json_t *object);
/* The request is gone after this. */
void admin_stream_end(struct admin_request *request);
