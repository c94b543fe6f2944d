#include "ctl/listing.h"
#include "ctl/out.h"

static const struct table_column columns[] = {
    {"EMAIL", false, 16, false},  {"BUSY", true, 0, false},      {"IDLE", true, 0, false},
    {"DIAL", true, 0, true},      {"MAX", true, 0, true},        {"RUN", true, 0, false},
    {"WAIT", true, 0, false},     {"DELIVERED", true, 0, false}, {"REJECTED", true, 0, false},
    {"DEFERRED", true, 0, false}, {"UNKNOWN", true, 0, true},    {"LAST", false, 0, true},
};

static void add_row(struct table *table, const json_t *pool, long long now)
{
    const json_t *messages = json_object_get(pool, "messages");
    char last[32];

    out_since(last, sizeof(last), get_text(pool, "last_delivery"), now);
    table_cell(table, get_text(pool, "email"), PLAIN);
    table_count(table, get_number(pool, "busy"));
    table_count(table, get_number(pool, "idle"));
    table_count(table, get_number(pool, "dialing"));
    table_count(table, get_number(pool, "max_connections"));
    table_count(table, get_number(pool, "running"));
    table_count(table, get_number(pool, "waiting"));
    table_count(table, get_number(messages, "delivered"));
    table_count(table, get_number(messages, "rejected"));
    table_count(table, get_number(messages, "deferred"));
    table_count(table, get_number(messages, "unknown"));
    table_cell(table, last, PLAIN);
}

int cmd_pools(const struct args *args)
{
    static const struct listing listing = {"/admin/pools", "pools",
                                           columns,        sizeof(columns) / sizeof(*columns),
                                           add_row,        "no account has connections"};

    return listing_print(&listing, args);
}
