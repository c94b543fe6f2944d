#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ctl/pages.h"
#include "ctl/safe.h"
#include "ctl/table.h"

#define STATES_MAX 16

static const struct table_column columns[] = {
    {"EMAIL", false, 16}, {"PROVIDER", false, 0},       {"STATE", false, 0}, {"FOR", false, 0},
    {"UNTIL", false, 0},  {"PASSWORD", false, 0, true}, {"WHY", false, 10},
};

struct listing {
    struct table *table;
    long long now, rows;
    struct {
        char name[24];
        long long count;
    } states[STATES_MAX]; /* in the order of their first account */
};

static void count_state(struct listing *listing, const char *state)
{
    for (size_t i = 0; i < STATES_MAX; i++) {
        if (!listing->states[i].count)
            slice_copy(slice_of(state), listing->states[i].name, sizeof(listing->states[i].name));
        if (strncmp(listing->states[i].name, state, sizeof(listing->states[i].name) - 1) == 0) {
            listing->states[i].count++;
            return;
        }
    }
}

static bool add_account(void *owner, const json_t *item)
{
    struct listing *listing = owner;
    const char *state = get_text(item, "state");
    char since[32], until[32];

    out_since(since, sizeof(since), get_text(item, "state_since"), listing->now);
    out_until(until, sizeof(until), get_text(item, "state_until"), listing->now);
    table_cell(listing->table, get_text(item, "email"), PLAIN);
    table_cell(listing->table, get_text(item, "provider"), PLAIN);
    table_cell(listing->table, state, out_state_colour(state));
    table_cell(listing->table, since, PLAIN);
    table_cell(listing->table, until, PLAIN);
    table_cell(listing->table, get_bool(item, "has_password") ? "yes" : "", PLAIN);
    table_cell(listing->table, get_text(item, "state_text"), PLAIN);
    count_state(listing, state);
    listing->rows++;
    return true;
}

static void print_counts(const struct listing *listing, const json_t *first)
{
    long long total = get_number(first, "total_accounts");
    char count[48];

    out_count(count, sizeof(count), listing->rows);
    printf("%s", count);
    if (total != listing->rows) {
        out_count(count, sizeof(count), total);
        printf(" of %s", count);
    }
    printf(" account%s", total == 1 ? "" : "s");
    for (size_t i = 0; i < STATES_MAX && listing->states[i].count; i++) {
        out_count(count, sizeof(count), listing->states[i].count);
        printf("%s %s ", i ? "," : ":", count);
        safe_put(stdout, listing->states[i].name);
    }
    putchar('\n');
}

static int print_table(struct api *api, const char *path)
{
    struct listing listing = {
        .table = table_start(columns, sizeof(columns) / sizeof(*columns)),
        .now = (long long)time(NULL),
    };
    json_t *first = NULL;
    int rc = pages_walk(api, path, "accounts", add_account, &listing, &first);

    table_end(listing.table);
    if (rc == CTL_OK)
        print_counts(&listing, first);
    json_decref(first);
    return rc == CTL_OK ? out_flush() : rc;
}

int cmd_accounts_list(const struct args *args)
{
    char memory[API_PATH_MAX];
    struct text path;
    struct api *api;
    int rc = api_open(&api, args);

    if (rc != CTL_OK)
        return rc;
    text_init(&path, memory, sizeof(memory));
    text_add_str(&path, "/admin/accounts");
    path_query(&path, "state", args_value(args, "state"));
    path_query(&path, "provider", args_value(args, "provider"));
    path_query(&path, "domain", args_value(args, "domain"));
    path_query(&path, "q", args_word(args, 0));
    rc = args_has(args, "json") ? pages_print(api, path.at, "accounts") : print_table(api, path.at);
    api_close(api);
    return rc;
}
