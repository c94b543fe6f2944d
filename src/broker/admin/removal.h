/* Removal of many accounts: some at a time, so that neither the loop nor those who
 * wait for the store stand still. What was removed is gone, whatever becomes of the
 * rest.
 */
#pragma once

#include "broker/admin/request.h"
#include "broker/store/store.h"

struct broker;

struct removal_item {
    char *id;
    char *expected;           /* the refresh token that it must have; NULL: any */
    enum store_status status; /* STORE_FAILED: also of those that it did not come to */
};

struct removal {
    struct broker *broker;
    struct removal_item *items;
    size_t count, next, removed;
    struct reason why; /* of the last one that was not removed */
    void (*done)(struct removal *removal);
    void *owner;
};

/* For `count` accounts at most, which removal_add then names. NULL: memory is out. */
struct removal *removal_new(struct broker *broker, size_t count);
bool removal_add(struct removal *removal, const char *id, const char *expected);
/* `done` ends with removal_free; it is called before this returns only when memory is
 * out. */
void removal_begin(struct removal *removal, void (*done)(struct removal *removal), void *owner);
void removal_free(struct removal *removal);
