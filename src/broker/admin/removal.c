#include "broker/admin/removal.h"

#include <stdlib.h>

#include "broker/admin/change.h"
#include "broker/broker.h"
#include "broker/wipe.h"

#define STEP 5000
#define STEP_WHOLE 50000

struct removal *removal_new(struct broker *broker, size_t count)
{
    struct removal *removal = calloc(1, sizeof(*removal));

    if (!removal || !(removal->items = calloc(count ? count : 1, sizeof(*removal->items)))) {
        free(removal);
        return NULL;
    }
    removal->broker = broker;
    return removal;
}

bool removal_add(struct removal *removal, const char *id, const char *expected)
{
    struct removal_item *item = &removal->items[removal->count++];

    item->id = slice_dup(slice_of(id));
    item->expected = expected ? slice_dup(slice_of(expected)) : NULL;
    item->status = STORE_FAILED;
    return item->id && (!expected || item->expected);
}

void removal_free(struct removal *removal)
{
    for (size_t i = 0; i < removal->count; i++) {
        free(removal->items[i].id);
        secret_free(&removal->items[i].expected);
    }
    free(removal->items);
    free(removal);
}

/* An account with this id that came meanwhile is answered for later. */
static void take_edit(struct removal *removal, struct removal_item *item,
                      const struct store_edit *edit)
{
    struct registry *registry = &removal->broker->registry;
    struct account *account = registry_by_id(registry, slice_of(edit->id));

    item->status = edit->status;
    removal->removed += edit->status == STORE_OK;
    if (edit->status != STORE_OK)
        removal->why = edit->why;
    if (account && (edit->status == STORE_OK || edit->status == STORE_GONE))
        registry_remove(registry, account);
}

static void step(struct removal *removal);

static void on_written(struct store_write *write)
{
    struct change *change = change_of(write);
    struct removal *removal = change->owner;
    struct removal_item *items = &removal->items[removal->next - write->count];
    bool failed = write->edits[0].status == STORE_FAILED;

    for (size_t i = 0; i < write->count; i++)
        take_edit(removal, &items[i], &write->edits[i]);
    change_free(change);
    broker_announce(removal->broker);
    if (!failed && removal->broker->ended && removal->next < removal->count)
        failed = !reason_set(&removal->why, "bearerd is ending");
    if (failed || removal->next == removal->count)
        removal->done(removal);
    else
        step(removal);
}

static void step(struct removal *removal)
{
    size_t most = removal->broker->store->ops->whole ? STEP_WHOLE : STEP;
    size_t left = removal->count - removal->next, count = left < most ? left : most;
    struct change *change = change_new(removal->broker, count);

    if (!change) {
        reason_set(&removal->why, "out of memory");
        removal->done(removal);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct removal_item *item = &removal->items[removal->next++];

        change->write.edits[i] =
            (struct store_edit){.kind = STORE_REMOVE, .id = item->id, .expected = item->expected};
        item->id = item->expected = NULL; /* the edit's */
    }
    change->owner = removal;
    change_submit(change, on_written);
}

void removal_begin(struct removal *removal, void (*done)(struct removal *removal), void *owner)
{
    removal->done = done;
    removal->owner = owner;
    step(removal);
}
