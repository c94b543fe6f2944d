/* YAML and JSON text as a tree that knows its lines.
 *
 * The subset that a configuration needs: one document of mappings, lists and
 * scalars; no anchors, aliases, tags or keys that are not text. Size, depth
 * and the number of nodes are bounded.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

#define TREE_BYTES_MAX (1u << 20)
#define TREE_DEPTH_MAX 16
#define TREE_NODES_MAX 20000

enum node_kind { NODE_SCALAR, NODE_MAP, NODE_LIST };

struct node {
    enum node_kind kind;
    unsigned line;
    bool plain;         /* a scalar without quotes */
    char *key;          /* in a mapping, else NULL */
    char *value;        /* of a scalar; holds no NUL */
    struct node *child; /* the first of a mapping or list, in the file's order */
    struct node *next;
};

/* The document, an empty mapping when there is none; node_free frees. NULL and
 * a reason "NAME:LINE: ..." when the text is not what we read. */
struct node *tree_read(struct slice text, const char *name, struct reason *why);
void node_free(struct node *node);

/* null, ~ or nothing: as if the key were not there. */
bool node_is_null(const struct node *node);

/* JSON is YAML but for tabs between tokens and surrogate pairs in escapes;
 * this writes the text with blanks and \U escapes instead, lines unchanged.
 * malloc'd; NULL when memory is out. */
char *tree_from_json(struct slice text, size_t *len);
bool tree_looks_like_json(struct slice text);
