#include "broker/store/index.h"

#include <stdlib.h>

#include "ipc/ipc.h"

#define NAME_MAX_OCTETS 2048 /* longer ones belong to records that cannot serve */

static void insert(struct index_node **hash, struct index_node *node)
{
    struct index_node *first;

    HASH_FIND_STR(*hash, node->name, first);
    node->next = NULL;
    if (first && first->record < node->record) {
        while (first->next && first->next->record < node->record)
            first = first->next;
        node->next = first->next;
        first->next = node;
        return;
    }
    if (first)
        HASH_DEL(*hash, first);
    node->next = first;
    HASH_ADD_KEYPTR(hh, *hash, node->name, strlen(node->name), node);
}

static void take_out(struct index_node **hash, struct index_node *node)
{
    struct index_node *first;

    HASH_FIND_STR(*hash, node->name, first);
    if (first == node) {
        HASH_DEL(*hash, node);
        if (node->next)
            HASH_ADD_KEYPTR(hh, *hash, node->next->name, strlen(node->next->name), node->next);
        return;
    }
    while (first && first->next != node)
        first = first->next;
    if (first)
        first->next = node->next;
}

/* Gives a record's node another name, or none. */
static bool rename_node(struct index_node **hash, struct index_node *node, const char *name)
{
    if (node->name && name && strcmp(node->name, name) == 0)
        return true;
    if (node->name)
        take_out(hash, node);
    free(node->name);
    node->name = name ? slice_dup(slice_of(name)) : NULL;
    if (node->name)
        insert(hash, node);
    return node->name || !name;
}

static bool reserve(struct index *index, size_t count)
{
    size_t cap = index->cap ? index->cap : 64;
    struct index_node **nodes;

    if (count <= index->cap)
        return true;
    while (cap < count)
        cap *= 2;
    nodes = reallocarray(index->nodes, cap, sizeof(struct index_node *));
    if (!nodes)
        return false;
    memset(nodes + index->cap, 0, (cap - index->cap) * sizeof(struct index_node *));
    index->nodes = nodes;
    index->cap = cap;
    return true;
}

bool index_set(struct index *index, size_t record, const json_t *object)
{
    char id[NAME_MAX_OCTETS], login[NAME_MAX_OCTETS];
    bool has_id = object && record_id(object, id, sizeof(id));
    bool has_login = object && record_login(object, login, sizeof(login));
    struct index_node *nodes;

    if (!reserve(index, record + 1))
        return false;
    if (!index->nodes[record] && !has_id && !has_login)
        return true;
    if (!index->nodes[record])
        index->nodes[record] = calloc(2, sizeof(struct index_node));
    nodes = index->nodes[record];
    if (!nodes)
        return false;
    nodes[0].record = nodes[1].record = record;
    return rename_node(&index->ids, &nodes[0], has_id ? id : NULL) &&
           rename_node(&index->logins, &nodes[1], has_login ? login : NULL);
}

bool index_init(struct index *index, const json_t *records)
{
    bool ok = true;

    *index = (struct index){NULL};
    for (size_t i = 0; ok && i < json_array_size(records); i++)
        ok = index_set(index, i, json_array_get(records, i));
    return ok;
}

void index_clear(struct index *index)
{
    HASH_CLEAR(hh, index->ids);
    HASH_CLEAR(hh, index->logins);
    for (size_t i = 0; i < index->cap; i++) {
        if (!index->nodes[i])
            continue;
        free(index->nodes[i][0].name);
        free(index->nodes[i][1].name);
        free(index->nodes[i]);
    }
    free(index->nodes);
    *index = (struct index){NULL};
}

static size_t find(const struct index_node *hash, const char *name)
{
    const struct index_node *node;

    HASH_FIND_STR(hash, name, node);
    return node ? node->record : SIZE_MAX;
}

size_t index_by_id(const struct index *index, const char *id)
{
    return find(index->ids, id);
}

size_t index_by_login(const struct index *index, const char *login)
{
    return find(index->logins, login);
}
