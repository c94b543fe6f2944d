/* Verification of accounts, one or many; and DELETE of those that the provider has
 * declared dead.
 */
#include <stdlib.h>

#include "broker/admin/accounts.h"
#include "broker/admin/change.h"
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

/* False: refused. */
static bool check_room(struct admin_request *request, size_t count)
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

    if (!body || !read_smtp(request, body, &smtp) || !check_room(request, 1))
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

/* All accounts that the filter lets through. */
static struct sweep *sweep_filtered(struct broker *broker, const struct filter *filter)
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
    if (!check_room(request, 0)) {
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

/* --- the dead --------------------------------------------------------------- */

/* Those of the sweep that are to go, in the order of the edits. */
struct burial {
    struct sweep *sweep;
    size_t count;
    const struct sweep_result *dead[];
};

static void end_burial(struct burial *burial)
{
    sweep_free(burial->sweep);
    free(burial);
}

/* Takes the sweep over; NULL: memory is out. */
static struct burial *burial_new(struct sweep *sweep)
{
    struct burial *burial =
        calloc(1, sizeof(*burial) + sweep->count * sizeof(const struct sweep_result *));

    if (!burial) {
        sweep_free(sweep);
        return NULL;
    }
    burial->sweep = sweep;
    for (size_t i = 0; i < sweep->count; i++) {
        if (sweep_result_dead(&sweep->results[i]))
            burial->dead[burial->count++] = &sweep->results[i];
    }
    return burial;
}

static void reply_buried(struct change *change, size_t removed)
{
    const struct burial *burial = change->owner;
    json_t *emails = json_array();
    char message[80];
    struct text text;

    for (size_t i = 0; i < burial->count; i++) {
        if (change->write.edits[i].status == STORE_OK)
            json_array_append_new(emails, json_string(burial->dead[i]->email));
    }
    text_init(&text, message, sizeof(message));
    text_addf(&text, "%zu invalid accounts removed", removed);
    admin_reply(change->request, 200,
                json_pack("{s:b, s:s, s:I, s:I, s:o}", "success", 1, "message", message,
                          "total_accounts", (json_int_t)registry_count(&change->broker->registry),
                          "deleted_count", (json_int_t)removed, "deleted_accounts", emails));
}

static void reply_none_removed(struct change *change)
{
    const struct store_edit *edit = &change->write.edits[0];

    if (edit->status == STORE_CHANGED || edit->status == STORE_GONE)
        admin_error(change->request, 404, "there is no invalid account any more: %s",
                    edit->why.text);
    else
        admin_error(change->request, 500, "%s", edit->why.text);
}

static void on_buried(struct store_write *write)
{
    struct change *change = change_of(write);
    size_t removed = accounts_take_removed(change->broker, write);

    if (removed)
        reply_buried(change, removed);
    else
        reply_none_removed(change);
    end_burial(change->owner);
    change_free(change);
}

static bool name_dead(const struct registry *registry, const struct sweep_result *dead,
                      struct store_edit *edit)
{
    const struct account *account = registry_by_id(registry, slice_of(dead->id));

    *edit = (struct store_edit){.kind = STORE_REMOVE,
                                .id = slice_dup(slice_of(dead->id)),
                                .expected = slice_dup(slice_of(account->record->refresh_token))};
    return edit->id && edit->expected;
}

/* Only the grant that was found dead goes: whoever signs in anew meanwhile, or the
 * endpoint, may have given the account another one. */
static void bury(struct admin_request *request, struct burial *burial)
{
    struct broker *broker = admin_broker(request);
    struct change *change = change_new(request, burial->count);

    if (!change) {
        end_burial(burial);
        return;
    }
    change->owner = burial;
    for (size_t i = 0; i < burial->count; i++) {
        if (name_dead(&broker->registry, burial->dead[i], &change->write.edits[i]))
            continue;
        admin_error(request, 500, "out of memory");
        end_burial(burial);
        change_free(change);
        return;
    }
    change_submit(change, on_buried);
}

static void reply_would_delete(struct admin_request *request, const struct burial *burial)
{
    json_t *would = json_array();

    for (size_t i = 0; i < burial->count; i++)
        json_array_append_new(would, json_pack("{s:s, s:s}", "email", burial->dead[i]->email,
                                               "error", sweep_result_text(burial->dead[i])));
    admin_reply(request, 200,
                json_pack("{s:b, s:b, s:s, s:I, s:I, s:o}", "success", 1, "dry_run", 1, "message",
                          "nothing was removed", "total_accounts",
                          (json_int_t)registry_count(&admin_broker(request)->registry),
                          "deleted_count", (json_int_t)0, "would_delete", would));
}

static void take_swept(struct sweep *sweep, bool dry_run)
{
    struct admin_request *request = sweep->owner;
    size_t count = sweep->count;
    bool ended = sweep->broker->ended;
    struct burial *burial = burial_new(sweep);

    if (!burial) {
        admin_error(request, 500, "out of memory");
    } else if (burial->count && !ended && !dry_run) {
        bury(request, burial);
        return;
    } else if (ended) {
        admin_error(request, 500, "bearerd is ending; nothing was removed");
    } else if (burial->count) {
        reply_would_delete(request, burial);
    } else {
        admin_error(request, 404,
                    "there is no invalid account: of %zu, none was declared dead by its provider",
                    count);
    }
    if (burial)
        end_burial(burial);
}

static void on_swept(struct sweep *sweep)
{
    take_swept(sweep, false);
}

static void on_swept_dry(struct sweep *sweep)
{
    take_swept(sweep, true);
}

void accounts_delete_invalid(struct admin_request *request)
{
    struct sweep *sweep;
    bool dry_run;

    if (!admin_query_flag(request, "dry_run", false, &dry_run) ||
        !check_room(request, registry_count(&admin_broker(request)->registry)))
        return;
    sweep = sweep_filtered(admin_broker(request), NULL);
    if (!sweep) {
        admin_error(request, 500, "out of memory");
        return;
    }
    sweep->owner = request;
    sweep->finished = dry_run ? on_swept_dry : on_swept;
    sweep_begin(sweep);
}
