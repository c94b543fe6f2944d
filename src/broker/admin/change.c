#include "broker/admin/change.h"

#include <stdlib.h>

#include "broker/admin/candidate.h"
#include "broker/broker.h"

struct change *change_new(struct admin_request *request, size_t count)
{
    struct change *change = calloc(1, sizeof(*change));

    if (!change || !(change->write.edits = calloc(count ? count : 1, sizeof(struct store_edit)))) {
        free(change);
        admin_error(request, 500, "out of memory");
        return NULL;
    }
    change->broker = admin_broker(request);
    change->setup = setup_ref(broker_next_setup(change->broker));
    change->write.conf = change->setup->conf;
    change->write.count = count;
    change->request = request;
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

void change_reply_error(struct change *change, const struct store_edit *edit)
{
    char field[64];

    candidate_field(edit->why.text, field, sizeof(field));
    switch (edit->status) {
    case STORE_GONE:
        admin_error(change->request, 404, "the account is gone: %s", edit->why.text);
        break;
    case STORE_EXISTS:
        admin_error_field(change->request, 409, field, "%s", edit->why.text);
        break;
    case STORE_INVALID:
        admin_error_field(change->request, 400, field, "%s", edit->why.text);
        break;
    default:
        admin_error(change->request, 500, "%s", edit->why.text);
        break;
    }
}
