/* accounts.json as text: where each record stands in it, and changes that
 * leave every other octet alone.
 *
 * People edit this file and comment it, so a token rotation must look like a
 * token rotation in their diff: no reordering, no new indentation, no lost
 * key. The JSON parser checks the text first; then a small scanner, which may
 * trust it, finds the places (json_text.h).
 */
#pragma once

#include "broker/store/json_text.h"

/* One record that is not as the text has it. */
struct document_change {
    bool removed;
    char *text; /* malloc'd, NULL: as in the document */
    size_t len;
};

struct document {
    char *text;
    size_t len;
    json_t *root;
    json_t *records;                 /* the array in it, borrowed from root: as changed */
    struct json_items items;         /* the records' places in the text */
    size_t count;                    /* records, those that were added or removed included */
    struct document_change *changes; /* `cap` of them, NULL: nothing was changed */
    size_t cap;
    bool changed;
    /* How the file sets apart its records and their members. */
    struct json_style record_style, member_style;
};

/* Copies and parses: an array of records, or an object with "accounts".
 * `name` stands for the file in reasons. */
bool document_parse(struct document *document, struct slice text, const char *name,
                    struct reason *why);
void document_clear(struct document *document); /* wipes */

/* Changes. A record's number stays its own: those behind a removed one do not
 * move up (in `records` null takes its place), and a new one comes last. False
 * when memory is out: the document is then good for clearing only. The object
 * stays the caller's and must not be changed any more. */
bool document_set(struct document *document, size_t record, json_t *object);
bool document_add(struct document *document, json_t *object);
bool document_remove(struct document *document, size_t record);

/* The text with all changes. malloc'd, NULL when memory is out. */
char *document_write(const struct document *document, size_t *len);
