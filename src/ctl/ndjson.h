/* Newline-delimited JSON as it comes in from the API: pieces of any size in,
 * one object per line out. Memory is bounded by the longest line. */
#pragma once

#include <jansson.h>

#include "base/str.h"

#define NDJSON_LINE_MAX (1u << 20)

struct ndjson {
    char *buffer; /* the line so far; may hold secrets */
    size_t len, cap;
    uint64_t lines; /* seen, the blank ones too */
};

/* `line` without its end, `value` the object; both are the caller's, for this
 * call only. False stops. */
typedef bool ndjson_line(void *owner, struct slice line, json_t *value);

/* False when a line is too long, is no object, or `each` wants no more; the
 * reason is left alone in the last case. */
bool ndjson_feed(struct ndjson *reader, struct slice bytes, ndjson_line *each, void *owner,
                 struct reason *why);
/* The last line may lack its end. */
bool ndjson_finish(struct ndjson *reader, ndjson_line *each, void *owner, struct reason *why);
void ndjson_clear(struct ndjson *reader); /* wipes */
