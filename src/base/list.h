/* Intrusive doubly linked list with a counter.
 *
 * A node is embedded in its object and is on at most one list through that
 * node. The list counts its nodes, so "how many are idle" is never a scan and
 * never a second variable that can drift. Nothing here allocates.
 */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>

struct list_node {
    struct list_node *prev, *next;
};

struct list {
    struct list_node head;
    size_t count;
};

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

static inline void list_init(struct list *list)
{
    list->head.prev = list->head.next = &list->head;
    list->count = 0;
}

static inline bool list_node_linked(const struct list_node *node)
{
    return node->next != NULL;
}

static inline bool list_empty(const struct list *list)
{
    return list->count == 0;
}

static inline void list_insert_after(struct list *list, struct list_node *at,
                                     struct list_node *node)
{
    assert(!list_node_linked(node));
    node->prev = at;
    node->next = at->next;
    at->next->prev = node;
    at->next = node;
    list->count++;
}

static inline void list_push_head(struct list *list, struct list_node *node)
{
    list_insert_after(list, &list->head, node);
}

static inline void list_push_tail(struct list *list, struct list_node *node)
{
    list_insert_after(list, list->head.prev, node);
}

static inline void list_remove(struct list *list, struct list_node *node)
{
    assert(list_node_linked(node) && list->count > 0);
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->prev = node->next = NULL;
    list->count--;
}

/* The first or last node, or NULL when the list is empty. */
static inline struct list_node *list_first(const struct list *list)
{
    return list->count ? list->head.next : NULL;
}

static inline struct list_node *list_last(const struct list *list)
{
    return list->count ? list->head.prev : NULL;
}

static inline struct list_node *list_pop_head(struct list *list)
{
    struct list_node *node = list_first(list);

    if (node)
        list_remove(list, node);
    return node;
}

/* Walks while nothing is removed; the _safe form lets the body remove `node`. */
#define list_foreach(list, node)                                                                   \
    for (struct list_node *node = (list)->head.next; node != &(list)->head; node = node->next)
#define list_foreach_safe(list, node)                                                              \
    for (struct list_node *node = (list)->head.next, *node##_next = node->next;                    \
         node != &(list)->head; node = node##_next, node##_next = node->next)
