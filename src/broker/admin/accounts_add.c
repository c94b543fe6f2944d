/* POST /admin/accounts and /admin/accounts/batch: the original's requests and
 * answers, and a stream for many. */
#include <stdlib.h>

#include "broker/admin/account_json.h"
#include "broker/admin/accounts.h"
#include "broker/admin/intake.h"
#include "broker/broker.h"
#include "broker/json_error.h"

#define BATCH_MAX 100
#define STREAM_MAX 10000
/* How long a throttle of the token endpoint may hold up a request. */
#define ONE_MS 20000
#define BATCH_MS 120000
#define STREAM_MS 600000
/* Records of a stream that are checked in one turn of the loop. */
#define CHUNK 100
#define PROGRESS_EVERY 100

static json_t *with_total(struct broker *broker, json_t *body)
{
    json_object_set_new(body, "total_accounts",
                        json_integer((json_int_t)registry_count(&broker->registry)));
    return body;
}

static json_t *success(struct broker *broker, const char *message)
{
    return with_total(broker, json_pack("{s:b, s:s}", "success", 1, "message", message));
}

/* --- one -------------------------------------------------------------------- */

static unsigned status_of(enum intake_verdict verdict)
{
    switch (verdict) {
    case INTAKE_BAD:
    case INTAKE_UNVERIFIED:
        return 400;
    case INTAKE_EXISTS:
        return 409;
    default:
        return 500;
    }
}

static void on_one(struct intake *intake)
{
    struct admin_request *request = intake->owner;
    struct intake_item *item = &intake->items[0];
    struct account *account =
        registry_by_login(&intake->broker->registry, slice_of(item->email ? item->email : ""));
    char message[400];
    struct text text;
    json_t *body;

    if (!intake_item_ok(item) || !account) {
        if (item->field[0])
            admin_error_field(request, status_of(item->verdict), item->field, "%s", item->error);
        else
            admin_error(request, status_of(item->verdict), "%s", item->error);
    } else {
        text_init(&text, message, sizeof(message));
        text_addf(&text, "account %s %s%s", account->record->email,
                  item->verdict == INTAKE_ADDED ? "added" : "updated",
                  item->verified ? ", its token is good" : "");
        body = success(intake->broker, message);
        json_object_set_new(body, "account", account_item_json(account));
        admin_reply(request, 200, body);
    }
    intake_free(intake);
}

void accounts_post(struct admin_request *request)
{
    json_t *object = admin_json(request);
    struct intake *intake;

    if (!object)
        return;
    intake = intake_new(admin_broker(request), 1, ONE_MS);
    if (!intake) {
        admin_error(request, 500, "out of memory");
        return;
    }
    intake->owner = request;
    intake->finished = on_one;
    intake_check(&intake->items[0], object);
    intake_start(&intake->items[0]);
}

/* --- a batch ---------------------------------------------------------------- */

static json_t *failed_json(const struct intake *intake)
{
    json_t *failed = json_array();

    for (size_t i = 0; i < intake->count; i++) {
        const struct intake_item *item = &intake->items[i];
        json_t *one;

        if (item->verdict == INTAKE_PENDING || intake_item_ok(item))
            continue;
        one = json_pack("{s:s, s:s, s:I}", "email", item->email ? item->email : "?", "error",
                        item->error, "record", (json_int_t)item->number);
        if (one && item->field[0])
            json_object_set_new(one, "field", json_string(item->field));
        json_array_append_new(failed, one);
    }
    return failed;
}

static size_t count_of(const struct intake *intake, enum intake_verdict verdict)
{
    size_t count = 0;

    for (size_t i = 0; i < intake->count; i++)
        count += intake->items[i].verdict == verdict;
    return count;
}

static json_t *duplicates_json(const struct intake *intake)
{
    json_t *emails = json_array();

    for (size_t i = 0; i < intake->count; i++) {
        if (intake->items[i].verdict == INTAKE_EXISTS)
            json_array_append_new(emails, json_string(intake->items[i].email));
    }
    return emails;
}

static void reply_failed(struct admin_request *request, struct intake *intake, unsigned status,
                         const char *error)
{
    json_t *body = json_pack("{s:b, s:s, s:o, s:i}", "success", 0, "error", error,
                             "failed_accounts", failed_json(intake), "added_count", 0);

    if (status == 409)
        json_object_set_new(body, "duplicates", duplicates_json(intake));
    admin_reply(request, status, body);
}

static void reply_done(struct admin_request *request, struct intake *intake)
{
    size_t added = count_of(intake, INTAKE_ADDED), updated = count_of(intake, INTAKE_UPDATED);
    size_t failed = intake->count - added - updated;
    char message[120];
    struct text text;
    json_t *body;

    text_init(&text, message, sizeof(message));
    text_addf(&text, "%zu added, %zu updated, %zu failed", added, updated, failed);
    body = success(intake->broker, message);
    /* The original had no number of its own for those that replaced another. */
    json_object_set_new(body, "added_count", json_integer((json_int_t)added + (json_int_t)updated));
    json_object_set_new(body, "updated_count", json_integer((json_int_t)updated));
    if (failed) {
        json_object_set_new(body, "success", json_string("partial"));
        json_object_set_new(body, "failed_count", json_integer((json_int_t)failed));
        json_object_set_new(body, "failed_accounts", failed_json(intake));
    }
    admin_reply(request, failed ? 206 : 200, body);
}

static void on_batch(struct intake *intake)
{
    struct admin_request *request = intake->owner;
    size_t failures = count_of(intake, INTAKE_FAILED);

    if (count_of(intake, INTAKE_ADDED) || count_of(intake, INTAKE_UPDATED))
        reply_done(request, intake);
    else if (failures == intake->count)
        reply_failed(request, intake, 500, intake->items[0].error);
    else
        reply_failed(request, intake, 400, "none of the accounts was added");
    intake_free(intake);
}

/* What is wrong with the input is said of the whole of it, and changes nothing. */
static bool refuse_batch(struct admin_request *request, struct intake *intake)
{
    char error[120];
    struct text text;

    text_init(&text, error, sizeof(error));
    if (count_of(intake, INTAKE_BAD)) {
        text_addf(&text, "%zu of %zu records are wrong; nothing was changed",
                  count_of(intake, INTAKE_BAD), intake->count);
        reply_failed(request, intake, 400, error);
    } else if (count_of(intake, INTAKE_EXISTS)) {
        text_addf(&text, "%zu of %zu accounts exist already; nothing was changed",
                  count_of(intake, INTAKE_EXISTS), intake->count);
        reply_failed(request, intake, 409, error);
    } else {
        return false;
    }
    return true;
}

static void post_array(struct admin_request *request)
{
    json_t *array = admin_json(request);
    size_t count = json_array_size(array);
    struct intake *intake;

    if (!array)
        return;
    if (!json_is_array(array) || count < 1 || count > BATCH_MAX) {
        admin_error(request, 400,
                    "the body must be an array of 1 to %d records; send more of them as "
                    "application/x-ndjson, a record a line",
                    BATCH_MAX);
        return;
    }
    intake = intake_new(admin_broker(request), count, BATCH_MS);
    if (!intake) {
        admin_error(request, 500, "out of memory");
        return;
    }
    intake->owner = request;
    intake->finished = on_batch;
    intake->together = true;
    for (size_t i = 0; i < count; i++)
        intake_check(&intake->items[i], json_array_get(array, i));
    if (refuse_batch(request, intake)) {
        intake_free(intake);
        return;
    }
    for (size_t i = 0; i < count; i++)
        intake_start(&intake->items[i]);
}

/* --- a stream --------------------------------------------------------------- */

struct stream {
    struct admin_request *request;
    struct intake *intake;
    struct slice rest; /* of the body */
    size_t next;       /* item */
    size_t line;
    uint64_t began_ms;
    struct timer turn;
};

static bool next_line(struct slice *rest, struct slice *line)
{
    const char *end;

    if (!rest->len)
        return false;
    end = memchr(rest->ptr, '\n', rest->len);
    *line = (struct slice){rest->ptr, end ? (size_t)(end - rest->ptr) : rest->len};
    rest->ptr += line->len + (end != NULL);
    rest->len -= line->len + (end != NULL);
    *line = slice_trim(*line);
    if (line->len && line->ptr[line->len - 1] == '\r')
        line->len--;
    return true;
}

static size_t count_lines(struct slice body)
{
    struct slice line;
    size_t count = 0;

    while (next_line(&body, &line))
        count += line.len > 0;
    return count;
}

static void tell_progress(struct stream *stream)
{
    admin_stream_json(stream->request, json_pack("{s:{s:I, s:I}}", "progress", "done",
                                                 (json_int_t)stream->intake->done, "total",
                                                 (json_int_t)stream->intake->count));
}

static void on_item(struct intake *intake, struct intake_item *item)
{
    struct stream *stream = intake->owner;
    json_t *line = json_pack("{s:I, s:s, s:b, s:b}", "record", (json_int_t)item->number, "email",
                             item->email ? item->email : "?", "ok", intake_item_ok(item),
                             "verified", item->verified);

    if (intake_item_ok(item)) {
        json_object_set_new(line, "action",
                            json_string(item->verdict == INTAKE_ADDED ? "added" : "updated"));
    } else {
        json_object_set_new(line, "error", json_string(item->error));
        if (item->field[0])
            json_object_set_new(line, "field", json_string(item->field));
    }
    admin_stream_json(stream->request, line);
    if (intake->done % PROGRESS_EVERY == 0)
        tell_progress(stream);
}

static void on_stream_end(struct intake *intake)
{
    struct stream *stream = intake->owner;
    struct broker *broker = intake->broker;
    size_t added = count_of(intake, INTAKE_ADDED), updated = count_of(intake, INTAKE_UPDATED);
    size_t failed = intake->count - added - updated;
    json_t *summary =
        json_pack("{s:I, s:I, s:I, s:f}", "added_count", (json_int_t)added, "updated_count",
                  (json_int_t)updated, "failed_count", (json_int_t)failed, "seconds",
                  (double)(loop_now(&broker->loop) - stream->began_ms) / 1000);

    json_object_set_new(summary, "success",
                        !failed               ? json_true()
                        : added + updated > 0 ? json_string("partial")
                                              : json_false());
    admin_stream_json(stream->request, json_pack("{s:o}", "summary", with_total(broker, summary)));
    admin_stream_end(stream->request);
    loop_timer_cancel(&broker->loop, &stream->turn);
    intake_free(intake);
    free(stream);
}

static void take_line(struct stream *stream, struct slice line)
{
    struct intake_item *item = &stream->intake->items[stream->next++];
    json_error_t error;
    json_t *object = json_loadb(line.ptr, line.len, JSON_REJECT_DUPLICATES, &error);
    char why[256];
    struct text text;

    if (object) {
        intake_check(item, object);
    } else {
        text_init(&text, why, sizeof(why));
        text_addf(&text, "line %zu, column %d: %.*s", stream->line, error.column,
                  json_error_len(&error), error.text);
        intake_refuse(item, why);
    }
    json_decref(object);
    intake_start(item);
}

/* Some records a turn, so that the loop goes on with its other work. */
static void on_stream_turn(struct timer *timer)
{
    struct stream *stream = container_of(timer, struct stream, turn);
    struct slice line;

    for (size_t i = 0; i < CHUNK && next_line(&stream->rest, &line);) {
        stream->line++;
        if (!line.len)
            continue;
        take_line(stream, line);
        i++;
    }
    if (stream->rest.len)
        loop_timer_set(&stream->intake->broker->loop, timer, 0);
}

static void post_stream(struct admin_request *request)
{
    struct broker *broker = admin_broker(request);
    size_t count = count_lines(admin_body(request));
    struct stream *stream = calloc(1, sizeof(*stream));

    if (count < 1 || count > STREAM_MAX) {
        admin_error(request, 400, "the body must have 1 to %d lines, a record each; it has %zu",
                    STREAM_MAX, count);
        free(stream);
        return;
    }
    if (stream)
        stream->intake = intake_new(broker, count, STREAM_MS);
    if (!stream || !stream->intake) {
        admin_error(request, 500, "out of memory");
        free(stream);
        return;
    }
    stream->request = request;
    stream->rest = admin_body(request);
    stream->began_ms = loop_now(&broker->loop);
    stream->intake->owner = stream;
    stream->intake->item_done = on_item;
    stream->intake->finished = on_stream_end;
    timer_init(&stream->turn, on_stream_turn);
    admin_stream_begin(request, 200, "application/x-ndjson", NULL, NULL);
    loop_timer_set(&broker->loop, &stream->turn, 0);
}

void accounts_post_batch(struct admin_request *request)
{
    if (strcmp(admin_content_type(request), "application/x-ndjson") == 0)
        post_stream(request);
    else
        post_array(request);
}
