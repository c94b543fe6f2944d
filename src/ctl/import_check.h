/* What can be told of records without asking bearerd: import --dry-run. */
#pragma once

#include <jansson.h>

#include "base/str.h"

struct import_check;

struct import_check *import_check_new(void); /* NULL: out of memory */
void import_check_free(struct import_check *check);
/* False and a reason when it cannot become an account. Remembers addresses and
 * ids, to find those that come twice. `number` counts records from 1. */
bool import_check_record(struct import_check *check, const json_t *record,
                         unsigned long long number, struct reason *why);
