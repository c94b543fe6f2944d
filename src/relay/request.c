#include "relay/request.h"

#include <stdlib.h>

#include "relay/link.h"

#define NUMBER_WORKER_SHIFT 48 /* the worker's index is in the number's top bits */

static bool ask(struct worker *worker, struct request *request, struct ipc_message *message,
                uint64_t *field, request_done *done, void *owner)
{
    uint64_t number = (uint64_t)worker->index << NUMBER_WORKER_SHIFT | ++worker->request_serial;

    *field = number;
    if (!link_send(worker->relay, message))
        return false;
    request->number = number;
    request->worker = worker;
    request->done = done;
    request->owner = owner;
    HASH_ADD(hh, worker->requests, number, sizeof(number), request);
    return true;
}

bool request_lookup(struct worker *worker, struct request *request, struct slice login,
                    request_done *done, void *owner)
{
    struct ipc_message message = {.type = IPC_LOOKUP, .u.lookup = {.login = login}};

    return ask(worker, request, &message, &message.u.lookup.request, done, owner);
}

bool request_password(struct worker *worker, struct request *request, struct slice id,
                      struct slice password, request_done *done, void *owner)
{
    struct ipc_message message = {.type = IPC_PASSWORD,
                                  .u.password = {.id = id, .password = password}};

    return ask(worker, request, &message, &message.u.password.request, done, owner);
}

bool request_resolve(struct worker *worker, struct request *request, struct slice host,
                     uint32_t port, request_done *done, void *owner)
{
    struct ipc_message message = {.type = IPC_RESOLVE, .u.resolve = {.host = host, .port = port}};

    return ask(worker, request, &message, &message.u.resolve.request, done, owner);
}

void request_cancel(struct request *request)
{
    if (!request->number)
        return;
    HASH_DELETE(hh, request->worker->requests, request);
    request->number = 0;
}

void tell_broker(struct worker *worker, const struct ipc_message *message)
{
    link_send(worker->relay, message);
}

/* A late answer to a cancelled request finds nothing and is dropped. */
static void answer(struct worker *worker, const struct ipc_message *message, uint64_t number)
{
    struct request *request;

    HASH_FIND(hh, worker->requests, &number, sizeof(number), request);
    if (!request)
        return;
    request_cancel(request);
    request->done(request, message);
}

static void deliver_answer(struct worker *worker, const struct ipc_message *message)
{
    switch (message->type) {
    case IPC_LOOKUP_DONE:
        answer(worker, message, message->u.lookup_done.request);
        break;
    case IPC_PASSWORD_DONE:
        answer(worker, message, message->u.password_done.request);
        break;
    case IPC_RESOLVE_DONE:
        answer(worker, message, message->u.resolve_done.request);
        break;
    default:
        break;
    }
}

void request_route(struct relay *relay, uint64_t number, const struct ipc_message *message)
{
    uint64_t index = number >> NUMBER_WORKER_SHIFT;

    if (index < relay->worker_count)
        link_forward(relay->workers[index], message, deliver_answer);
}
