#include "broker/store/problems.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void problems_clear(struct problems *problems)
{
    for (size_t i = 0; i < problems->count; i++)
        free(problems->items[i].text);
    free(problems->items);
    *problems = (struct problems){NULL, 0, 0, 0, 0};
}

static bool reserve(struct problems *problems)
{
    size_t cap = problems->cap ? problems->cap * 2 : 8;
    struct problem *items;

    if (problems->count < problems->cap)
        return true;
    items = reallocarray(problems->items, cap, sizeof(*items));
    if (!items)
        return false;
    problems->items = items;
    problems->cap = cap;
    return true;
}

void problems_add(struct problems *problems, bool skipped, const char *format, ...)
{
    va_list args;
    char *text = NULL;

    problems->skipped += skipped;
    if (problems->count >= PROBLEMS_MAX || !reserve(problems)) {
        problems->more++;
        return;
    }
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    va_end(args);
    if (text)
        problems->items[problems->count++] = (struct problem){skipped, text};
    else
        problems->more++;
}
