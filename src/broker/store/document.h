/* accounts.json as text: where each record stands in it, and changes that
 * leave every other octet alone.
 *
 * People edit this file and comment it, so a token rotation must look like a
 * token rotation in their diff: no reordering, no new indentation, no lost
 * key. The JSON parser checks the text first; then a small scanner, which may
 * trust it, finds the places.
 */
#pragma once

#include <jansson.h>

#include "base/str.h"

struct span {
    size_t start, end;
};

struct document {
    char *text;
    size_t len;
    json_t *root;
    json_t *records;    /* the array in it, borrowed from root */
    struct span *spans; /* of the records, in order */
    size_t count;
};

/* Copies and parses: an array of records, or an object with "accounts".
 * `name` stands for the file in reasons. */
bool document_parse(struct document *document, struct slice text, const char *name,
                    struct reason *why);
void document_clear(struct document *document); /* wipes */

struct document_edit {
    size_t record;
    const char *key; /* of a text that the record has */
    const char *value;
};

/* The text with those values replaced; at most one edit per record. malloc'd,
 * NULL and a reason on failure. The document stays as it is. */
char *document_rewrite(const struct document *document, struct document_edit *edits, size_t count,
                       size_t *len, struct reason *why);
