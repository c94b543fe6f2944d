/* Exact points in time, to the microsecond where the kernel can: the loop's
 * own timers are for timeouts and come in steps of milliseconds, which would
 * blur a simulated round trip. */
#pragma once

#include <uv.h>

#include "base/list.h"
#include "net/loop.h"

struct delay {
    struct list waiting; /* by due time, soonest first */
    uv_poll_t poll;
    int fd;         /* timerfd */
    uint64_t armed; /* what it is set to, 0: nothing */
};

struct delay_entry {
    struct list_node node;
    uint64_t due; /* us, as clock_us() */
    void (*fire)(struct delay_entry *entry);
};

bool delay_init(struct delay *delay, struct loop *loop, struct reason *why);
void delay_close(struct delay *delay);
/* Sets or moves. A time that has passed fires in the next turn. */
void delay_set(struct delay *delay, struct delay_entry *entry, uint64_t due);
void delay_cancel(struct delay *delay, struct delay_entry *entry);
