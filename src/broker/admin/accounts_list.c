/* GET /admin/accounts and /admin/tokens: all of them as a stream, or a page of
 * those that a filter lets through.
 */
#include <stdlib.h>

#include "broker/admin/account_json.h"
#include "broker/admin/accounts.h"
#include "broker/admin/filter.h"
#include "broker/broker.h"
#include "broker/wipe.h"

#define PAGE_MAX 10000
#define PAGE_DEFAULT 1000

typedef json_t *render(const struct account *account);

/* --- all of them ------------------------------------------------------------ */

struct listing {
    struct registry_walk walk;
    render *render;
    bool first;
};

static bool write_text(struct admin_request *request, const char *text)
{
    return admin_stream_write(request, slice_of(text));
}

/* False: the client has enough for now. */
static bool write_item(struct admin_request *request, struct listing *listing,
                       const struct account *account)
{
    json_t *json = listing->render(account);
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    bool go_on = true;

    if (text) {
        if (!listing->first)
            write_text(request, ",\n");
        listing->first = false;
        go_on = write_text(request, text);
    }
    wipe_free(text);
    json_decref(json);
    return go_on;
}

static void end_listing(struct admin_request *request, struct listing *listing)
{
    registry_walk_end(&listing->walk);
    free(listing);
    admin_stream_end(request);
}

static void on_want(struct admin_request *request, void *owner)
{
    struct listing *listing = owner;
    struct account *account;

    while (!admin_gone(request)) {
        account = registry_walk_next(&listing->walk);
        if (!account) {
            write_text(request, "]}\n");
            break;
        }
        if (!write_item(request, listing, account))
            return;
    }
    end_listing(request, listing);
}

static void list_all(struct admin_request *request, render *item, const char *name)
{
    struct registry *registry = &admin_broker(request)->registry;
    struct listing *listing = calloc(1, sizeof(*listing));
    char head[128];
    struct text text;

    if (!listing) {
        admin_error(request, 500, "out of memory");
        return;
    }
    listing->render = item;
    listing->first = true;
    registry_walk_begin(&listing->walk, registry, 0);
    text_init(&text, head, sizeof(head));
    text_addf(&text, "{\"success\": true, \"total_accounts\": %zu, \"%s\": [",
              registry_count(registry), name);
    admin_stream_begin(request, 200, "application/json", on_want, listing);
    admin_stream_write(request, (struct slice){head, text.len});
}

/* --- a page ----------------------------------------------------------------- */

static void reply_page(struct admin_request *request, const struct filter *filter, render *item,
                       const char *name)
{
    struct registry *registry = &admin_broker(request)->registry;
    json_t *body, *page = json_array();
    size_t matching = 0;
    uint64_t last = 0;
    bool more = false;
    struct registry_walk walk;
    struct account *account;

    registry_walk_begin(&walk, registry, 0);
    while ((account = registry_walk_next(&walk))) {
        if (!filter_matches(filter, account))
            continue;
        matching++;
        if (account->serial <= filter->after)
            continue;
        if (json_array_size(page) < filter->limit) {
            json_array_append_new(page, item(account));
            last = account->serial;
        } else {
            more = true;
        }
    }
    registry_walk_end(&walk);
    body = json_pack("{s:b, s:I, s:I, s:o}", "success", 1, "total_accounts",
                     (json_int_t)registry_count(registry), "matching", (json_int_t)matching, name,
                     page);
    json_object_set_new(body, "next", more ? filter_cursor(last) : json_null());
    admin_reply(request, 200, body);
}

static void list(struct admin_request *request, render *item, const char *name)
{
    struct filter filter;

    if (!filter_read(&filter, request, PAGE_DEFAULT, PAGE_MAX))
        return;
    if (filter.any)
        reply_page(request, &filter, item, name);
    else
        list_all(request, item, name);
}

void accounts_list(struct admin_request *request)
{
    list(request, account_item_json, "accounts");
}

void tokens_list(struct admin_request *request)
{
    list(request, account_token_json, "tokens");
}
