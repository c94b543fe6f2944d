/* Open loop: the times at which messages are to start, whatever became of the
 * earlier ones. To the microsecond; the loop's own timers are too coarse. */
#pragma once

#include <uv.h>

#include "net/loop.h"

struct arrivals {
    uv_poll_t poll;
    int fd;       /* timerfd */
    double next;  /* us, as clock_us() */
    double gap;   /* us, on average */
    bool poisson; /* at random times */
    void (*arrive)(struct arrivals *arrivals, uint64_t due_us);
    void *owner;
};

bool arrivals_start(struct arrivals *arrivals, struct loop *loop, double rate, bool poisson,
                    void (*arrive)(struct arrivals *, uint64_t), void *owner, struct reason *why);
void arrivals_stop(struct arrivals *arrivals); /* also from inside arrive() */
