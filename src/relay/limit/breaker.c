#include "relay/limit/breaker.h"

#include <assert.h>

#define MOMENT_MS 250

void breaker_set(struct breaker *breaker, uint32_t threshold, uint64_t recovery_ms, uint32_t trials)
{
    breaker->threshold = threshold;
    breaker->recovery_ms = recovery_ms;
    breaker->trials = trials ? trials : 1;
    if (!threshold && breaker->state != BREAKER_CLOSED)
        breaker_reset(breaker);
}

/* Trials that are under way end later. */
void breaker_reset(struct breaker *breaker)
{
    breaker->state = BREAKER_CLOSED;
    breaker->failures = 0;
    breaker->until = 0;
}

uint64_t breaker_wait(const struct breaker *breaker, uint64_t now)
{
    if (breaker->state == BREAKER_OPEN && breaker->until > now)
        return breaker->until - now;
    if (breaker->state != BREAKER_CLOSED && breaker->trying >= breaker->trials)
        return MOMENT_MS;
    return 0;
}

bool breaker_is_open(const struct breaker *breaker, uint64_t now)
{
    return breaker->state == BREAKER_OPEN && breaker->until > now;
}

void breaker_shorten(struct breaker *breaker, uint64_t now, uint64_t ms)
{
    if (breaker_is_open(breaker, now) && breaker->until - now > ms)
        breaker->until = now + ms;
}

void breaker_hasten(struct breaker *breaker, uint64_t now, uint64_t least)
{
    uint64_t soonest = breaker->since + least;

    breaker_shorten(breaker, now, soonest > now ? soonest - now : 0);
}

bool breaker_begin(struct breaker *breaker, uint64_t now)
{
    if (breaker->state == BREAKER_CLOSED)
        return false;
    assert(breaker->state == BREAKER_HALF_OPEN || breaker->until <= now);
    breaker->state = BREAKER_HALF_OPEN;
    breaker->trying++;
    return true;
}

static bool open_again(struct breaker *breaker, uint64_t now)
{
    breaker->state = BREAKER_OPEN;
    breaker->since = now;
    breaker->until = now + breaker->recovery_ms;
    return true;
}

bool breaker_end(struct breaker *breaker, uint64_t now, bool trial, enum breaker_result result)
{
    assert(!trial || breaker->trying);
    breaker->trying -= trial;
    if (result == BREAKER_OK)
        breaker_reset(breaker);
    if (result != BREAKER_FAILED)
        return false;
    breaker->failures++;
    if (breaker->state == BREAKER_CLOSED)
        return breaker->threshold && breaker->failures >= breaker->threshold &&
               open_again(breaker, now);
    /* While open: it began before, and tells nothing new. */
    return breaker->state == BREAKER_HALF_OPEN && open_again(breaker, now);
}
