#include "ctl/listing.h"
#include "ctl/out.h"

static const struct table_column columns[] = {
    {"EMAIL", false, 16, false}, {"PHASE", false, 0, false},   {"VALID", false, 0, false},
    {"AGE", false, 0, true},     {"EXPIRES", false, 0, false}, {"NEXT", false, 0, false},
    {"FAILURES", true, 0, true}, {"SAVED", false, 0, false},   {"ERROR", false, 10, false},
};

static void add_row(struct table *table, const json_t *token, long long now)
{
    bool valid = get_bool(token, "valid"), saved = get_bool(token, "refresh_token_saved");
    char age[32] = "", expires[32], refresh[32];

    if (json_is_number(json_object_get(token, "age_seconds")))
        out_duration(age, sizeof(age), get_number(token, "age_seconds"));
    out_until(expires, sizeof(expires), get_text(token, "expires_at"), now);
    out_until(refresh, sizeof(refresh), get_text(token, "next_refresh"), now);
    table_cell(table, get_text(token, "email"), PLAIN);
    table_cell(table, get_text(token, "phase"), PLAIN);
    table_cell(table, valid ? "yes" : "no", valid ? GOOD : WARN);
    table_cell(table, age, PLAIN);
    table_cell(table, expires, PLAIN);
    table_cell(table, refresh, PLAIN);
    table_count(table, get_number(token, "failures"));
    table_cell(table, saved ? "yes" : "NO", saved ? PLAIN : BAD);
    table_cell(table, get_text(token, "error"), PLAIN);
}

int cmd_tokens(const struct args *args)
{
    static const struct listing listing = {"/admin/tokens", "tokens",
                                           columns,         sizeof(columns) / sizeof(*columns),
                                           add_row,         "there are no tokens"};

    return listing_print(&listing, args);
}
