/* DELETE of accounts: one, all, and those that the provider has declared dead. */
#include <stdlib.h>

#include "broker/admin/accounts.h"
#include "broker/admin/removal.h"
#include "broker/admin/sweep.h"
#include "broker/broker.h"

/* --- one, and all ----------------------------------------------------------- */

static void reply_removed(struct removal *removal, const char *what)
{
    struct admin_request *request = removal->owner;
    char message[400];
    struct text text;

    text_init(&text, message, sizeof(message));
    text_addf(&text, "%s removed", what);
    admin_reply(request, 200,
                json_pack("{s:b, s:s, s:I, s:I}", "success", 1, "message", message,
                          "total_accounts", (json_int_t)registry_count(&removal->broker->registry),
                          "deleted_count", (json_int_t)removal->removed));
}

static void on_removed(struct removal *removal)
{
    struct admin_request *request = removal->owner;
    char what[300];
    struct text text;

    if (removal->items[0].status == STORE_OK) {
        text_init(&text, what, sizeof(what));
        text_addf(&text, "account %.256s", admin_param(request));
        reply_removed(removal, what);
    } else if (removal->items[0].status == STORE_GONE) {
        admin_error(request, 404, "the account is gone: %s", removal->why.text);
    } else {
        admin_error(request, 500, "%s", removal->why.text);
    }
    removal_free(removal);
}

void accounts_delete(struct admin_request *request)
{
    struct broker *broker = admin_broker(request);
    struct removal *removal;
    struct account *account;

    if (!strchr(admin_param(request), '@') &&
        !registry_by_id(&broker->registry, slice_of(admin_param(request)))) {
        admin_error(request, 400, "\"%.256s\" is not an e-mail address", admin_param(request));
        return;
    }
    account = accounts_find(request);
    if (!account)
        return;
    removal = removal_new(broker, 1);
    if (removal && removal_add(removal, account->record->id, NULL)) {
        removal_begin(removal, on_removed, request);
        return;
    }
    admin_error(request, 500, "out of memory");
    if (removal)
        removal_free(removal);
}

/* Of a failure: how far it came. */
static void reply_failed(struct removal *removal)
{
    if (removal->removed)
        admin_error(removal->owner, 500, "%zu of %zu accounts were removed, then: %s",
                    removal->removed, removal->count, removal->why.text);
    else
        admin_error(removal->owner, 500, "%s", removal->why.text);
}

static bool has_failed(const struct removal *removal)
{
    return removal->items[removal->count - 1].status == STORE_FAILED;
}

static void on_all_removed(struct removal *removal)
{
    char what[64];
    struct text text;

    if (has_failed(removal)) {
        reply_failed(removal);
    } else if (!removal->removed) {
        admin_error(removal->owner, 404, "there are no accounts any more");
    } else {
        text_init(&text, what, sizeof(what));
        text_addf(&text, "%zu accounts", removal->removed);
        reply_removed(removal, what);
    }
    removal_free(removal);
}

/* NULL: memory is out. */
static struct removal *removal_of_all(struct broker *broker)
{
    struct removal *removal = removal_new(broker, registry_count(&broker->registry));
    struct registry_walk walk;
    struct account *account;
    bool ok = true;

    if (!removal)
        return NULL;
    registry_walk_begin(&walk, &broker->registry, 0);
    while (ok && (account = registry_walk_next(&walk)))
        ok = removal_add(removal, account->record->id, NULL);
    registry_walk_end(&walk);
    if (ok)
        return removal;
    removal_free(removal);
    return NULL;
}

void accounts_delete_all(struct admin_request *request)
{
    struct broker *broker = admin_broker(request);
    struct removal *removal;
    bool confirm;

    if (!admin_query_flag(request, "confirm", false, &confirm))
        return;
    if (!confirm) {
        admin_error(request, 400, "this removes all accounts; say ?confirm=true");
        return;
    }
    if (!registry_count(&broker->registry)) {
        admin_error(request, 404, "there are no accounts");
        return;
    }
    removal = removal_of_all(broker);
    if (removal)
        removal_begin(removal, on_all_removed, request);
    else
        admin_error(request, 500, "out of memory");
}

/* --- the dead --------------------------------------------------------------- */

/* Of the results only those that are to go, in the order of the removal. */
struct burial {
    struct admin_request *request;
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
    burial->request = sweep->owner;
    burial->sweep = sweep;
    for (size_t i = 0; i < sweep->count; i++) {
        if (sweep_result_dead(&sweep->results[i]))
            burial->dead[burial->count++] = &sweep->results[i];
    }
    return burial;
}

static void reply_buried(const struct burial *burial, const struct removal *removal)
{
    json_t *emails = json_array();
    char message[80];
    struct text text;

    for (size_t i = 0; i < burial->count; i++) {
        if (removal->items[i].status == STORE_OK)
            json_array_append_new(emails, json_string(burial->dead[i]->email));
    }
    text_init(&text, message, sizeof(message));
    text_addf(&text, "%zu invalid accounts removed", removal->removed);
    admin_reply(burial->request, 200,
                json_pack("{s:b, s:s, s:I, s:I, s:o}", "success", 1, "message", message,
                          "total_accounts", (json_int_t)registry_count(&removal->broker->registry),
                          "deleted_count", (json_int_t)removal->removed, "deleted_accounts",
                          emails));
}

static void on_buried(struct removal *removal)
{
    struct burial *burial = removal->owner;

    removal->owner = burial->request;
    if (has_failed(removal))
        reply_failed(removal);
    else if (removal->removed)
        reply_buried(burial, removal);
    else
        admin_error(burial->request, 404, "there is no invalid account any more: %s",
                    removal->why.text);
    end_burial(burial);
    removal_free(removal);
}

/* Only the grant that was found dead goes: whoever signs in anew meanwhile, or the
 * endpoint, may have given the account another one. */
static struct removal *removal_of(const struct burial *burial)
{
    struct broker *broker = burial->sweep->broker;
    struct removal *removal = removal_new(broker, burial->count);
    bool ok = removal != NULL;

    for (size_t i = 0; ok && i < burial->count; i++) {
        const char *id = burial->dead[i]->id;
        const struct account *account = registry_by_id(&broker->registry, slice_of(id));

        ok = removal_add(removal, id, account->record->refresh_token);
    }
    if (ok)
        return removal;
    if (removal)
        removal_free(removal);
    return NULL;
}

static void bury(struct burial *burial)
{
    struct removal *removal = removal_of(burial);

    if (removal) {
        removal_begin(removal, on_buried, burial);
        return;
    }
    admin_error(burial->request, 500, "out of memory");
    end_burial(burial);
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
        bury(burial);
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
        !sweep_check_room(request, registry_count(&admin_broker(request)->registry)))
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
