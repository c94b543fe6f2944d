/* Questions to the broker: embedded in whoever asks, answered on his worker's
 * thread, cancelled when he ends. */
#pragma once

#include <uthash.h>

#include "ipc/ipc.h"
#include "relay/worker.h"

struct request;
/* `answer` is valid during the call. The request is idle again before it. */
typedef void request_done(struct request *request, const struct ipc_message *message);

struct request {
    uint64_t number; /* 0: idle */
    struct worker *worker;
    request_done *done;
    void *owner;
    UT_hash_handle hh;
};

/* Each sends `message` (its request field is filled in) and arms the request.
 * The answer is of the type that ipc.h names for the question. False: memory
 * is out, nothing was sent. */
bool request_lookup(struct worker *worker, struct request *request, struct slice login,
                    request_done *done, void *owner);
bool request_password(struct worker *worker, struct request *request, struct slice id,
                      struct slice password, request_done *done, void *owner);
bool request_resolve(struct worker *worker, struct request *request, struct slice host,
                     uint32_t port, request_done *done, void *owner);
void request_cancel(struct request *request); /* idle ones too */

/* One-way messages, from any worker. */
void tell_broker(struct worker *worker, const struct ipc_message *message);

/* For the main thread: hands an answer to the worker that asked. */
void request_route(struct relay *relay, uint64_t number, const struct ipc_message *message);
