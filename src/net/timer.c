#include "net/timer.h"

static uint64_t tick_of(uint64_t ms)
{
    return (ms + TIMER_TICK_MS - 1) / TIMER_TICK_MS;
}

void timers_init(struct timers *timers, uint64_t now)
{
    for (size_t i = 0; i < TIMER_SLOTS; i++)
        list_init(&timers->slots[i]);
    timers->tick = now / TIMER_TICK_MS;
    timers->count = 0;
}

void timer_init(struct timer *timer, void (*fire)(struct timer *timer))
{
    *timer = (struct timer){.fire = fire};
}

bool timer_active(const struct timer *timer)
{
    return timer->on != NULL;
}

static void put(struct timers *timers, struct timer *timer)
{
    uint64_t tick = tick_of(timer->deadline);

    if (tick <= timers->tick)
        tick = timers->tick + 1;
    if (tick > timers->tick + TIMER_SLOTS - 1)
        tick = timers->tick + TIMER_SLOTS - 1;
    timer->visit = tick;
    timer->on = &timers->slots[tick % TIMER_SLOTS];
    list_push_tail(timer->on, &timer->node);
}

void timer_set(struct timers *timers, struct timer *timer, uint64_t now, uint64_t delay_ms)
{
    timer->deadline = now + delay_ms;
    if (timer->on) {
        if (tick_of(timer->deadline) >= timer->visit)
            return;
        list_remove(timer->on, &timer->node);
    } else {
        timers->count++;
    }
    put(timers, timer);
}

void timer_cancel(struct timers *timers, struct timer *timer)
{
    if (!timer->on)
        return;
    list_remove(timer->on, &timer->node);
    timer->on = NULL;
    timers->count--;
}

static void run_due(struct timers *timers, struct list *due, uint64_t now)
{
    struct list_node *node;

    while ((node = list_first(due))) {
        struct timer *timer = container_of(node, struct timer, node);

        list_remove(due, node);
        if (timer->deadline > now) {
            put(timers, timer);
            continue;
        }
        timer->on = NULL;
        timers->count--;
        timer->fire(timer);
    }
}

void timers_run(struct timers *timers, uint64_t now)
{
    uint64_t until = now / TIMER_TICK_MS;
    struct list due;

    /* Everything due is gathered first: a callback that sets a timer again
     * meets it in a later run, so it cannot keep this one going. */
    list_init(&due);
    if (until > timers->tick + TIMER_SLOTS)
        timers->tick = until - TIMER_SLOTS;
    while (timers->tick < until) {
        struct list *slot = &timers->slots[++timers->tick % TIMER_SLOTS];
        struct list_node *node;

        while ((node = list_pop_head(slot))) {
            struct timer *timer = container_of(node, struct timer, node);

            timer->on = &due;
            list_push_tail(&due, node);
        }
    }
    run_due(timers, &due, now);
}

uint64_t timers_next(const struct timers *timers, uint64_t now)
{
    if (!timers->count)
        return UINT64_MAX;
    for (uint64_t tick = timers->tick + 1; tick <= timers->tick + TIMER_SLOTS; tick++) {
        if (!list_empty(&timers->slots[tick % TIMER_SLOTS])) {
            uint64_t at = tick * TIMER_TICK_MS;

            return at > now ? at - now : 0;
        }
    }
    return TIMER_SLOTS * TIMER_TICK_MS;
}
