/* Sentences for the operator. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "conf/options.h"

void conf_notes_clear(struct conf_notes *notes)
{
    for (size_t i = 0; i < notes->count; i++)
        free(notes->lines[i]);
    free(notes->lines);
    *notes = (struct conf_notes){NULL, 0, 0};
}

/* Takes over `line`, which may be NULL. A lost note stops nothing. */
static void add_note(struct conf_notes *notes, char *line)
{
    if (notes && line && notes->count == notes->cap) {
        size_t cap = notes->cap ? 2 * notes->cap : 16;
        char **more = realloc(notes->lines, cap * sizeof(*more));

        if (more) {
            notes->lines = more;
            notes->cap = cap;
        }
    }
    if (notes && line && notes->count < notes->cap)
        notes->lines[notes->count++] = line;
    else
        free(line);
}

void conf_note(struct conf_notes *notes, const char *format, ...)
{
    char *line = NULL;
    va_list args;

    va_start(args, format);
    if (vasprintf(&line, format, args) < 0)
        line = NULL;
    va_end(args);
    add_note(notes, line);
}
