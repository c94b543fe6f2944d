/* How token endpoints fail, by name: the knob token_error and the checks of the
 * grants use these. */
#pragma once

#include <jansson.h>

#include "sim/http_server.h"
#include "sim/profile.h"

struct token_error_row {
    const char *name;
    unsigned status;
    const char *error; /* NULL: `description` is the body as it is */
    const char *description;
    const char *type;    /* of a body that is no JSON object */
    const char *subtype; /* Google's error_subtype, Microsoft's suberror, or NULL */
};

/* By Google or both; by Microsoft. Numbers may be asked for under any profile.
 * Each ends with a NULL name; token_error_rows.c. */
extern const struct token_error_row token_errors_common[], token_errors_microsoft[];

/* What is wrong with a request. */
struct token_fault {
    const char *name;
    char detail[160]; /* the parameter, or the value, in particular; or "" */
};

/* Returns false, so that a check can end in `return token_fault(...)`. */
bool token_fault(struct token_fault *fault, const char *name, const char *detail, ...)
    __attribute__((format(printf, 3, 4)));

/* Makes the answer. False when there is no error of this name. */
bool token_error(struct sim *sim, const struct token_fault *fault, const struct profile *profile,
                 struct http_reply *reply);
bool token_error_known(const char *name);
json_t *token_error_names(void);
