#include "ctl/table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "ctl/safe.h"

#define GAP 2 /* blanks between columns */

struct cell {
    char *text; /* safe */
    enum colour colour;
};

struct table {
    FILE *out;
    const struct table_column *columns;
    size_t count;
    unsigned width;
    bool colours;
    bool titled; /* titles are printed, widths are fixed */
    size_t widths[TABLE_COLUMNS_MAX];
    bool hidden[TABLE_COLUMNS_MAX];
    size_t at;          /* columns of the line that are used */
    struct cell *cells; /* TABLE_ROWS * count */
    size_t used;
};

struct table *table_new(FILE *out, const struct table_column *columns, size_t count, unsigned width,
                        bool colours)
{
    struct table *table = calloc(1, sizeof(*table));

    if (!table)
        return NULL;
    *table = (struct table){
        .out = out, .columns = columns, .count = count, .width = width, .colours = colours};
    table->cells = calloc(TABLE_ROWS * count, sizeof(*table->cells));
    if (!table->cells) {
        free(table);
        return NULL;
    }
    for (size_t i = 0; i < count; i++)
        table->widths[i] = strlen(columns[i].title);
    return table;
}

struct table *table_start(const struct table_column *columns, size_t count)
{
    return table_new(stdout, columns, count, out_width(STDOUT_FILENO), out_colours(STDOUT_FILENO));
}

static size_t total_of(const struct table *table)
{
    size_t total = 0;

    for (size_t i = 0; i < table->count; i++) {
        if (!table->hidden[i])
            total += table->widths[i] + (total ? GAP : 0);
    }
    return total;
}

/* The widest column that may be narrower, or `count`. */
static size_t widest(const struct table *table)
{
    size_t found = table->count;

    for (size_t i = 0; i < table->count; i++) {
        if (table->columns[i].shrink && table->widths[i] > table->columns[i].shrink &&
            (found == table->count || table->widths[i] > table->widths[found]))
            found = i;
    }
    return found;
}

static bool hide_one(struct table *table)
{
    for (size_t i = table->count; i > 0; i--) {
        if (table->columns[i - 1].spare && !table->hidden[i - 1])
            return table->hidden[i - 1] = true;
    }
    return false;
}

static void fix_widths(struct table *table)
{
    size_t column;

    for (size_t i = 0; i < table->used; i++) {
        size_t width = safe_width(slice_of(table->cells[i].text));

        if (width > table->widths[i % table->count])
            table->widths[i % table->count] = width;
    }
    while (table->width && total_of(table) > table->width) {
        column = widest(table);
        if (column < table->count)
            table->widths[column]--;
        else if (!hide_one(table))
            break;
    }
}

static void put_blanks(struct table *table, size_t count)
{
    table->at += count;
    while (count--)
        fputc(' ', table->out);
}

static void end_line(struct table *table)
{
    fputc('\n', table->out);
    table->at = 0;
}

static size_t room_after(const struct table *table)
{
    if (!table->width)
        return SIZE_MAX;
    return table->at < table->width ? table->width - table->at : 0;
}

/* What the column has, or what is left of a line that is too short for it. */
static size_t room_for(const struct table *table, size_t column)
{
    size_t left = room_after(table);

    return left < table->widths[column] ? left : table->widths[column];
}

static bool is_last(const struct table *table, size_t column)
{
    while (++column < table->count) {
        if (!table->hidden[column])
            return false;
    }
    return true;
}

/* Without a terminal nothing is cut; a cell that is too wide moves the rest of
 * its line. */
static void put_cell(struct table *table, size_t column, struct slice text, enum colour colour)
{
    size_t room = room_for(table, column), width = safe_width(text), blanks;
    bool right = table->columns[column].right, cut = table->width && width > room;

    if (table->hidden[column])
        return;
    if (cut) {
        text = safe_cut(text, room ? room - 1 : 0);
        width = safe_width(text) + (room > 0);
    }
    blanks = width < room ? room - width : 0;
    put_blanks(table, right ? blanks : 0);
    fprintf(table->out, "%s%.*s%s%s", out_begin(table->colours, colour), (int)text.len, text.ptr,
            cut && room ? "~" : "", out_end(table->colours, colour));
    table->at += width;
    if (is_last(table, column))
        return;
    put_blanks(table, right ? 0 : blanks);
    put_blanks(table, room_after(table) < GAP ? room_after(table) : GAP);
}

static void put_titles(struct table *table)
{
    for (size_t i = 0; i < table->count; i++)
        put_cell(table, i, slice_of(table->columns[i].title), BOLD);
    end_line(table);
}

static void flush_rows(struct table *table)
{
    if (!table->titled) {
        fix_widths(table);
        put_titles(table);
        table->titled = true;
    }
    for (size_t i = 0; i < table->used; i++) {
        put_cell(table, i % table->count, slice_of(table->cells[i].text), table->cells[i].colour);
        free(table->cells[i].text);
        if ((i + 1) % table->count == 0)
            end_line(table);
    }
    table->used = 0;
}

void table_cell(struct table *table, const char *text, enum colour colour)
{
    struct cell cell = {NULL, colour};

    if (!table)
        return;
    cell.text = safe_text(slice_of(text && *text ? text : "-"));
    if (!cell.text)
        cell.text = strdup("");
    if (!cell.text)
        abort(); /* not a single octet is left */
    table->cells[table->used++] = cell;
    if (table->used == TABLE_ROWS * table->count)
        flush_rows(table);
}

void table_count(struct table *table, long long value)
{
    char text[48];

    out_count(text, sizeof(text), value);
    table_cell(table, text, PLAIN);
}

void table_cellf(struct table *table, const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    table_cell(table, text, PLAIN);
}

void table_end(struct table *table)
{
    if (!table)
        return;
    if (table->used)
        flush_rows(table);
    free(table->cells);
    free(table);
}
