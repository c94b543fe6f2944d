/* One write of the store, and the configuration that records are checked against until
 * it is done.
 */
#pragma once

#include "broker/admin/request.h"
#include "broker/store/store.h"

struct broker;
struct setup;

struct change {
    struct store_write write;
    struct broker *broker;
    struct setup *setup;           /* a reference */
    struct admin_request *request; /* its owner's, like the next */
    void *owner;
};

/* Room for `count` edits, which the caller fills in. NULL: memory is out. */
struct change *change_new(struct broker *broker, size_t count);
/* `done` gets change.write, and ends with change_free. */
void change_submit(struct change *change, void (*done)(struct store_write *write));
void change_free(struct change *change);

static inline struct change *change_of(struct store_write *write)
{
    return container_of(write, struct change, write);
}
