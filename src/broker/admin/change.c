#include "broker/admin/change.h"

#include <stdlib.h>

#include "broker/broker.h"

struct change *change_new(struct broker *broker, size_t count)
{
    struct change *change = calloc(1, sizeof(*change));

    if (!change || !(change->write.edits = calloc(count ? count : 1, sizeof(struct store_edit)))) {
        free(change);
        return NULL;
    }
    change->broker = broker;
    change->setup = setup_ref(broker_next_setup(broker));
    change->write.conf = change->setup->conf;
    change->write.count = count;
    return change;
}

void change_submit(struct change *change, void (*done)(struct store_write *write))
{
    change->write.done = done;
    change->broker->store->ops->write(change->broker->store, &change->write);
}

void change_free(struct change *change)
{
    store_write_clear(&change->write);
    setup_unref(change->setup);
    free(change);
}
