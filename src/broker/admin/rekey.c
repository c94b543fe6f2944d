/* /admin/rekey: the store seals all its secrets anew. */
#include <stdlib.h>

#include "base/log.h"
#include "broker/admin/handlers.h"
#include "broker/broker.h"

struct rekeying {
    struct store_rekey rekey;
    struct admin_request *request;
};

static void on_rekeyed(struct store_rekey *rekey)
{
    struct rekeying *rekeying = container_of(rekey, struct rekeying, rekey);
    struct admin_request *request = rekeying->request;
    /* A store that seals nothing was asked for what it cannot do. */
    unsigned failed = admin_broker(request)->store->ops == &file_store_ops ? 400 : 500;
    char message[64];
    struct text text;

    if (rekey->status == STORE_OK) {
        log_event(LOG_INFO, "store_rekeyed", log_u("records", rekey->records));
        text_init(&text, message, sizeof(message));
        text_addf(&text, "secrets of %zu accounts sealed anew", rekey->records);
        admin_reply(request, 200,
                    json_pack("{s:b,s:s,s:I}", "success", 1, "message", message, "records",
                              (json_int_t)rekey->records));
    } else {
        admin_error(request, failed, "%s", rekey->why.text);
    }
    free(rekeying);
}

void rekey_begin(struct admin_request *request)
{
    struct rekeying *rekeying = calloc(1, sizeof(*rekeying));
    struct store *store = admin_broker(request)->store;

    if (!rekeying) {
        admin_error(request, 500, "out of memory");
        return;
    }
    rekeying->request = request;
    rekeying->rekey.done = on_rekeyed;
    store->ops->rekey(store, &rekeying->rekey);
}
