/* Verification of accounts, one or many; and DELETE of those that the provider has
 * declared dead.
 */
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

    if (!body || !read_smtp(request, body, &smtp))
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

struct burial {
    struct store_write write;
    struct broker *broker;
    struct setup *setup; /* a reference */
    struct admin_request *request;
    struct sweep *sweep;
};

/* Only what the provider itself says of the grant counts; an outage, a time-out, a
 * throttle or a wrong client secret says nothing of it. */
static bool is_dead(const struct sweep_result *result)
{
    return result->class_ == OAUTH_CONSENT;
}

static void end_burial(struct burial *burial)
{
    store_write_clear(&burial->write);
    setup_unref(burial->setup);
    sweep_free(burial->sweep);
    free(burial);
}

static void reply_buried(struct burial *burial, size_t removed)
{
    json_t *emails = json_array();
    char message[80];
    struct text text;

    for (size_t i = 0, edit = 0; i < burial->sweep->count; i++) {
        if (is_dead(&burial->sweep->results[i]) && burial->write.edits[edit++].status == STORE_OK)
            json_array_append_new(emails, json_string(burial->sweep->results[i].email));
    }
    text_init(&text, message, sizeof(message));
    text_addf(&text, "%zu invalid accounts removed", removed);
    admin_reply(burial->request, 200,
                json_pack("{s:b, s:s, s:I, s:I, s:o}", "success", 1, "message", message,
                          "total_accounts", (json_int_t)registry_count(&burial->broker->registry),
                          "deleted_count", (json_int_t)removed, "deleted_accounts", emails));
}

static void on_buried(struct store_write *write)
{
    struct burial *burial = container_of(write, struct burial, write);
    size_t removed = accounts_take_removed(burial->broker, write);

    if (removed)
        reply_buried(burial, removed);
    else
        admin_error(burial->request, 500, "%s", write->edits[0].why.text);
    end_burial(burial);
}

static void bury(struct sweep *sweep, size_t dead)
{
    struct burial *burial = calloc(1, sizeof(*burial));
    size_t i = 0;

    if (!burial || !(burial->write.edits = calloc(dead, sizeof(struct store_edit)))) {
        free(burial);
        admin_error(sweep->owner, 500, "out of memory");
        sweep_free(sweep);
        return;
    }
    burial->broker = sweep->broker;
    burial->request = sweep->owner;
    burial->sweep = sweep;
    burial->setup = setup_ref(broker_next_setup(sweep->broker));
    burial->write.conf = burial->setup->conf;
    for (size_t k = 0; k < sweep->count; k++) {
        if (is_dead(&sweep->results[k]))
            burial->write.edits[i++] = (struct store_edit){
                .kind = STORE_REMOVE, .id = slice_dup(slice_of(sweep->results[k].id))};
    }
    burial->write.count = dead;
    burial->write.done = on_buried;
    burial->broker->store->ops->write(burial->broker->store, &burial->write);
}

static void reply_would_delete(struct sweep *sweep)
{
    json_t *would = json_array();

    for (size_t i = 0; i < sweep->count; i++) {
        const struct sweep_result *result = &sweep->results[i];

        if (is_dead(result))
            json_array_append_new(would, json_pack("{s:s, s:s}", "email", result->email, "error",
                                                   result->token_text));
    }
    admin_reply(sweep->owner, 200,
                json_pack("{s:b, s:b, s:s, s:I, s:I, s:o}", "success", 1, "dry_run", 1, "message",
                          "nothing was removed", "total_accounts",
                          (json_int_t)registry_count(&sweep->broker->registry), "deleted_count",
                          (json_int_t)0, "would_delete", would));
}

static size_t count_dead(const struct sweep *sweep)
{
    size_t dead = 0;

    for (size_t i = 0; i < sweep->count; i++)
        dead += is_dead(&sweep->results[i]);
    return dead;
}

static void on_swept(struct sweep *sweep)
{
    size_t dead = count_dead(sweep);

    if (sweep->broker->ended) {
        admin_error(sweep->owner, 500, "bearerd is ending; nothing was removed");
        sweep_free(sweep);
        return;
    }
    if (!dead)
        admin_error(sweep->owner, 404,
                    "there is no invalid account: of %zu, none was declared dead by its provider",
                    sweep->count);
    if (dead) {
        bury(sweep, dead);
        return;
    }
    sweep_free(sweep);
}

static void on_swept_dry(struct sweep *sweep)
{
    if (count_dead(sweep))
        reply_would_delete(sweep);
    else
        admin_error(sweep->owner, 404, "there is no invalid account");
    sweep_free(sweep);
}

void accounts_delete_invalid(struct admin_request *request)
{
    struct sweep *sweep;
    bool dry_run;

    if (!admin_query_flag(request, "dry_run", false, &dry_run))
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
