/* Changing JSON as text: the least change of the octets that gives a value
 * another content.
 *
 * People edit the files that we write to, comment them and keep them under
 * version control. So what stays the same keeps its octets: order, blanks, the
 * way a number is written; and what is new is written as its neighbours are.
 *
 * All texts are valid JSON that jansson has read; the scanner trusts that.
 */
#pragma once

#include <jansson.h>

#include "base/str.h"

struct span {
    size_t start, end;
};

/* Text under construction. It may hold secrets: growing wipes what it leaves. */
struct json_out {
    char *at; /* NUL-terminated once something was put */
    size_t len, cap;
    bool failed; /* memory is out */
};

void json_out_put(struct json_out *out, const char *octets, size_t len);
void json_out_clear(struct json_out *out); /* wipes */
/* Hands the text over, NULL when memory was out. */
char *json_out_take(struct json_out *out, size_t *len);

/* What stands in an array or an object, in the order of the text. */
struct json_items {
    bool object;
    size_t open, close; /* the brackets */
    struct span *spans; /* elements; members from the key's quote to the value's end */
    size_t count;
};

/* `at` is the opening bracket. False: memory is out. */
bool json_items_read(struct json_items *items, const char *text, size_t at);
void json_items_clear(struct json_items *items);
/* The value of the member `key`; start 0: there is none. */
struct span json_member(const char *text, const struct json_items *items, const char *key);

/* How the items of an array or object are set apart. */
struct json_style {
    char gap[128];  /* white space before an item; with a line end, each has its own line */
    char close[96]; /* white space before the closing bracket */
    char unit[32];  /* by how much a level is further in */
    char colon[16]; /* between key and value */
};

#define JSON_STYLE_LINES ((struct json_style){"\n", "", "  ", ": "})

/* The style of what is there already; `otherwise` fills in what it does not
 * show. */
void json_style_read(struct json_style *style, const char *text, const struct json_items *items,
                     const struct json_style *otherwise);
/* The style of items one level further in. */
void json_style_inner(struct json_style *inner, const struct json_style *outer);

/* Writes a value; `style` is that of its items if it has some. */
void json_text_write(struct json_out *out, const json_t *value, const struct json_style *style);
/* Writes the object of `text` that begins at `at` and means `before`, changed
 * so that it means `after`. An empty one gets `style`. */
void json_text_change(struct json_out *out, const char *text, size_t at, const json_t *before,
                      const json_t *after, const struct json_style *style);
