#include "ctl/listing.h"
#include "ctl/out.h"

static const struct table_column columns[] = {
    {"EMAIL", false, 16},    {"CONNECTIONS", true, 0}, {"CONCURRENT", true, 0},
    {"LOGINS/MIN", true, 0}, {"SENT/MIN", true, 0},    {"SENT/HOUR", true, 0},
    {"SENT/DAY", true, 0},   {"RCPTS/DAY", true, 0},
};

/* "3/10", red when there is no more room. */
static void add_limit(struct table *table, const json_t *item, const char *name)
{
    const json_t *one = json_object_get(item, name);
    long long used = get_number(one, "used"), limit = get_number(one, "limit");
    char text[64];

    if (!json_is_object(one)) {
        table_cell(table, NULL, PLAIN);
        return;
    }
    if (limit > 0)
        snprintf(text, sizeof(text), "%lld/%lld", used, limit);
    else
        snprintf(text, sizeof(text), "-"); /* there is no limit */
    table_cell(table, text, limit > 0 && used >= limit ? BAD : PLAIN);
}

static void add_row(struct table *table, const json_t *item, long long now)
{
    (void)now;
    table_cell(table, get_text(item, "email"), PLAIN);
    add_limit(table, item, "connections");
    add_limit(table, item, "concurrent");
    add_limit(table, item, "logins_per_minute");
    add_limit(table, item, "messages_per_minute");
    add_limit(table, item, "messages_per_hour");
    add_limit(table, item, "messages_per_day");
    add_limit(table, item, "recipients_per_day");
}

int cmd_limits(const struct args *args)
{
    static const struct listing listing = {"/admin/limits", "limits",
                                           columns,         sizeof(columns) / sizeof(*columns),
                                           add_row,         "no account has used anything yet"};

    return listing_print(&listing, args);
}
