#include "sim/outbox.h"

#include <stdlib.h>

#include "base/clock.h"
#include "sim/session.h"

void out_pool_clear(struct out_pool *pool)
{
    while (pool->spare) {
        struct out_item *next = pool->spare->next;

        free(pool->spare);
        pool->spare = next;
    }
}

static struct out_item *item_new(struct session *session, enum out_kind kind, uint64_t due)
{
    struct out_pool *pool = &session->sim->outbox;
    struct outbox *outbox = &session->outbox;
    struct out_item *item = pool->spare;

    if (item)
        pool->spare = item->next;
    else
        item = malloc(sizeof(*item));
    item->next = NULL;
    item->kind = kind;
    item->due = outbox->tail && outbox->tail->due > due ? outbox->tail->due : due;
    item->final = false;
    item->message = 0;
    item->len = 0;
    if (outbox->tail)
        outbox->tail->next = item;
    else
        outbox->head = item;
    outbox->tail = item;
    return item;
}

static struct out_item *pop(struct session *session)
{
    struct outbox *outbox = &session->outbox;
    struct out_item *item = outbox->head;

    outbox->head = item->next;
    if (!outbox->head)
        outbox->tail = NULL;
    return item;
}

static void give_back(struct session *session, struct out_item *item)
{
    item->next = session->sim->outbox.spare;
    session->sim->outbox.spare = item;
}

void outbox_clear(struct session *session)
{
    while (session->outbox.head)
        give_back(session, pop(session));
    delay_cancel(&session->sim->delay, &session->wake);
}

static uint64_t due_of(const struct session *session, uint64_t extra_us)
{
    int64_t latency = knob_number(session_scope(session), KNOB_LATENCY_MS, 0);

    return session->flight_us + (uint64_t)latency * 1000 + extra_us;
}

/* An item takes more octets that leave at the same time, but a final reply
 * ends it: what is told is known by the item. */
static bool takes_more(const struct out_item *item, uint64_t due)
{
    return item && item->kind == OUT_BYTES && !item->final && item->due >= due &&
           item->len < OUT_ITEM_BYTES;
}

static void add_at(struct session *session, const char *bytes, size_t len, uint64_t due)
{
    while (len) {
        struct out_item *item = session->outbox.tail;
        size_t part;

        if (!takes_more(item, due))
            item = item_new(session, OUT_BYTES, due);
        part = OUT_ITEM_BYTES - item->len < len ? OUT_ITEM_BYTES - item->len : len;
        memcpy(item->bytes + item->len, bytes, part);
        item->len += part;
        bytes += part;
        len -= part;
    }
}

void outbox_add(struct session *session, const char *bytes, size_t len, uint64_t extra_us)
{
    struct knob_scope scope = session_scope(session);
    size_t split = (size_t)knob_number(scope, KNOB_WRITE_SPLIT, 0);
    uint64_t pause = (uint64_t)knob_number(scope, KNOB_WRITE_PAUSE_MS, 5) * 1000;
    uint64_t due = due_of(session, extra_us);

    if (!split) {
        add_at(session, bytes, len, due);
        return;
    }
    for (size_t at = 0; at < len; at += split) {
        const struct out_item *tail = session->outbox.tail;

        if (tail && tail->due + pause > due)
            due = tail->due + pause;
        add_at(session, bytes + at, len - at < split ? len - at : split, due);
    }
}

void outbox_mark_final(struct session *session, uint64_t message)
{
    struct out_item *tail = session->outbox.tail;

    if (!tail) /* the reply was empty or swallowed */
        tail = item_new(session, OUT_BYTES, due_of(session, 0));
    tail->final = true;
    tail->message = message;
}

void outbox_end(struct session *session, enum out_kind kind)
{
    item_new(session, kind, due_of(session, 0));
}

static void hand_over(struct session *session, const struct out_item *item)
{
    bool written = conn_write(session->conn, item->bytes, item->len);

    session->greeted = true;
    if (!item->final)
        return;
    if (written && item->message)
        recorder_told(&session->sim->recorder, item->message);
    session_tx_ends(session);
}

static void reset_now(struct session *session)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};

    setsockopt(session->conn->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

/* The session is gone afterwards, or waits for its last octets to leave. */
static void end_now(struct session *session, enum out_kind kind)
{
    if (kind != OUT_FINISH && conn_pending(session->conn)) {
        session->after_drained = kind;
        return;
    }
    if (kind == OUT_RESET)
        reset_now(session);
    if (kind == OUT_FINISH)
        conn_finish(&session->conn);
    session_free(session);
}

void outbox_release(struct session *session)
{
    uint64_t now = session->outbox.head ? clock_us() : 0;

    if (session->after_drained != OUT_BYTES) {
        end_now(session, session->after_drained);
        return;
    }
    while (session->outbox.head && session->outbox.head->due <= now) {
        struct out_item *item = pop(session);
        enum out_kind kind = item->kind;

        if (kind == OUT_BYTES)
            hand_over(session, item);
        give_back(session, item);
        if (kind == OUT_TLS)
            session_start_tls(session);
        if (kind > OUT_TLS) {
            end_now(session, kind);
            return;
        }
    }
    if (session->outbox.head)
        delay_set(&session->sim->delay, &session->wake, session->outbox.head->due);
}
