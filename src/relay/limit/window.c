#include "relay/limit/window.h"

#include <stdlib.h>
#include <string.h>

struct window {
    uint64_t newest; /* number of the newest slot; see slot_of */
    uint64_t total;
    uint64_t slot_ms;
    uint32_t slots;    /* of the span; one more is kept, for the oldest counts whole */
    uint32_t counts[]; /* slot n is counts[n % (slots + 1)] */
};

static uint32_t *count_of(struct window *window, uint64_t slot)
{
    return &window->counts[slot % (window->slots + 1)];
}

/* Never so small that the slots behind it would have negative numbers. */
static uint64_t slot_of(const struct window *window, uint64_t time)
{
    return time / window->slot_ms + window->slots + 1;
}

static uint64_t oldest_of(const struct window *window)
{
    return window->newest - window->slots;
}

struct window *window_new(uint64_t span_ms, uint32_t slots)
{
    struct window *window = calloc(1, sizeof(*window) + (slots + 1) * sizeof(window->counts[0]));

    if (!window)
        return NULL;
    window->slots = slots;
    window->slot_ms = (span_ms + slots - 1) / slots;
    window->newest = slot_of(window, 0);
    return window;
}

void window_free(struct window *window)
{
    free(window);
}

/* Forgets what is older than the span. */
static void roll(struct window *window, uint64_t now)
{
    uint64_t slot = slot_of(window, now);

    if (slot <= window->newest)
        return;
    if (!window->total || slot - window->newest > window->slots) {
        memset(window->counts, 0, (window->slots + 1) * sizeof(window->counts[0]));
        window->total = 0;
        window->newest = slot;
        return;
    }
    while (window->newest < slot) {
        uint32_t *count = count_of(window, ++window->newest);

        window->total -= *count;
        *count = 0;
    }
}

uint64_t window_count(struct window *window, uint64_t now)
{
    roll(window, now);
    return window->total;
}

static void add_to(struct window *window, uint64_t slot, uint64_t events)
{
    uint32_t *count = count_of(window, slot);
    uint64_t room = UINT32_MAX - *count;

    if (events > room)
        events = room;
    *count += (uint32_t)events;
    window->total += events;
}

void window_add(struct window *window, uint64_t now, uint64_t events)
{
    roll(window, now);
    add_to(window, window->newest, events);
}

uint64_t window_wait(struct window *window, uint64_t now, uint64_t most)
{
    uint64_t left, slot, gone_at;

    roll(window, now);
    if (window->total <= most)
        return 0;
    left = window->total;
    for (slot = oldest_of(window); slot < window->newest; slot++) {
        left -= *count_of(window, slot);
        if (left <= most)
            break;
    }
    /* A slot is forgotten when it is `slots` + 1 slots old: undo slot_of. */
    gone_at = slot * window->slot_ms;
    return gone_at > now ? gone_at - now : 1;
}

uint64_t window_span(const struct window *window)
{
    return window->slot_ms * window->slots;
}

void window_each(struct window *window, uint64_t now,
                 void (*each)(void *arg, uint64_t age_ms, uint64_t events), void *arg)
{
    roll(window, now);
    for (uint64_t slot = oldest_of(window); slot <= window->newest; slot++) {
        uint64_t end = (slot - window->slots) * window->slot_ms; /* where it ends; see slot_of */
        uint32_t events = *count_of(window, slot);

        if (events)
            each(arg, end < now ? now - end : 0, events);
    }
}

void window_restore(struct window *window, uint64_t now, uint64_t age_ms, uint64_t events)
{
    uint64_t slots = age_ms / window->slot_ms; /* cut off: rather too young than too old */

    roll(window, now);
    if (slots <= window->slots)
        add_to(window, window->newest - slots, events);
}
