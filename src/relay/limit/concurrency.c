#include "relay/limit/concurrency.h"

#define HURT_MS (15 * 60 * 1000ull)
#define MEDIAN_STEP 16 /* of the value, by which the median moves */

void concurrency_set(struct concurrency *concurrency, uint32_t start, uint32_t ceiling)
{
    if (!start || start > ceiling)
        start = ceiling;
    if (!concurrency->level || start != concurrency->start)
        concurrency->level = start;
    concurrency->start = start;
    concurrency->ceiling = ceiling;
}

static uint32_t highest(const struct concurrency *concurrency, uint64_t now)
{
    uint32_t hurt = now < concurrency->hurt_until ? concurrency->hurt : 0;

    if (!hurt || hurt > concurrency->ceiling)
        return concurrency->ceiling;
    return hurt > 1 ? hurt - 1 : 1;
}

uint32_t concurrency_level(const struct concurrency *concurrency, uint64_t now)
{
    uint32_t level = (uint32_t)concurrency->level, most = highest(concurrency, now);

    return level < most ? level : most;
}

uint64_t concurrency_wait(const struct concurrency *concurrency, uint64_t now)
{
    return concurrency->rest_until > now ? concurrency->rest_until - now : 0;
}

/* Moves by a step towards each value: half of them are above the median. */
static void learn(struct concurrency *concurrency, uint64_t ms)
{
    uint64_t usual = concurrency->usual_ms, step = usual / MEDIAN_STEP + 1;

    if (!usual)
        concurrency->usual_ms = ms + 1;
    else if (ms > usual)
        concurrency->usual_ms += step;
    else if (ms < usual)
        concurrency->usual_ms -= step < usual ? step : usual - 1;
}

void concurrency_served(struct concurrency *concurrency, uint64_t now, uint64_t began, bool full)
{
    uint64_t ms = now > began ? now - began : 0;
    bool fast = !concurrency->usual_ms || ms <= 2 * concurrency->usual_ms;

    learn(concurrency, ms);
    if (full && fast && began >= concurrency->cut_at)
        concurrency->level += 1 / concurrency->level;
    if (concurrency->level > highest(concurrency, now))
        concurrency->level = highest(concurrency, now);
}

void concurrency_refused(struct concurrency *concurrency, uint64_t now, uint64_t began,
                         uint32_t busy, uint64_t rest_ms)
{
    uint32_t level = concurrency_level(concurrency, now);

    if (began < concurrency->cut_at)
        return; /* the same crowd, which has been cut already */
    if (busy < level)
        level = busy ? busy : 1;
    if (level == 1)
        concurrency->rest_until = now + rest_ms;
    concurrency->hurt = level;
    concurrency->hurt_until = now + HURT_MS;
    concurrency->cut_at = now + 1;
    concurrency->level = level > 1 ? level / 2 : 1;
}
