/* Files that the operator names; "-" is standard input. */
#pragma once

#include <jansson.h>

#include "base/str.h"

/* A descriptor, or -1 after saying why. */
int input_open(const char *path);
void input_close(int fd);
/* All of it, at most 1 MiB, terminated; the caller wipes it. Returns an exit
 * code. */
int input_text(const char *path, char **out, size_t *len);
/* The one record in a file of any shape that `import` reads. */
int input_object(const char *path, json_t **out);
