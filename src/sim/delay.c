#include "sim/delay.h"

#include <errno.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"

static void arm(struct delay *delay)
{
    struct list_node *first = list_first(&delay->waiting);
    uint64_t due = first ? container_of(first, struct delay_entry, node)->due : 0;
    struct itimerspec at = {.it_value = {(time_t)(due / 1000000), (long)(due % 1000000) * 1000}};

    if (due == delay->armed)
        return;
    delay->armed = due;
    timerfd_settime(delay->fd, TFD_TIMER_ABSTIME, &at, NULL);
}

static void on_time(uv_poll_t *poll, int status, int events)
{
    struct delay *delay = poll->data;
    uint64_t now = clock_us(), count;
    struct list_node *node;

    (void)status;
    (void)events;
    if (read(delay->fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
        return;
    delay->armed = 0;
    while ((node = list_first(&delay->waiting))) {
        struct delay_entry *entry = container_of(node, struct delay_entry, node);

        if (entry->due > now)
            break;
        list_remove(&delay->waiting, node);
        entry->fire(entry);
    }
    arm(delay);
}

bool delay_init(struct delay *delay, struct loop *loop, struct reason *why)
{
    list_init(&delay->waiting);
    delay->armed = 0;
    delay->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (delay->fd < 0)
        return reason_set(why, "cannot create a timer: %s", strerror(errno));
    uv_poll_init(&loop->uv, &delay->poll, delay->fd);
    delay->poll.data = delay;
    uv_poll_start(&delay->poll, UV_READABLE, on_time);
    return true;
}

void delay_close(struct delay *delay)
{
    uv_close((uv_handle_t *)&delay->poll, NULL);
    close(delay->fd);
}

void delay_set(struct delay *delay, struct delay_entry *entry, uint64_t due)
{
    struct list_node *at = delay->waiting.head.prev;

    if (list_node_linked(&entry->node)) {
        list_remove(&delay->waiting, &entry->node);
        at = delay->waiting.head.prev;
    }
    entry->due = due ? due : 1;
    /* Nearly always the latest: a round trip is the same for all. */
    while (at != &delay->waiting.head && container_of(at, struct delay_entry, node)->due > due)
        at = at->prev;
    list_insert_after(&delay->waiting, at, &entry->node);
    arm(delay);
}

void delay_cancel(struct delay *delay, struct delay_entry *entry)
{
    if (list_node_linked(&entry->node))
        list_remove(&delay->waiting, &entry->node);
}
