#include "load/arrivals.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"

static void arm(struct arrivals *arrivals)
{
    uint64_t due = (uint64_t)arrivals->next;
    struct itimerspec at = {.it_value = {(time_t)(due / 1000000), (long)(due % 1000000) * 1000}};

    timerfd_settime(arrivals->fd, TFD_TIMER_ABSTIME, &at, NULL);
}

static void advance(struct arrivals *arrivals)
{
    double gap = arrivals->gap;

    if (arrivals->poisson)
        gap *= -log(1.0 - drand48());
    arrivals->next += gap;
}

static void on_time(uv_poll_t *poll, int status, int events)
{
    struct arrivals *arrivals = poll->data;
    double now = (double)clock_us();
    uint64_t count;

    (void)status;
    (void)events;
    if (read(arrivals->fd, &count, sizeof(count)) < 0)
        return;
    while (arrivals->fd >= 0 && arrivals->next <= now) {
        uint64_t due = (uint64_t)arrivals->next;

        advance(arrivals);
        arrivals->arrive(arrivals, due);
    }
    if (arrivals->fd >= 0)
        arm(arrivals);
}

bool arrivals_start(struct arrivals *arrivals, struct loop *loop, double rate, bool poisson,
                    void (*arrive)(struct arrivals *, uint64_t), void *owner, struct reason *why)
{
    *arrivals = (struct arrivals){
        .next = (double)clock_us(),
        .gap = 1e6 / rate,
        .poisson = poisson,
        .arrive = arrive,
        .owner = owner,
    };
    arrivals->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (arrivals->fd < 0)
        return reason_set(why, "cannot create a timer: %s", strerror(errno));
    uv_poll_init(&loop->uv, &arrivals->poll, arrivals->fd);
    arrivals->poll.data = arrivals;
    uv_poll_start(&arrivals->poll, UV_READABLE, on_time);
    advance(arrivals);
    arm(arrivals);
    return true;
}

void arrivals_stop(struct arrivals *arrivals)
{
    if (arrivals->fd < 0)
        return;
    uv_close((uv_handle_t *)&arrivals->poll, NULL);
    close(arrivals->fd);
    arrivals->fd = -1;
}
