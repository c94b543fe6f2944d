/* The keys of a record: one table of names, types and checks. For record.c, and for
 * who makes records. */
#pragma once

#include "broker/store/record.h"

/* Reads what the object has into the record; the rest stays as it is. */
bool record_read_fields(struct account_record *record, const json_t *object, const char *where,
                        struct problems *problems, struct reason *why);
/* Whether a record may have the key. */
bool record_knows(const char *key);
bool record_has_required(const struct account_record *record, struct reason *why);
/* Replaces a text. */
bool record_set_text(char **at, struct slice text, struct reason *why);
