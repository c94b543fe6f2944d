/* One account: GET, PATCH, pause, resume. */
#include <stdlib.h>

#include "broker/admin/account_json.h"
#include "broker/admin/accounts.h"
#include "broker/admin/candidate.h"
#include "broker/admin/change.h"
#include "broker/broker.h"
#include "broker/store/record_fields.h"

struct account *accounts_named(const struct broker *broker, const char *name)
{
    struct account *account = registry_by_login(&broker->registry, slice_of(name));

    return account ? account : registry_by_id(&broker->registry, slice_of(name));
}

struct account *accounts_find(struct admin_request *request)
{
    struct account *account = accounts_named(admin_broker(request), admin_param(request));

    if (!account)
        admin_error(request, 404, "there is no account %.256s", admin_param(request));
    return account;
}

/* --- reading ------------------------------------------------------------------ */

void accounts_get(struct admin_request *request)
{
    struct account *account = accounts_find(request);

    if (account)
        account_reply_detail(request, account, NULL);
}

/* --- changing ----------------------------------------------------------------- */

static void reply_error(struct change *change, const struct store_edit *edit)
{
    char field[64];

    candidate_field(edit->why.text, field, sizeof(field));
    switch (edit->status) {
    case STORE_GONE:
        admin_error(change->request, 404, "the account is gone: %s", edit->why.text);
        break;
    case STORE_EXISTS:
        admin_error_field(change->request, 409, field, "%s", edit->why.text);
        break;
    case STORE_INVALID:
        admin_error_field(change->request, 400, field, "%s", edit->why.text);
        break;
    default:
        admin_error(change->request, 500, "%s", edit->why.text);
        break;
    }
}

static void on_patched(struct store_write *write)
{
    struct change *change = change_of(write);
    struct store_edit *edit = &write->edits[0];
    struct account *account = NULL;
    char message[400];
    struct text text;

    if (edit->status != STORE_OK) {
        reply_error(change, edit);
    } else {
        account = registry_put(&change->broker->registry, edit->record, NULL);
        edit->record = NULL;
        tokens_spread(&change->broker->tokens, 1); /* it may have become another account */
        if (!account)
            admin_error(change->request, 500, "the change is stored, but memory is out");
    }
    if (account) {
        text_init(&text, message, sizeof(message));
        text_addf(&text, "account %s %s", account->record->email, (const char *)change->owner);
        account_reply_detail(change->request, account, message);
    }
    change_free(change);
}

/* Takes the object over; the verb, "updated", is a literal. */
static void patch(struct admin_request *request, const struct account *account, json_t *object,
                  const char *verb)
{
    struct change *change = change_new(admin_broker(request), 1);

    if (!change) {
        json_decref(object);
        admin_error(request, 500, "out of memory");
        return;
    }
    change->request = request;
    change->owner = (void *)(uintptr_t)verb;
    change->write.edits[0] = (struct store_edit){
        .kind = STORE_PATCH, .id = slice_dup(slice_of(account->record->id)), .object = object};
    change_submit(change, on_patched);
}

static bool check_keys(struct admin_request *request, const json_t *object)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        if (key[0] == '_' || record_knows(key))
            continue;
        admin_error_field(request, 400, key, "\"%.64s\" is no key of an account", key);
        return false;
    }
    return true;
}

static bool names(const json_t *object, const char *key, const char *current)
{
    const json_t *value = json_object_get(object, key);

    return value && (!json_is_string(value) || strcmp(json_string_value(value), current) != 0);
}

/* Whether the request brings each secret that the account has of its own; those of an
 * application go where the configuration says. */
static bool brings_secrets(const struct account_record *record, const json_t *object)
{
    const json_t *service_account = json_object_get(object, "service_account");

    if (record->refresh_token[0] && !json_object_get(object, "refresh_token"))
        return false;
    if (record->app[0])
        return true;
    if (record->key && !json_object_get(object, "private_key") &&
        !json_object_get(service_account, "private_key"))
        return false;
    return (!record->client_secret[0] || json_object_get(object, "client_secret")) &&
           (!record->extra[0] || json_object_get(object, "extra"));
}

/* The key that has the account's secrets sent elsewhere, or NULL. */
static const char *redirects(const struct account_record *record, const json_t *object)
{
    const json_t *service_account = json_object_get(object, "service_account");

    if (names(object, "oauth_token_url", record->token_url))
        return "oauth_token_url";
    if (names(object, "oauth_endpoint", record->endpoint))
        return "oauth_endpoint";
    return names(service_account, "token_uri", record->token_url) ? "service_account" : NULL;
}

/* Where the account's secrets go is changed by who has them, or by the owner: else
 * whoever may write could have them sent to himself. */
static bool may_redirect(struct admin_request *request, const struct account *account,
                         const json_t *object)
{
    bool has_secrets = brings_secrets(account->record, object);
    const char *key = redirects(account->record, object);

    if (!key || has_secrets || admin_may(request, ADMIN_OWNER))
        return true;
    admin_error_field(
        request, 403, key,
        "\"%s\": the account's secrets are sent there: name them anew with it, or use "
        "a token with the scope write, or the unix socket as bearerd's user or root",
        key);
    return false;
}

static bool is_newest(struct admin_request *request, const struct account *account,
                      const json_t *object)
{
    const char *token = json_string_value(json_object_get(object, "refresh_token"));

    if (!token || !token_is_superseded(account, token))
        return true;
    admin_error_field(request, 400, "refresh_token", "%s", candidate_superseded);
    return false;
}

void accounts_patch(struct admin_request *request)
{
    struct account *account = accounts_find(request);
    json_t *object = account ? admin_json(request) : NULL;

    if (!object)
        return;
    if (!json_is_object(object) || !json_object_size(object)) {
        admin_error(request, 400, "the body must be an object with the keys to change");
        return;
    }
    if (check_keys(request, object) && may_redirect(request, account, object) &&
        is_newest(request, account, object))
        patch(request, account, json_deep_copy(object), "updated");
}

void accounts_pause(struct admin_request *request)
{
    struct account *account = accounts_find(request);
    json_t *body = account ? admin_json(request) : NULL;
    json_t *reason = json_object_get(body, "reason");

    if (!body)
        return;
    if (!json_is_object(body) || (reason && !json_is_null(reason) && !json_is_string(reason))) {
        admin_error_field(request, 400, "reason", "\"reason\" must be a text in quotes");
        return;
    }
    patch(request, account,
          json_pack("{s:b, s:O}", "disabled", 1, "disabled_reason", reason ? reason : json_null()),
          "paused");
}

void accounts_resume(struct admin_request *request)
{
    struct account *account = accounts_find(request);

    if (account)
        patch(request, account, json_pack("{s:n, s:n}", "disabled", "disabled_reason"), "resumed");
}
