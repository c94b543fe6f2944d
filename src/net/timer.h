/* Timeouts on a hashed wheel: setting, moving and cancelling one is O(1) and
 * makes no system call.
 *
 * Moving a deadline further away, which every command of every session does,
 * only stores a number: the timer stays in its slot, and is put where it
 * belongs when the wheel next comes by. Granularity is TIMER_TICK_MS; a timer
 * never fires early. The wheel is pure: its user passes the time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

#define TIMER_TICK_MS 8
#define TIMER_SLOTS 1024

struct timer {
    struct list_node node;
    struct list *on;   /* the slot or due list that holds it, NULL when idle */
    uint64_t deadline; /* ms */
    uint64_t visit;    /* tick at which the wheel looks at it, <= deadline's */
    void (*fire)(struct timer *timer);
};

struct timers {
    struct list slots[TIMER_SLOTS];
    uint64_t tick; /* last tick that was run */
    size_t count;
};

void timers_init(struct timers *timers, uint64_t now);
void timer_init(struct timer *timer, void (*fire)(struct timer *timer));
void timer_set(struct timers *timers, struct timer *timer, uint64_t now, uint64_t delay_ms);
void timer_cancel(struct timers *timers, struct timer *timer);
bool timer_active(const struct timer *timer);
/* Fires what is due; a callback may set, cancel and free timers, its own too. */
void timers_run(struct timers *timers, uint64_t now);
/* Milliseconds from now until timers_run has something to look at; UINT64_MAX
 * when there is no timer. */
uint64_t timers_next(const struct timers *timers, uint64_t now);
