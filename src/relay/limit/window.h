/* How many events the last minute, hour or day held: counts by slots of time, so
 * that the memory is the same whatever the limit.
 *
 * It errs on the safe side: an event counts for its span and up to one slot
 * longer, never shorter. The user passes the time, in milliseconds; a clock that
 * goes back stands still here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct window;

/* `slots` is the number of slots of the span. NULL: memory is out. */
struct window *window_new(uint64_t span_ms, uint32_t slots);
void window_free(struct window *window);

uint64_t window_count(struct window *window, uint64_t now);
void window_add(struct window *window, uint64_t now, uint64_t events);
/* How long until it holds at most so many, if nothing is added; 0: it does now. */
uint64_t window_wait(struct window *window, uint64_t now, uint64_t most);
uint64_t window_span(const struct window *window);

/* For a copy that outlives the process: calls for each slot that holds something,
 * with the age of the newest event that it can hold; and puts such events back
 * into another window of the kind. */
void window_each(struct window *window, uint64_t now,
                 void (*each)(void *arg, uint64_t age_ms, uint64_t events), void *arg);
void window_restore(struct window *window, uint64_t now, uint64_t age_ms, uint64_t events);
