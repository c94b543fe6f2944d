#include "net/loop.h"

#include <stdlib.h>

#include "base/clock.h"
#include "net/conn.h"

#define LOOP_SPARE_CHUNKS 256 /* 4 MiB kept for the next burst */

static void arm_tick(struct loop *loop);

static void on_tick(uv_timer_t *tick)
{
    struct loop *loop = tick->data;

    loop->tick_at = 0;
    timers_run(&loop->timers, loop_now(loop));
    arm_tick(loop);
}

static void arm_tick(struct loop *loop)
{
    uint64_t now = loop_now(loop), wait = timers_next(&loop->timers, now);

    if (wait == UINT64_MAX)
        return;
    if (loop->tick_at && loop->tick_at <= now + wait)
        return;
    loop->tick_at = now + wait;
    uv_timer_start(&loop->tick, on_tick, wait, 0);
}

void loop_timer_set(struct loop *loop, struct timer *timer, uint64_t delay_ms)
{
    timer_set(&loop->timers, timer, loop_now(loop), delay_ms);
    /* Only a timer that is due before the armed tick needs the tick moved. */
    if (!loop->tick_at || timer->visit * TIMER_TICK_MS < loop->tick_at)
        arm_tick(loop);
}

uint64_t loop_wall_ms(struct loop *loop)
{
    if (!loop->wall_ms || loop->wall_at != loop_now(loop)) {
        loop->wall_ms = clock_wall_ms();
        loop->wall_at = loop_now(loop);
    }
    return loop->wall_ms;
}

void loop_timer_cancel(struct loop *loop, struct timer *timer)
{
    timer_cancel(&loop->timers, timer);
}

static void on_again(uv_timer_t *again)
{
    (void)again; /* it only kept the loop from sleeping */
}

static void end_turn(struct loop *loop)
{
    size_t count = loop->resumed.count;
    struct list_node *node;

    /* Who puts himself back on a list has his next turn after the others': one
     * fast reader of a large message must not keep the thread. */
    while (count-- && (node = list_pop_head(&loop->resumed)))
        conn_deliver_kept(container_of(node, struct conn, resume_node));
    count = loop->dirty.count;
    while (count-- && (node = list_pop_head(&loop->dirty)))
        conn_flush(container_of(node, struct conn, dirty_node));
    if (!list_empty(&loop->resumed) || !list_empty(&loop->dirty))
        uv_timer_start(&loop->again, on_again, 0, 0);
}

static void on_prepare(uv_prepare_t *handle)
{
    end_turn(handle->data);
}

static void on_check(uv_check_t *handle)
{
    end_turn(handle->data);
}

bool loop_init(struct loop *loop, struct reason *why)
{
    int rc = uv_loop_init(&loop->uv);

    if (rc < 0)
        return reason_set(why, "cannot create an event loop: %s", uv_strerror(rc));
    loop->scratch = malloc(LOOP_SCRATCH_BYTES);
    if (!loop->scratch)
        return reason_set(why, "out of memory for an event loop");
    uv_timer_init(&loop->uv, &loop->tick);
    uv_timer_init(&loop->uv, &loop->again);
    uv_prepare_init(&loop->uv, &loop->prepare);
    uv_check_init(&loop->uv, &loop->check);
    loop->tick.data = loop->prepare.data = loop->check.data = loop;
    uv_prepare_start(&loop->prepare, on_prepare);
    uv_check_start(&loop->check, on_check);
    timers_init(&loop->timers, loop_now(loop));
    loop->tick_at = loop->wall_ms = 0;
    list_init(&loop->resumed);
    list_init(&loop->dirty);
    list_init(&loop->connections);
    chunk_pool_init(&loop->chunks, LOOP_SPARE_CHUNKS);
    return true;
}

void loop_run(struct loop *loop)
{
    uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void loop_stop(struct loop *loop)
{
    uv_stop(&loop->uv);
}

void loop_close(struct loop *loop)
{
    struct list_node *node;

    while ((node = list_first(&loop->connections))) {
        struct conn *conn = container_of(node, struct conn, loop_node);

        conn_close(&conn);
    }
    uv_close((uv_handle_t *)&loop->tick, NULL);
    uv_close((uv_handle_t *)&loop->again, NULL);
    uv_close((uv_handle_t *)&loop->prepare, NULL);
    uv_close((uv_handle_t *)&loop->check, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    uv_loop_close(&loop->uv);
    chunk_pool_clear(&loop->chunks);
    free(loop->scratch);
}
