#include "broker/admin/filter.h"

#include <stdio.h>

#include "broker/admin/request.h"

json_t *filter_cursor(uint64_t serial)
{
    char text[24];

    snprintf(text, sizeof(text), "%llu", (unsigned long long)serial);
    return json_string(text);
}

static bool read_state(struct filter *filter, struct admin_request *request, const char *name)
{
    char names[160];
    struct text text;

    filter->state = -1;
    if (!name)
        return true;
    text_init(&text, names, sizeof(names));
    for (int i = 0; account_state_names[i]; i++) {
        if (slice_equal_nocase(slice_of(account_state_names[i]), slice_of(name))) {
            filter->state = i;
            return true;
        }
        text_addf(&text, "%s%s", i ? ", " : "", account_state_names[i]);
    }
    admin_error_field(request, 400, "state", "\"state\": \"%.40s\" must be one of %s", name, names);
    return false;
}

bool filter_read(struct filter *filter, struct admin_request *request, uint64_t limit_default,
                 uint64_t limit_max)
{
    *filter = (struct filter){.provider = admin_query(request, "provider"),
                              .domain = admin_query(request, "domain"),
                              .q = admin_query(request, "q"),
                              .email = admin_query(request, "email")};
    filter->any = admin_query(request, "state") || filter->provider || filter->domain ||
                  filter->q || filter->email || admin_query(request, "limit") ||
                  admin_query(request, "after");
    return read_state(filter, request, admin_query(request, "state")) &&
           admin_query_number(request, "limit", 1, limit_max, limit_default, &filter->limit) &&
           admin_query_number(request, "after", 0, UINT64_MAX, 0, &filter->after);
}

static bool read_text(struct admin_request *request, const json_t *body, const char *key,
                      const char **out)
{
    const json_t *value = json_object_get(body, key);

    *out = json_string_value(value);
    if (value && !json_is_null(value) && !*out) {
        admin_error_field(request, 400, key, "\"%s\" must be a text in quotes", key);
        return false;
    }
    return true;
}

bool filter_read_json(struct filter *filter, struct admin_request *request, const json_t *body)
{
    const char *state;

    *filter = (struct filter){.state = -1};
    if (!read_text(request, body, "state", &state) || !read_state(filter, request, state) ||
        !read_text(request, body, "provider", &filter->provider) ||
        !read_text(request, body, "domain", &filter->domain) ||
        !read_text(request, body, "q", &filter->q) ||
        !read_text(request, body, "email", &filter->email))
        return false;
    filter->any = state || filter->provider || filter->domain || filter->q || filter->email;
    return true;
}

static bool has_domain(const struct account_record *record, const char *domain)
{
    const char *at = strrchr(record->login, '@');

    return at && slice_equal_nocase(slice_of(at + 1), slice_of(domain));
}

static bool holds(const char *text, const char *part)
{
    return slice_find_nocase(slice_of(text), slice_of(part)) >= 0;
}

bool filter_matches(const struct filter *filter, const struct account *account)
{
    const struct account_record *record = account->record;

    if (filter->state >= 0 && (int)account_state(account) != filter->state)
        return false;
    if (filter->provider &&
        !slice_equal_nocase(slice_of(record->provider), slice_of(filter->provider)))
        return false;
    if (filter->domain && !has_domain(record, filter->domain))
        return false;
    if (filter->email && !slice_equal_nocase(slice_of(record->login), slice_of(filter->email)) &&
        strcmp(record->id, filter->email) != 0)
        return false;
    return !filter->q || holds(record->login, filter->q) || holds(record->id, filter->q);
}
