/* Leaves alone what fails again and again: after so many failures in a row it is
 * open, and nothing is tried for a while; then one attempt (or a few) may show
 * whether it works again.
 *
 *     closed -- failures --> open -- time --> half open -- success --> closed
 *                             ^------------- failure ----'
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };
enum breaker_result { BREAKER_OK, BREAKER_FAILED, BREAKER_NOTHING };

struct breaker {
    uint32_t threshold; /* failures in a row; 0: it never opens */
    uint32_t trials;    /* attempts at once while half open */
    uint64_t recovery_ms;
    enum breaker_state state;
    uint32_t failures;     /* in a row */
    uint32_t trying;       /* attempts under way that began while half open */
    uint64_t since, until; /* while open */
};

/* Anew, or with other settings. */
void breaker_set(struct breaker *breaker, uint32_t threshold, uint64_t recovery_ms,
                 uint32_t trials);
/* Closed; what has failed before does not count any more. */
void breaker_reset(struct breaker *breaker);

/* How long until something may be tried; 0: now. While all trials are under way
 * it is a moment: their end tells. */
uint64_t breaker_wait(const struct breaker *breaker, uint64_t now);
/* Whether waiting for it is of no use: it is open, or all it has is trials. */
bool breaker_is_open(const struct breaker *breaker, uint64_t now);

/* An open one is tried again within `ms`. */
void breaker_shorten(struct breaker *breaker, uint64_t now, uint64_t ms);

/* Or as soon as it has been open for `least`, so that who wants it so again and again does
 * not hammer. */
void breaker_hasten(struct breaker *breaker, uint64_t now, uint64_t least);

/* Begins an attempt; to be asked for when breaker_wait is 0. True: it is a trial,
 * which breaker_end is told. */
bool breaker_begin(struct breaker *breaker, uint64_t now);
/* True: it has opened. */
bool breaker_end(struct breaker *breaker, uint64_t now, bool trial, enum breaker_result result);
