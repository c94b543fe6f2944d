/* Verification of accounts, one or many. */
#include <stdlib.h>

#include "broker/admin/accounts.h"
#include "broker/admin/sweep.h"
#include "broker/broker.h"

#define PROGRESS_EVERY 100

static bool read_smtp(struct admin_request *request, const json_t *body, bool *smtp)
{
    const json_t *value = json_object_get(body, "smtp");

    *smtp = json_is_true(value);
    if (!value || json_is_boolean(value) || json_is_null(value))
        return true;
    admin_error_field(request, 400, "smtp", "\"smtp\" must be true or false");
    return false;
}

bool sweep_check_room(struct admin_request *request, size_t count)
{
    if (sweep_has_room(admin_broker(request), count))
        return true;
    admin_header(request, "Retry-After", "10");
    admin_error(request, 503, "too many accounts are being verified already; ask again in a while");
    return false;
}

/* --- one -------------------------------------------------------------------- */

static void on_one(struct sweep *sweep)
{
    admin_reply(sweep->owner, 200, sweep_result_json(&sweep->results[0]));
    sweep_free(sweep);
}

void accounts_verify(struct admin_request *request)
{
    struct account *account = accounts_find(request);
    json_t *body = account ? admin_json(request) : NULL;
    struct sweep *sweep;
    bool smtp;

    if (!body || !read_smtp(request, body, &smtp) || !sweep_check_room(request, 1))
        return;
    sweep = sweep_new(admin_broker(request), 1);
    if (!sweep || !sweep_add(sweep, account)) {
        admin_error(request, 500, "out of memory");
        if (sweep)
            sweep_free(sweep);
        return;
    }
    sweep->smtp = smtp;
    sweep->owner = request;
    sweep->finished = on_one;
    sweep_begin(sweep);
}

/* --- many ------------------------------------------------------------------- */

struct many {
    struct admin_request *request;
    size_t ok;
    uint64_t began_ms;
};

static void on_result(struct sweep *sweep, struct sweep_result *result)
{
    struct many *many = sweep->owner;

    many->ok += sweep_result_ok(result);
    admin_stream_json(many->request, sweep_result_json(result));
    if (admin_gone(many->request))
        sweep_cut(sweep);
    if (sweep->done % PROGRESS_EVERY == 0)
        admin_stream_json(many->request,
                          json_pack("{s:{s:I, s:I}}", "progress", "done", (json_int_t)sweep->done,
                                    "total", (json_int_t)sweep->count));
}

static void on_many(struct sweep *sweep)
{
    struct many *many = sweep->owner;
    double seconds = (double)(loop_now(&sweep->broker->loop) - many->began_ms) / 1000;

    admin_stream_json(many->request,
                      json_pack("{s:{s:b, s:I, s:I, s:f}}", "summary", "success",
                                many->ok == sweep->count, "ok", (json_int_t)many->ok, "failed",
                                (json_int_t)(sweep->count - many->ok), "seconds", seconds));
    admin_stream_end(many->request);
    sweep_free(sweep);
    free(many);
}

struct sweep *sweep_filtered(struct broker *broker, const struct filter *filter)
{
    struct sweep *sweep = sweep_new(broker, registry_count(&broker->registry));
    struct registry_walk walk;
    struct account *account;
    bool ok = sweep != NULL;

    if (!ok)
        return NULL;
    registry_walk_begin(&walk, &broker->registry, 0);
    while (ok && (account = registry_walk_next(&walk))) {
        if (!filter || filter_matches(filter, account))
            ok = sweep_add(sweep, account);
    }
    registry_walk_end(&walk);
    if (ok)
        return sweep;
    sweep_free(sweep);
    return NULL;
}

/* Those that are named; NULL: one is not known, and that was replied. */
static struct sweep *sweep_named(struct admin_request *request, const json_t *emails)
{
    struct broker *broker = admin_broker(request);
    struct sweep *sweep = sweep_new(broker, json_array_size(emails));
    json_t *email;
    size_t i;

    json_array_foreach((json_t *)(uintptr_t)emails, i, email)
    {
        const char *text = json_string_value(email);
        struct account *account = text ? accounts_named(broker, text) : NULL;

        if (account && sweep && sweep_add(sweep, account))
            continue;
        if (sweep)
            sweep_free(sweep);
        if (!text)
            admin_error_field(request, 400, "emails", "\"emails\": item %zu is no text", i + 1);
        else if (!account)
            admin_error_field(request, 404, "emails", "there is no account %.256s", text);
        else
            admin_error(request, 500, "out of memory");
        return NULL;
    }
    return sweep;
}

static struct sweep *sweep_of(struct admin_request *request, const json_t *body)
{
    const json_t *emails = json_object_get(body, "emails");
    struct filter filter;
    struct sweep *sweep;

    if (json_array_size(emails))
        return sweep_named(request, emails);
    if (!filter_read_json(&filter, request, body))
        return NULL;
    if (!filter.any && !json_is_true(json_object_get(body, "all"))) {
        admin_error(request, 400,
                    "name accounts with \"emails\": [...], or a filter (\"state\", \"provider\", "
                    "\"domain\", \"q\"), or say \"all\": true");
        return NULL;
    }
    sweep = sweep_filtered(admin_broker(request), &filter);
    if (!sweep)
        admin_error(request, 500, "out of memory");
    return sweep;
}

void accounts_verify_many(struct admin_request *request)
{
    json_t *body = admin_json(request);
    struct sweep *sweep;
    struct many *many;
    bool smtp;

    if (!body || !read_smtp(request, body, &smtp) || !(sweep = sweep_of(request, body)))
        return;
    if (!sweep_check_room(request, 0)) {
        sweep_free(sweep);
        return;
    }
    many = calloc(1, sizeof(*many));
    if (!many) {
        sweep_free(sweep);
        admin_error(request, 500, "out of memory");
        return;
    }
    many->request = request;
    many->began_ms = loop_now(&sweep->broker->loop);
    sweep->smtp = smtp;
    sweep->owner = many;
    sweep->result = on_result;
    sweep->finished = on_many;
    admin_stream_begin(request, 200, "application/x-ndjson", NULL, NULL);
    sweep_begin(sweep);
}
