/* How the authorization endpoints fail, by name: some errors go back to the
 * application, others only the user sees, on a page. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "sim/profile.h"

struct authorize_error {
    const char *name;
    unsigned page;     /* status of the page; 0: a redirect to the application */
    const char *error; /* of the redirect */
    const char *text;  /* error_description, or what the page says */
};

/* In the profile's own words where it has some; NULL: there is none. */
const struct authorize_error *authorize_error_find(const char *name, const struct profile *profile);
bool authorize_error_known(const char *name);
json_t *authorize_error_names(void);
