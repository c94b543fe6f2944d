/* A command that prints one of the API's long lists as a table or as JSON. */
#pragma once

#include "ctl/pages.h"
#include "ctl/table.h"

/* Adds one row for an item. */
typedef void listing_row(struct table *table, const json_t *item, long long now);

struct listing {
    const char *path; /* "/admin/pools" */
    const char *list; /* member of the answer */
    const struct table_column *columns;
    size_t count;
    listing_row *row;
    const char *none; /* what to say when there is no item */
};

/* With an ADDRESS as argument, of that account only. */
int listing_print(const struct listing *listing, const struct args *args);
