/* A change of accounts that a request asks for: one write of the store, and the
 * configuration that records are checked against until it is done.
 */
#pragma once

#include "broker/admin/request.h"
#include "broker/store/store.h"

struct broker;
struct setup;

struct change {
    struct store_write write;
    struct broker *broker;
    struct setup *setup; /* a reference */
    struct admin_request *request;
    void *owner;
};

/* Room for `count` edits, which the caller fills in. NULL: memory is out, and 500 was
 * replied. */
struct change *change_new(struct admin_request *request, size_t count);
/* `done` gets change.write, and ends with change_free. */
void change_submit(struct change *change, void (*done)(struct store_write *write));
void change_free(struct change *change);

static inline struct change *change_of(struct store_write *write)
{
    return container_of(write, struct change, write);
}

/* Replies with what came of an edit that failed. */
void change_reply_error(struct change *change, const struct store_edit *edit);
