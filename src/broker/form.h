/* Building application/x-www-form-urlencoded text in memory that is wiped. */
#pragma once

#include "base/str.h"

struct form {
    char *at; /* NUL-terminated once something was added */
    size_t len, cap;
    bool failed; /* memory is out */
};

void form_init(struct form *form);
void form_clear(struct form *form); /* wipes */
/* "&key=value", both encoded; without the '&' when it is the first. */
void form_add(struct form *form, const char *key, struct slice value);
/* Text that is encoded already; "" adds nothing. */
void form_add_encoded(struct form *form, const char *pairs);

/* The other way: calls once per pair, decoded, both NUL-terminated as well. False: memory is
 * out, and nobody was called. */
bool form_each(const char *pairs, void (*each)(void *arg, const char *key, struct slice value),
               void *arg);
