#include "ctl/listing.h"

#include <stdio.h>
#include <time.h>

#include "ctl/out.h"

struct printing {
    const struct listing *listing;
    struct table *table;
    long long now;
    size_t rows;
};

static bool add_row(void *owner, const json_t *item)
{
    struct printing *printing = owner;

    printing->listing->row(printing->table, item, printing->now);
    printing->rows++;
    return true;
}

static int print_table(const struct listing *listing, struct api *api, const char *path)
{
    struct printing printing = {listing, table_start(listing->columns, listing->count),
                                (long long)time(NULL), 0};
    int rc = pages_walk(api, path, listing->list, add_row, &printing, NULL);

    table_end(printing.table);
    if (rc == CTL_OK && !printing.rows)
        out_line(listing->none);
    return rc == CTL_OK ? out_flush() : rc;
}

int listing_print(const struct listing *listing, const struct args *args)
{
    char memory[API_PATH_MAX];
    struct text path;
    struct api *api;
    int rc = api_open(&api, args);

    if (rc != CTL_OK)
        return rc;
    text_init(&path, memory, sizeof(memory));
    text_add_str(&path, listing->path);
    path_query(&path, "email", args_word(args, 0));
    rc = args_has(args, "json") ? pages_print(api, path.at, listing->list)
                                : print_table(listing, api, path.at);
    api_close(api);
    return rc;
}
