/* Small files in the state directory, and what is written there for others. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/str.h"

struct sim;

bool file_exists(const char *dir, const char *name);
char *file_read(const char *dir, const char *name, struct reason *why); /* malloc'd */
/* Mode 0600, by a temporary file and rename. */
bool file_write(const char *dir, const char *name, struct slice content, struct reason *why);

json_t *files_accounts(struct sim *sim); /* an array as in accounts.json */
/* DIR/accounts.json as bearerd reads it, DIR/ports.json, and the line "ready
 * {ports}" on standard output. */
bool files_announce(struct sim *sim, struct reason *why);
