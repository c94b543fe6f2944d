/* /admin/api-tokens. The file is written by a thread of libuv's, as it is synced to
 * the disk; one change at a time. */
#include <stdlib.h>

#include "broker/admin/handlers.h"
#include "broker/admin/request_private.h"
#include "broker/broker.h"
#include "broker/wipe.h"

struct change {
    uv_work_t work;
    struct admin *admin;
    struct admin_request *request;
    bool removes, write;
    char name[API_TOKEN_NAME_MAX + 1];
    char path[4096];
    /* What came of it. */
    enum api_tokens_status status;
    struct api_tokens tokens;
    char made[API_TOKEN_TEXT_MAX];
    struct reason why;
};

static json_t *item(const struct api_token *token)
{
    return json_pack("{s:s,s:s,s:s,s:o}", "name", token->name, "scope",
                     token->write ? "write" : "read", "created_at", token->created_at, "last_used",
                     admin_time(token->last_used_ms));
}

void api_tokens_list(struct admin_request *request)
{
    const struct api_tokens *tokens = &request->admin->tokens;
    json_t *list = json_array();

    for (size_t i = 0; i < tokens->count; i++)
        json_array_append_new(list, item(&tokens->items[i]));
    admin_reply(request, 200, json_pack("{s:b,s:o}", "success", 1, "tokens", list));
}

/* --- changes ------------------------------------------------------------------------ */

static void work(uv_work_t *handle)
{
    struct change *change = container_of(handle, struct change, work);

    change->status = change->removes ? api_tokens_remove(&change->tokens, change->path,
                                                         change->name, &change->why)
                                     : api_tokens_add(&change->tokens, change->path, change->name,
                                                      change->write, change->made, &change->why);
}

static void reply_made(struct change *change)
{
    if (change->removes)
        admin_reply(change->request, 200,
                    json_pack("{s:b,s:s}", "success", 1, "message", "API token removed"));
    else
        admin_reply(change->request, 201,
                    json_pack("{s:b,s:s,s:s,s:s}", "success", 1, "name", change->name, "scope",
                              change->write ? "write" : "read", "token", change->made));
}

static void reply_failed(struct change *change)
{
    static const unsigned statuses[] = {
        [API_TOKENS_EXISTS] = 409, [API_TOKENS_GONE] = 404, [API_TOKENS_FAILED] = 500};

    admin_error_field(change->request, statuses[change->status],
                      change->status == API_TOKENS_FAILED ? NULL : "name", "%s", change->why.text);
}

static void done(uv_work_t *handle, int status)
{
    struct change *change = container_of(handle, struct change, work);
    struct admin *admin = change->admin;

    if (status < 0) {
        change->status = API_TOKENS_FAILED;
        reason_set(&change->why, "bearerd is ending");
    }
    admin->tokens_writing = false;
    if (change->status == API_TOKENS_OK) {
        api_tokens_take_uses(&change->tokens, &admin->tokens);
        api_tokens_clear(&admin->tokens);
        admin->tokens = change->tokens;
        reply_made(change);
    } else {
        api_tokens_clear(&change->tokens);
        reply_failed(change);
    }
    secret_free_len(change, sizeof(*change));
}

static void begin(struct admin_request *request, const char *name, bool removes, bool write)
{
    struct admin *admin = request->admin;
    struct change *change = admin->tokens_writing ? NULL : calloc(1, sizeof(*change));

    if (!change) {
        admin_header(request, "Retry-After", "1");
        admin_error(request, 503, "another change of API tokens is under way; ask again");
        return;
    }
    change->admin = admin;
    change->request = request;
    change->removes = removes;
    change->write = write;
    slice_copy(slice_of(name), change->name, sizeof(change->name));
    slice_copy(slice_of(admin->tokens_path), change->path, sizeof(change->path));
    admin->tokens_writing = true;
    uv_queue_work(&admin->loop->uv, &change->work, work, done);
}

void api_tokens_create(struct admin_request *request)
{
    const json_t *body = admin_json(request);
    const char *name = json_string_value(json_object_get(body, "name"));
    const char *scope = json_string_value(json_object_get(body, "scope"));

    if (!body)
        return;
    if (!name || !api_token_name_ok(name))
        admin_error_field(request, 400, "name",
                          "name: must be 1 to %d letters, digits, '-', '_', '.' or '@'",
                          API_TOKEN_NAME_MAX);
    else if (!scope || (strcmp(scope, "read") != 0 && strcmp(scope, "write") != 0))
        admin_error_field(request, 400, "scope", "scope: must be read or write");
    else
        begin(request, name, false, strcmp(scope, "write") == 0);
}

void api_tokens_delete(struct admin_request *request)
{
    const char *name = admin_param(request);

    if (!api_token_name_ok(name))
        admin_error_field(request, 404, "name", "name: there is no token of this name");
    else
        begin(request, name, true, false);
}
