/* GET /admin/accounts and /admin/tokens: all of them, or a page of those that a filter
 * lets through. Both are streams, some accounts a turn, so that the loop goes on with
 * its other work; what is counted on the way comes at the end.
 */
#include <stdlib.h>

#include "broker/admin/account_json.h"
#include "broker/admin/accounts.h"
#include "broker/admin/filter.h"
#include "broker/broker.h"
#include "broker/wipe.h"

#define PAGE_MAX 10000
#define PAGE_DEFAULT 1000
#define LOOKS 1000 /* accounts in one turn */

typedef json_t *render(const struct account *account);

struct listing {
    struct registry_walk walk;
    struct filter filter; /* its texts are the request's */
    render *render;
    size_t shown, matching;
    uint64_t last; /* serial of the last one that is shown */
    bool paged, more;
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
        if (listing->shown++)
            write_text(request, ",\n");
        go_on = write_text(request, text);
    }
    listing->last = account->serial;
    wipe_free(text);
    json_decref(json);
    return go_on;
}

/* False as above. */
static bool take(struct admin_request *request, struct listing *listing,
                 const struct account *account)
{
    const struct filter *filter = &listing->filter;

    if (!listing->paged)
        return write_item(request, listing, account);
    if (!filter_matches(filter, account))
        return true;
    listing->matching++;
    if (account->serial <= filter->after)
        return true;
    if (listing->shown < filter->limit)
        return write_item(request, listing, account);
    listing->more = true;
    return true;
}

static void write_end(struct admin_request *request, const struct listing *listing)
{
    json_t *rest;
    char *text;

    write_text(request, "]");
    if (listing->paged) {
        rest = json_pack("{s:I, s:o}", "matching", (json_int_t)listing->matching, "next",
                         listing->more ? filter_cursor(listing->last) : json_null());
        text = rest ? json_dumps(rest, JSON_COMPACT) : NULL;
        if (text) {
            text[0] = ','; /* the brace's place; its other one ends the whole */
            write_text(request, text);
        }
        wipe_free(text);
        json_decref(rest);
    } else {
        write_text(request, "}");
    }
    write_text(request, "\n");
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

    if (admin_gone(request)) {
        end_listing(request, listing);
        return;
    }
    for (size_t i = 0; i < LOOKS; i++) {
        account = registry_walk_next(&listing->walk);
        if (!account) {
            write_end(request, listing);
            end_listing(request, listing);
            return;
        }
        if (!take(request, listing, account))
            return;
    }
    write_text(request, ""); /* to be asked again */
}

static void begin_listing(struct admin_request *request, struct listing *listing, const char *name)
{
    struct registry *registry = &admin_broker(request)->registry;
    char head[128];
    struct text text;

    registry_walk_begin(&listing->walk, registry, 0);
    text_init(&text, head, sizeof(head));
    text_addf(&text, "{\"success\": true, \"total_accounts\": %zu, \"%s\": [",
              registry_count(registry), name);
    admin_stream_begin(request, 200, "application/json", on_want, listing);
    admin_stream_write(request, (struct slice){head, text.len});
}

static void list(struct admin_request *request, render *item, const char *name)
{
    struct listing *listing = calloc(1, sizeof(*listing));

    if (!listing) {
        admin_error(request, 500, "out of memory");
        return;
    }
    if (!filter_read(&listing->filter, request, PAGE_DEFAULT, PAGE_MAX)) {
        free(listing);
        return;
    }
    listing->paged = listing->filter.any;
    listing->render = item;
    begin_listing(request, listing, name);
}

void accounts_list(struct admin_request *request)
{
    list(request, account_item_json, "accounts");
}

void tokens_list(struct admin_request *request)
{
    list(request, account_token_json, "tokens");
}
