#include <stdio.h>

#include "ctl/out.h"
#include "ctl/simple.h"
#include "ctl/table.h"

static const struct table_column columns[] = {
    {"ADDRESS", false, 0}, {"USABLE", false, 0}, {"ACCOUNTS", true, 0}, {"WHY", false, 10}};

static void add_rows(struct table *table, const json_t *list, bool missing)
{
    const json_t *one;
    size_t index;

    json_array_foreach(list, index, one)
    {
        bool usable = !missing && get_bool(one, "usable");

        table_cell(table, get_text(one, "address"), PLAIN);
        table_cell(table, usable ? "yes" : "no", usable ? GOOD : BAD);
        table_count(table, get_number(one, "accounts"));
        table_cell(table, missing ? "this machine does not have it" : get_text(one, "why"), PLAIN);
    }
}

static void print(const struct args *args, const json_t *answer)
{
    struct table *table = table_start(columns, sizeof(columns) / sizeof(*columns));

    (void)args;
    add_rows(table, json_object_get(answer, "addresses"), false);
    add_rows(table, json_object_get(answer, "missing"), true);
    table_end(table);
    if (!json_array_size(json_object_get(answer, "addresses")))
        puts("bearerd knows no address of this machine");
}

int cmd_addresses(const struct args *args)
{
    return simple_call(args, "GET", "/admin/addresses", NULL, print);
}
