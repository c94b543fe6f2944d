/* Who is served next: a queue for each client, in turn; within a client's queue in
 * the order in which they came. So a client with a thousand messages does not hold
 * up one with a single message. Those that had their turn already and lost it are
 * before all others.
 */
#pragma once

#include "base/list.h"

struct line_client;

/* Embedded in what waits. */
struct line_item {
    struct list_node node;
    struct line_client *client; /* NULL: before all others, or it does not wait */
};

struct line {
    struct list first;   /* line_item.node */
    struct list clients; /* line_client.node, in the order of their turns */
    struct line_client *spare;
    size_t count; /* of all items */
};

void line_init(struct line *line);
void line_clear(struct line *line); /* nobody waits */

/* At the end of its client's queue. False: memory is out. */
bool line_push(struct line *line, struct line_item *item, const char *client);
void line_push_first(struct line *line, struct line_item *item);
/* Leaves without having been served. */
void line_remove(struct line *line, struct line_item *item);
/* Leaves for being served: its client's next turn comes behind those of the
 * others. */
void line_serve(struct line *line, struct line_item *item);

static inline bool line_empty(const struct line *line)
{
    return !line->count;
}
static inline bool line_has(const struct line_item *item)
{
    return list_node_linked(&item->node);
}
/* Whose turn it is; NULL: nobody waits. */
struct line_item *line_head(const struct line *line);
/* Walks them all, heads of queues not before others; NULL: that was the last one.
 * The item may have been removed once the next one is known. */
struct line_item *line_next(const struct line *line, const struct line_item *item);
/* How many are served before it, if nobody comes or goes. */
size_t line_ahead(const struct line *line, const struct line_item *item);
