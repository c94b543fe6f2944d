/* The records of an accounts file, one after another, in any of its shapes:
 *
 *     [ {...}, {...} ]
 *     { "accounts": [ {...}, {...} ], ... }
 *     {...} {...} ...            (NDJSON, or one record alone)
 *
 * Pieces of any size in, objects out. Memory is bounded by the longest record,
 * so a file may be larger than memory. */
#pragma once

#include <jansson.h>

#include "base/str.h"

#define RECORDS_OCTETS_MAX (1u << 20) /* of one record, and of what stands around the list */

struct records_buffer {
    char *at;
    size_t len, cap;
};

struct records {
    enum { RECORDS_BEGIN, RECORDS_BETWEEN, RECORDS_INSIDE, RECORDS_AROUND, RECORDS_END } place;
    bool array;       /* in a list */
    bool wrapped;     /* which is a member of an object */
    bool want_comma;  /* before the next record */
    bool want_record; /* behind a comma */
    struct records_buffer record, around;
    size_t depth; /* of brackets */
    bool in_string, escaped;
    bool may_wrap;  /* this object may turn out to be the one around the list */
    bool at_key;    /* at depth 1: the next string is a key */
    size_t key;     /* where that began */
    bool list_next; /* behind the key "accounts" and its colon */
    unsigned long long line, first_line; /* now, and of the record */
    unsigned marks;                      /* octets of a byte-order mark seen */
};

/* `line`: where it began. False stops. The object is for this call only. */
typedef bool records_each(void *owner, json_t *record, unsigned long long line);

/* False when it is not what it should be, with a reason that begins with
 * "line N", or when `each` returned false, with no reason. */
bool records_feed(struct records *records, struct slice bytes, records_each *each, void *owner,
                  struct reason *why);
/* Is it complete? */
bool records_finish(struct records *records, struct reason *why);
void records_clear(struct records *records); /* wipes */
