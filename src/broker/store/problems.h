/* What is wrong with the account file, for the operator: collected while the
 * file is read, away from the loop, and told when it is done. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

/* A file of a million bad records must not fill the log. */
#define PROBLEMS_MAX 200

struct problem {
    bool skipped; /* the record does not serve; else a warning */
    char *text;
};

struct problems {
    struct problem *items;
    size_t count, cap;
    size_t more;    /* problems beyond PROBLEMS_MAX */
    size_t skipped; /* records that do not serve */
};

void problems_clear(struct problems *problems);
void problems_add(struct problems *problems, bool skipped, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
