/* Commands of one request. */
#pragma once

#include "ctl/api.h"

/* Prints an answer for people. */
typedef void simple_print(const struct args *args, const json_t *answer);

/* Opens, asks, prints (with --json the answer itself), closes. `body` may be
 * NULL; it is released. `print` NULL: the answer's message. */
int simple_call(const struct args *args, const char *method, const char *path, json_t *body,
                simple_print *print);
