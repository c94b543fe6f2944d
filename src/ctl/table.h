/* Aligned columns, cut to the terminal's width.
 *
 * Rows are held back until TABLE_ROWS of them tell how wide the columns must
 * be; later rows keep to those widths, so that a table of any length takes
 * bounded memory. Cells may hold anything; see safe.h. */
#pragma once

#include <stdio.h>

#include "ctl/out.h"

#define TABLE_COLUMNS_MAX 16
#define TABLE_ROWS 1000

struct table_column {
    const char *title;
    bool right;      /* numbers */
    unsigned shrink; /* least width when there is not enough room; 0: never cut */
    bool spare;      /* left out when there still is not enough, the last one first */
};

struct table;

/* `width`: columns of the terminal, 0 for no limit. `columns` must stay valid.
 * NULL when memory is out; the other functions then do nothing. */
struct table *table_new(FILE *out, const struct table_column *columns, size_t count, unsigned width,
                        bool colours);
/* On standard output, as it is. */
struct table *table_start(const struct table_column *columns, size_t count);
/* The next cell of the row; after the last one the next row begins. NULL and ""
 * are shown as "-". */
void table_cell(struct table *table, const char *text, enum colour colour);
void table_count(struct table *table, long long value);
void table_cellf(struct table *table, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Prints what is held back (the titles too, unless there was no row at all) and
 * frees it. */
void table_end(struct table *table);
