/* The records of one reading of the store: valid ones, each id and each login
 * once, and what was wrong with the others. */
#pragma once

#include "broker/store/document.h"
#include "broker/store/problems.h"
#include "broker/store/record.h"

struct account_set {
    struct account_record **records;
    size_t count, cap;
    struct problems problems;
};

struct account_set *account_set_new(void);
void account_set_free(struct account_set *set);

/* Takes over a record whose names nobody else in the set has. False: memory is
 * out, and the record stays the caller's. */
bool account_set_add(struct account_set *set, struct account_record *record);

/* Takes over all valid records of the document. `name` begins each problem.
 * False: memory is out. */
bool account_set_read(struct account_set *set, const struct document *document, const char *name,
                      const struct conf *conf);
