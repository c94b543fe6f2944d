/* What a request names: its path and its query, from the octets on the request
 * line to values. Pure. */
#pragma once

#include <stdbool.h>

#include "base/str.h"

#define TARGET_PARAMETERS_MAX 32

struct target_parameter {
    char *name, *value; /* decoded, of the target's memory */
};

struct target {
    char *memory;
    char *path; /* still encoded: an encoded '/' is no separator */
    struct target_parameter parameters[TARGET_PARAMETERS_MAX];
    size_t count;
};

/* "/path?name=value&name=value", "http://host/path" or "*". False and a reason
 * when it cannot be read; the path is known even then, unless memory is out. */
bool target_parse(struct target *target, const char *text, struct reason *why);
void target_clear(struct target *target); /* wipes */
/* The first of that name, or NULL. */
const char *target_query(const struct target *target, const char *name);

/* In place. False: an incomplete escape, or an encoded NUL. '+' stands for
 * itself: it is more common in mailboxes than blanks are. */
bool percent_decode(char *text);
