#include <stdio.h>
#include <string.h>

#include "base/wipe.h"
#include "ctl/out.h"
#include "ctl/simple.h"
#include "ctl/table.h"

static const struct table_column columns[] = {
    {"OPTION", false, 24}, {"VALUE", false, 12}, {"FROM", false, 0}, {"RELOAD", false, 0}};

static bool is_wanted(const struct args *args, const json_t *option)
{
    const char *name = get_text(option, "name");

    if (args_has(args, "changed") && strcmp(get_text(option, "origin"), "default") == 0)
        return false;
    for (int i = 0; i < args->count; i++) {
        if (strncmp(name, args->words[i], strlen(args->words[i])) == 0)
            return true;
    }
    return args->count == 0;
}

/* "file:12" */
static void add_origin(struct table *table, const json_t *option)
{
    const char *origin = get_text(option, "origin");

    if (json_is_integer(json_object_get(option, "line")))
        table_cellf(table, "%.40s:%lld", origin, get_number(option, "line"));
    else
        table_cell(table, origin, PLAIN);
}

static void add_value(struct table *table, const json_t *value, enum colour colour)
{
    char *text;

    if (json_is_string(value)) {
        table_cell(table, json_string_value(value), colour);
        return;
    }
    text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    table_cell(table, text, colour);
    wipe_free(text);
}

static void print(const struct args *args, const json_t *answer)
{
    const json_t *options = json_object_get(answer, "options"), *option;
    struct table *table = table_start(columns, sizeof(columns) / sizeof(*columns));
    const char *file = get_text(answer, "file");
    size_t index;

    json_array_foreach(options, index, option)
    {
        bool changed = strcmp(get_text(option, "origin"), "default") != 0;

        if (!is_wanted(args, option))
            continue;
        table_cell(table, get_text(option, "name"), PLAIN);
        add_value(table, json_object_get(option, "value"), changed ? BOLD : PLAIN);
        add_origin(table, option);
        table_cell(table, get_bool(option, "reloadable") ? "yes" : "restart", PLAIN);
    }
    table_end(table);
    out_field("file", *file ? file : "none", PLAIN);
    out_field("account store", get_text(answer, "store"), PLAIN);
}

int cmd_config(const struct args *args)
{
    return simple_call(args, "GET", "/admin/config", NULL, print);
}
