/* What the relay knows of accounts: pools and limits. */
#include <stdlib.h>

#include "broker/admin/account_json.h"
#include "broker/admin/accounts.h"
#include "broker/broker.h"

#define PAGE_DEFAULT 200

typedef json_t *row_json(const struct account *account, const struct relay_pool *row);

static json_t *pool_json(const struct account *account, const struct relay_pool *row)
{
    const struct ipc_pool *n = &row->numbers;
    json_t *json = json_pack(
        "{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:{s:I, s:I, s:I, s:I}}",
        "account_id", account->record->id, "email", account->record->email, "endpoint",
        row->endpoint, "dialing", (json_int_t)n->dialing, "idle", (json_int_t)n->idle, "busy",
        (json_int_t)n->busy, "draining", (json_int_t)n->draining, "waiting", (json_int_t)n->waiting,
        "running", (json_int_t)n->running, "max_connections", (json_int_t)n->max_connections,
        "dial_failures", (json_int_t)n->dial_failures, "login_wait_ms",
        (json_int_t)n->login_wait_ms, "messages", "delivered", (json_int_t)n->delivered, "rejected",
        (json_int_t)n->rejected, "deferred", (json_int_t)n->deferred, "unknown",
        (json_int_t)n->unknown);

    if (json)
        json_object_set_new(json, "last_delivery", admin_time(n->last_delivery_wall_ms));
    return json;
}

static void add_limit(json_t *json, const char *name, uint64_t used, uint64_t limit)
{
    json_object_set_new(
        json, name, json_pack("{s:I, s:I}", "used", (json_int_t)used, "limit", (json_int_t)limit));
}

static json_t *limit_json(const struct account *account, const struct relay_pool *row)
{
    const struct ipc_pool *n = &row->numbers;
    json_t *json =
        json_pack("{s:s, s:s, s:I, s:I}", "account_id", account->record->id, "email",
                  account->record->email, "message_wait_ms", (json_int_t)n->message_wait_ms,
                  "breaker_wait_ms", (json_int_t)n->breaker_wait_ms);

    if (!json)
        return NULL;
    add_limit(json, "connections", (uint64_t)n->dialing + n->idle + n->busy + n->draining,
              n->max_connections);
    json_object_set_new(json_object_get(json, "connections"), "now",
                        json_integer((json_int_t)n->connections_now));
    add_limit(json, "concurrent", n->running, n->max_concurrent);
    add_limit(json, "logins_per_minute", n->logins, n->max_logins);
    add_limit(json, "messages_per_minute", n->minute, n->max_minute);
    add_limit(json, "messages_per_hour", n->hour, n->max_hour);
    add_limit(json, "messages_per_day", n->day, n->max_day);
    add_limit(json, "recipients_per_day", n->recipients, n->max_recipients);
    return json;
}

/* --- an account in full ----------------------------------------------------------- */

struct detail {
    struct broker *broker;
    struct admin_request *request;
    json_t *body;
    char id[IPC_ID_MAX + 1];
};

/* Without a relay's answer the rest is true all the same. */
static void on_detail(void *owner, const struct relay_pool *rows, size_t count, bool more,
                      const char *why)
{
    struct detail *detail = owner;
    struct account *account = registry_by_id(&detail->broker->registry, slice_of(detail->id));

    (void)more;
    (void)why;
    if (count && account)
        json_object_set_new(json_object_get(detail->body, "account"), "pool",
                            pool_json(account, &rows[0]));
    admin_reply(detail->request, 200, detail->body);
    free(detail);
}

void account_reply_detail(struct admin_request *request, const struct account *account,
                          const char *message)
{
    struct detail *detail = calloc(1, sizeof(*detail));

    if (!detail) {
        admin_error(request, 500, "out of memory");
        return;
    }
    detail->broker = admin_broker(request);
    detail->request = request;
    detail->body = json_pack("{s:b, s:o}", "success", 1, "account", account_detail_json(account));
    if (message)
        json_object_set_new(detail->body, "message", json_string(message));
    slice_copy(slice_of(account->record->id), detail->id, sizeof(detail->id));
    if (!relay_view_ask(detail->broker->view, slice_of(detail->id), SLICE(""), 1, on_detail,
                        detail))
        on_detail(detail, NULL, 0, false, NULL);
}

/* --- pages of rows ---------------------------------------------------------------- */

struct rows {
    struct broker *broker;
    struct admin_request *request;
    const char *name;
    row_json *json;
};

static void on_rows(void *owner, const struct relay_pool *rows, size_t count, bool more,
                    const char *why)
{
    struct rows *asked = owner;
    json_t *list = json_array(), *body;

    for (size_t i = 0; i < count; i++) {
        struct account *account = registry_by_id(&asked->broker->registry, slice_of(rows[i].id));

        if (account)
            json_array_append_new(list, asked->json(account, &rows[i]));
    }
    if (why) {
        json_decref(list);
        admin_error(asked->request, 503, "the relay does not tell: %s", why);
    } else {
        body = json_pack("{s:b, s:o}", "success", 1, asked->name, list);
        json_object_set_new(body, "next",
                            more && count ? json_string(rows[count - 1].id) : json_null());
        admin_reply(asked->request, 200, body);
    }
    free(asked);
}

static void ask(struct admin_request *request, const char *name, row_json *json)
{
    struct broker *broker = admin_broker(request);
    const char *email = admin_query(request, "email"), *after = admin_query(request, "after");
    struct account *account = NULL;
    struct rows *asked;
    uint64_t limit;

    if (!admin_query_number(request, "limit", 1, IPC_SNAPSHOT_ROWS, PAGE_DEFAULT, &limit))
        return;
    if (email && !(account = accounts_named(broker, email))) {
        admin_error_field(request, 404, "email", "there is no account %.256s", email);
        return;
    }
    asked = calloc(1, sizeof(*asked));
    if (asked)
        *asked = (struct rows){broker, request, name, json};
    if (!asked || !relay_view_ask(broker->view, slice_of(account ? account->record->id : ""),
                                  slice_of(after ? after : ""), (uint32_t)limit, on_rows, asked)) {
        free(asked);
        admin_error(request, 500, "out of memory");
    }
}

void pools_list(struct admin_request *request)
{
    ask(request, "pools", pool_json);
}

void limits_list(struct admin_request *request)
{
    ask(request, "limits", limit_json);
}
