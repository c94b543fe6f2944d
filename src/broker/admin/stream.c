/* Replies whose length nobody knows: octets queue until MHD asks for them. */
#include <stdlib.h>

#include "broker/admin/request_private.h"
#include "broker/wipe.h"

#define BLOCK 16384

static size_t take(struct chain *queue, char *out, size_t max)
{
    size_t done = 0;

    while (done < max && queue->size) {
        size_t len;
        const unsigned char *run = chain_peek(queue, &len);

        if (len > max - done)
            len = max - done;
        memcpy(out + done, run, len);
        chain_consume(queue, len);
        done += len;
    }
    return done;
}

static ssize_t on_read(void *owner, uint64_t at, char *out, size_t max)
{
    struct admin_request *request = owner;
    size_t len;

    (void)at;
    if (request->cut || request->admin->stopping)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    len = take(&request->queue, out, max);
    if (request->full && request->queue.size < ADMIN_STREAM_WANTED)
        stream_ask(request);
    if (len)
        return (ssize_t)len;
    if (request->state == REQUEST_ENDED)
        return MHD_CONTENT_READER_END_OF_STREAM;
    request->suspended = true;
    MHD_suspend_connection(request->connection->mhd);
    return 0;
}

void stream_ask(struct admin_request *request)
{
    if (!request->want || list_node_linked(&request->wanting_node))
        return;
    list_push_tail(&request->admin->wanting, &request->wanting_node);
    admin_wake(request->admin);
}

/* The request may be gone when `want` returns. */
void stream_serve(struct admin_request *request)
{
    void (*want)(struct admin_request *, void *) = request->want;

    request->full = false;
    if (!request->connection)
        request->want = NULL; /* this is the last time */
    if (want)
        want(request, request->owner);
}

void admin_stream_begin(struct admin_request *request, unsigned status, const char *content_type,
                        void (*want)(struct admin_request *request, void *owner), void *owner)
{
    request_set_state(request, REQUEST_STREAMING);
    request->queue.secret = true;
    request->want = want;
    request->owner = owner;
    request->cut = !request->connection;
    if (request->connection)
        request_set_response(
            request, status, content_type,
            MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, on_read, request, NULL));
    exchange_resume(request);
    stream_ask(request);
}

/* Nobody reads any more, or not fast enough. */
static void cut(struct admin_request *request)
{
    request->cut = true;
    chain_clear(&request->queue);
    if (request->connection)
        connection_cut(request->connection);
    exchange_resume(request);
}

bool admin_stream_write(struct admin_request *request, struct slice octets)
{
    if (request->cut)
        return false;
    request->queue.secret = true; /* an empty chain forgets it */
    if (!chain_add(&request->queue, octets.ptr, octets.len) ||
        request->queue.size > ADMIN_STREAM_MAX) {
        cut(request);
        return false;
    }
    exchange_resume(request);
    request->full = request->queue.size >= ADMIN_STREAM_WANTED;
    if (!request->full)
        stream_ask(request);
    return !request->full;
}

bool admin_stream_json(struct admin_request *request, json_t *object)
{
    char *text = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;
    size_t len = text ? strlen(text) : 0;
    bool more;

    json_decref(object);
    if (!text) {
        cut(request); /* a line must not be missing in silence */
        return false;
    }
    text[len] = '\n'; /* the terminator's place */
    more = admin_stream_write(request, (struct slice){text, len + 1});
    wipe_free(text);
    return more;
}

void admin_stream_end(struct admin_request *request)
{
    request_set_state(request, REQUEST_ENDED);
    request->want = NULL;
    exchange_resume(request);
    request_maybe_free(request);
}

void stream_detach(struct admin_request *request)
{
    request->cut = true;
    chain_clear(&request->queue);
    if (request->state == REQUEST_STREAMING)
        stream_ask(request);
}
