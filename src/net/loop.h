/* One event loop of one thread: libuv, plus what connections need each turn.
 *
 * A turn: callbacks of ready descriptors run; then, once, connections that
 * were resumed get their kept input, and connections with output are flushed.
 * So ten pipelined replies leave in one write, and no callback re-enters.
 */
#pragma once

#include <uv.h>

#include "base/chain.h"
#include "base/list.h"
#include "base/str.h"
#include "net/timer.h"

#define LOOP_SCRATCH_BYTES 65536

struct loop {
    uv_loop_t uv;
    uv_timer_t tick;
    uv_timer_t again; /* keeps the next turn from waiting */
    uv_prepare_t prepare;
    uv_check_t check;
    struct timers timers;
    uint64_t wall_ms, wall_at; /* the wall clock, and when of loop_now it was read */
    uint64_t tick_at;          /* when the tick timer is armed for, 0: not */
    struct list resumed;       /* conn.resume_node */
    struct list dirty;         /* conn.dirty_node */
    struct list connections;   /* conn.loop_node: all open ones */
    struct chunk_pool chunks;  /* of this thread */
    unsigned char *scratch;    /* LOOP_SCRATCH_BYTES, for one read at a time */
};

bool loop_init(struct loop *loop, struct reason *why);
void loop_run(struct loop *loop); /* until loop_stop */
void loop_stop(struct loop *loop);
/* Runs the loop until every handle is closed, then frees it. The owner has
 * closed its own handles; the rest of the loop's own are closed here. */
void loop_close(struct loop *loop);

static inline uint64_t loop_now(const struct loop *loop) /* ms, of this turn */
{
    return uv_now(&loop->uv);
}

/* The wall clock in ms, read once in a millisecond of the loop. */
uint64_t loop_wall_ms(struct loop *loop);

void loop_timer_set(struct loop *loop, struct timer *timer, uint64_t delay_ms);
void loop_timer_cancel(struct loop *loop, struct timer *timer);
