/* How token endpoints fail, by name: the knob token_error and the checks of
 * http_token.c use these. */
#pragma once

#include <jansson.h>

#include "sim/http_server.h"
#include "sim/profile.h"

/* False when there is no error of this name. */
bool token_error(const char *name, const struct profile *profile, struct http_reply *reply);
bool token_error_known(const char *name);
json_t *token_error_names(void);
