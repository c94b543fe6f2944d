/* Which record has an id or a login, in a document with many of them. Where
 * hands have given two records the same name, the first one counts, as in
 * loading, until it is removed. */
#pragma once

#include <uthash.h>

#include "broker/store/record.h"

struct index_node {
    UT_hash_handle hh;
    char *name; /* malloc'd; NULL: unused */
    size_t record;
    struct index_node *next; /* of the same name, behind this one in the file */
};

struct index {
    struct index_node *ids, *logins; /* hashes of each name's first */
    struct index_node **nodes;       /* by record: NULL, or two: the id's and the login's */
    size_t cap;
};

/* All records of an array. False: memory is out; clear it. */
bool index_init(struct index *index, const json_t *records);
void index_clear(struct index *index);

/* Record `record` is now `object`, NULL: there is none any more. */
bool index_set(struct index *index, size_t record, const json_t *object);

/* SIZE_MAX: none. */
size_t index_by_id(const struct index *index, const char *id);
size_t index_by_login(const struct index *index, const char *login);
