/* A line on the terminal that tells how far a long command is; nothing where
 * standard error is no terminal. */
#pragma once

#include <stdio.h>

#include "base/str.h"

struct progress {
    FILE *out;      /* NULL: shows nothing */
    unsigned width; /* columns */
    const char *what;
    uint64_t done, failed, total; /* total 0: unknown */
    uint64_t started_ms, shown_ms;
    bool shown; /* the line is on the terminal */
};

/* Writes the line without its end, at most `width` columns. */
void progress_format(char *out, size_t cap, const struct progress *progress, uint64_t now_ms);

void progress_start(struct progress *progress, const char *what, uint64_t total);
/* Ten times a second at most, so it may be called for each record. */
void progress_show(struct progress *progress);
/* Takes the line away, so that something else can be printed. */
void progress_hide(struct progress *progress);
