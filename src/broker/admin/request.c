#include <assert.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/date.h"
#include "broker/admin/request_private.h"
#include "broker/json_error.h"
#include "broker/wipe.h"

#define JSON_TYPE "application/json; charset=utf-8"

/* --- what was asked --------------------------------------------------------- */

struct broker *admin_broker(const struct admin_request *request)
{
    return request->admin->broker;
}

const char *request_header(const struct admin_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection->mhd, MHD_HEADER_KIND, name);
}

const char *admin_param(const struct admin_request *request)
{
    return request->match.param;
}

const char *admin_query(const struct admin_request *request, const char *name)
{
    return target_query(&request->target, name);
}

bool admin_query_flag(struct admin_request *request, const char *name, bool fallback, bool *out)
{
    const char *text = admin_query(request, name);

    *out = fallback;
    if (!text)
        return true;
    *out = strcmp(text, "true") == 0 || strcmp(text, "1") == 0;
    if (*out || strcmp(text, "false") == 0 || strcmp(text, "0") == 0)
        return true;
    admin_error_field(request, 400, name, "%s: \"%.40s\": must be true or false", name, text);
    return false;
}

bool admin_query_number(struct admin_request *request, const char *name, uint64_t low,
                        uint64_t high, uint64_t fallback, uint64_t *out)
{
    const char *text = admin_query(request, name);

    *out = fallback;
    if (!text || (slice_to_u64(slice_of(text), out) && *out >= low && *out <= high))
        return true;
    admin_error_field(request, 400, name,
                      "%s: \"%.40s\": must be a whole number, %" PRIu64 " to %" PRIu64, name, text,
                      low, high);
    return false;
}

struct slice admin_body(const struct admin_request *request)
{
    return (struct slice){request->body ? request->body : "", request->body_len};
}

const char *admin_content_type(const struct admin_request *request)
{
    return request->content_type;
}

static void refuse_json(struct admin_request *request, const json_error_t *error)
{
    admin_error(request, 400, "Invalid JSON: line %d, column %d: %.*s", error->line, error->column,
                json_error_len(error), error->text);
}

json_t *admin_json(struct admin_request *request)
{
    json_error_t error = {.line = 0};

    if (request->json)
        return request->json;
    if (request->body_len > ADMIN_JSON_MAX) {
        admin_error(request, 413, "the body is larger than %u octets, which is the most for JSON",
                    ADMIN_JSON_MAX);
        return NULL;
    }
    request->json = request->body_len ? json_loadb(request->body, request->body_len,
                                                   JSON_REJECT_DUPLICATES, &error)
                                      : json_object();
    if (!request->json)
        refuse_json(request, &error);
    return request->json;
}

bool admin_may(const struct admin_request *request, enum admin_scope scope)
{
    return request->scope >= scope;
}

/* MHD does not look at a connection while it is suspended. */
bool admin_gone(const struct admin_request *request)
{
    struct pollfd look;

    if (!request->connection || request->cut)
        return true;
    look = (struct pollfd){.fd = request->connection->fd};
    return poll(&look, 1, 0) == 1 && (look.revents & (POLLHUP | POLLERR));
}

const char *admin_who(const struct admin_request *request)
{
    return request->who;
}

json_t *admin_time(uint64_t wall_ms)
{
    char text[DATE_TEXT];

    if (!wall_ms)
        return json_null();
    date_format(wall_ms, text);
    return json_string(text);
}

/* --- what is replied -------------------------------------------------------- */

void admin_header(struct admin_request *request, const char *name, const char *value)
{
    struct admin_header *header = &request->headers[request->header_count];

    assert(request->header_count < ADMIN_HEADERS_MAX);
    header->name = name;
    slice_copy(slice_of(value), header->value, sizeof(header->value));
    request->header_count++;
}

void request_set_response(struct admin_request *request, unsigned status, const char *content_type,
                          struct MHD_Response *response)
{
    request->status = status;
    request->response = response;
    if (response) {
        if (status != 204)
            MHD_add_response_header(response, "Content-Type", content_type);
        MHD_add_response_header(response, "Cache-Control", "no-store");
        MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    }
    for (size_t i = 0; response && i < request->header_count; i++)
        MHD_add_response_header(response, request->headers[i].name, request->headers[i].value);
    if (!response && request->connection)
        connection_cut(request->connection); /* out of memory */
}

static void reply(struct admin_request *request, unsigned status, const char *content_type,
                  struct MHD_Response *response)
{
    request_set_state(request, REQUEST_REPLIED);
    request_set_response(request, status, content_type, response);
    exchange_resume(request);
    request_maybe_free(request);
}

void admin_reply_text(struct admin_request *request, unsigned status, const char *content_type,
                      struct slice body)
{
    reply(request, status, content_type,
          MHD_create_response_from_buffer(body.len, (void *)(uintptr_t)(body.len ? body.ptr : ""),
                                          MHD_RESPMEM_MUST_COPY));
}

void admin_reply(struct admin_request *request, unsigned status, json_t *body)
{
    char *text = body ? json_dumps(body, JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;
    size_t len = text ? strlen(text) : 0;
    struct MHD_Response *response = NULL;

    json_decref(body);
    if (text) {
        text[len] = '\n'; /* the terminator's place */
        response = MHD_create_response_from_buffer_with_free_callback(len + 1, text, wipe_free);
    }
    if (text && !response)
        wipe_free(text);
    reply(request, status, JSON_TYPE, response);
}

static void reply_error(struct admin_request *request, unsigned status, json_t *fields,
                        const char *field, const char *format, va_list args)
{
    char text[1024];
    json_t *body = fields ? fields : json_object();

    vsnprintf(text, sizeof(text), format, args);
    json_object_set_new(body, "success", json_false());
    /* Values of clients are in it, which need not be UTF-8. */
    if (json_object_set_new(body, "error", json_string(text)) != 0)
        json_object_set_new(body, "error", json_string("a value is not valid UTF-8"));
    if (field)
        json_object_set_new(body, "field", json_string(field));
    admin_reply(request, status, body);
}

void admin_error(struct admin_request *request, unsigned status, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    reply_error(request, status, NULL, NULL, format, args);
    va_end(args);
}

void admin_error_field(struct admin_request *request, unsigned status, const char *field,
                       const char *format, ...)
{
    va_list args;

    va_start(args, format);
    reply_error(request, status, NULL, field, format, args);
    va_end(args);
}

void admin_error_with(struct admin_request *request, unsigned status, json_t *fields,
                      const char *field, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    reply_error(request, status, fields, field, format, args);
    va_end(args);
}
