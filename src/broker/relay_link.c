#include "broker/relay_link.h"

#include <stdlib.h>

#include "base/log.h"
#include "net/conn.h"

#define OUT_MAX (64u << 20)
/* More than any honest relay asks; a flood is read slowly instead of holding
 * up everything else here. */
#define WINDOW_MS 100
#define MESSAGES_PER_WINDOW 5000

struct relay_link {
    struct loop *loop;
    struct conn *conn;
    struct ipc_reader reader;
    const struct relay_link_events *events;
    void *owner;
    struct timer window;
    unsigned messages;   /* in this window */
    struct timer broken; /* tells `broken` outside of relay_link_send */
    const char *why;
    bool *closed; /* set when the link closes during its own event */
};

static size_t on_data(struct conn *conn, struct slice bytes);
static void on_event(struct conn *conn, enum conn_event event);

static const struct conn_handler link_handler = {on_data, on_event};

static void on_window(struct timer *timer)
{
    struct relay_link *link = container_of(timer, struct relay_link, window);

    link->messages = 0;
    conn_resume(link->conn);
}

static void on_broken(struct timer *timer)
{
    struct relay_link *link = container_of(timer, struct relay_link, broken);

    link->events->broken(link->owner, link->why);
}

static void give_up(struct relay_link *link, const char *why)
{
    if (link->why)
        return;
    link->why = why;
    loop_timer_set(link->loop, &link->broken, 0);
}

struct relay_link *relay_link_open(struct loop *loop, int fd,
                                   const struct relay_link_events *events, void *owner)
{
    struct relay_link *link = calloc(1, sizeof(*link));

    if (!link)
        return NULL;
    link->loop = loop;
    link->events = events;
    link->owner = owner;
    ipc_reader_init(&link->reader);
    timer_init(&link->window, on_window);
    timer_init(&link->broken, on_broken);
    link->conn = conn_open(loop, fd, &link_handler, link);
    if (!link->conn) {
        free(link);
        return NULL;
    }
    return link;
}

void relay_link_close(struct relay_link **owned)
{
    struct relay_link *link = *owned;

    *owned = NULL;
    if (!link)
        return;
    if (link->closed)
        *link->closed = true;
    loop_timer_cancel(link->loop, &link->window);
    loop_timer_cancel(link->loop, &link->broken);
    conn_close(&link->conn);
    ipc_reader_clear(&link->reader);
    free(link);
}

void relay_link_send(struct relay_link *link, const struct ipc_message *message)
{
    size_t len = 0;
    unsigned char *frame;

    if (link->why)
        return;
    frame = ipc_encode(message, &len);
    if (!frame || !conn_write(link->conn, frame, len))
        give_up(link, "a message for the relay could not be queued");
    else if (conn_pending(link->conn) > OUT_MAX)
        give_up(link, "the relay does not read");
    if (frame)
        explicit_bzero(frame, len);
    free(frame);
}

/* Returns whether the link is still there. */
static bool hand_over(struct relay_link *link, const struct ipc_message *message)
{
    bool closed = false;

    link->closed = &closed;
    link->events->message(link->owner, message);
    if (closed)
        return false;
    link->closed = NULL;
    return true;
}

static bool within_window(struct relay_link *link)
{
    if (!timer_active(&link->window))
        loop_timer_set(link->loop, &link->window, WINDOW_MS);
    return ++link->messages < MESSAGES_PER_WINDOW;
}

static size_t on_data(struct conn *conn, struct slice bytes)
{
    struct relay_link *link = conn->owner;
    size_t taken = 0;

    while (!link->why) {
        struct slice rest = {bytes.ptr + taken, bytes.len - taken};
        struct ipc_message message;
        struct reason why;
        size_t used;
        int rc = ipc_reader_next(&link->reader, rest, &used, &message, &why);

        taken += used;
        if (rc == 0)
            return taken;
        if (rc < 0) {
            log_event(LOG_ERROR, "relay_protocol_error", log_s("reason", why.text));
            give_up(link, "the relay does not speak our protocol");
            break;
        }
        if (!hand_over(link, &message))
            return bytes.len;
        if (!within_window(link)) {
            conn_pause(conn);
            return taken;
        }
    }
    return bytes.len;
}

static void on_event(struct conn *conn, enum conn_event event)
{
    struct relay_link *link = conn->owner;

    if (event == CONN_EOF)
        give_up(link, "the relay has closed the channel");
    else if (event == CONN_FAILED)
        give_up(link, "the channel to the relay has failed");
}
