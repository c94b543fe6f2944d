/* Who sends: names with their passwords or access tokens. */
#pragma once

#include <stddef.h>

#include "load/options.h"

struct user {
    const char *name, *secret;
};

struct users {
    struct user *list;
    size_t count;
    char *text; /* what the list points into */
};

/* From the file or the pattern; without either one user that never logs in. */
bool users_load(struct users *users, const struct load_options *options, struct reason *why);
void users_clear(struct users *users);
