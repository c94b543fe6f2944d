/* GET /admin/accounts/export: raw records, a line each, page by page from the store. */
#include <stdlib.h>

#include "base/log.h"
#include "broker/admin/accounts.h"
#include "broker/broker.h"
#include "broker/store/record_fields.h"

#define PAGE 200

struct export
{
    struct store_page page;
    struct broker *broker;
    struct admin_request *request;
    bool secrets;
    bool paging; /* the store has been asked */
    bool over;
};

static void end_export(struct export *export)
{
    admin_stream_end(export->request);
    free(export);
}

/* Notes and keys that nobody knows may hold anything. */
static void drop_secrets(json_t *record)
{
    const char *key;
    json_t *value;
    void *next;

    json_object_foreach_safe(record, next, key, value)
    {
        if (!record_key_is_public(key))
            json_object_del(record, key);
    }
}

static void on_page(struct store_page *page)
{
    struct export *export = container_of(page, struct export, page);
    json_t *record;
    size_t i;

    export->paging = false;
    if (!page->records) {
        /* The line is what a reader sees of it: the status is long gone. */
        admin_stream_json(export->request,
                          json_pack("{s:b, s:s}", "success", 0, "error", page->why.text));
        end_export(export);
        return;
    }
    json_array_foreach(page->records, i, record)
    {
        if (!export->secrets)
            drop_secrets(record);
        admin_stream_json(export->request, json_incref(record));
    }
    json_decref(page->records);
    page->records = NULL;
    export->over = !page->more;
    if (export->over || admin_gone(export->request))
        end_export(export);
}

static void on_want(struct admin_request *request, void *owner)
{
    struct export *export = owner;

    if (export->paging)
        return;
    if (admin_gone(request)) {
        end_export(export);
        return;
    }
    export->paging = true;
    export->broker->store->ops->page(export->broker->store, &export->page);
}

void accounts_export(struct admin_request *request)
{
    struct export *export;
    bool secrets;

    if (!admin_query_flag(request, "secrets", false, &secrets))
        return;
    if (secrets && !admin_may(request, ADMIN_OWNER)) {
        admin_error(request, 403,
                    "secrets are given out on the unix socket to root and to bearerd's own user, "
                    "and to a token with the scope write; see \"bearerctl api-token\"");
        return;
    }
    export = calloc(1, sizeof(*export));
    if (!export) {
        admin_error(request, 500, "out of memory");
        return;
    }
    if (secrets)
        log_event(LOG_WARN, "secrets_exported", log_s("by", admin_who(request)));
    export->broker = admin_broker(request);
    export->request = request;
    export->secrets = secrets;
    export->page.limit = PAGE;
    export->page.done = on_page;
    admin_stream_begin(request, 200, "application/x-ndjson", on_want, export);
}
