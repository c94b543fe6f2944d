#include "relay/limit/limits.h"

#include <assert.h>

#define MINUTE 60000ull
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

const char *const limit_names[LIMITS] = {"messages_per_minute", "messages_per_hour",
                                         "messages_per_day", "recipients_per_day"};

static const struct {
    uint64_t span_ms;
    uint32_t slots;
} spans[LIMITS] = {{MINUTE, 60}, {HOUR, 60}, {DAY, 96}, {DAY, 96}};

bool limits_set(struct limits *limits, const uint32_t max[LIMITS])
{
    bool ok = true;

    for (size_t i = 0; i < LIMITS; i++) {
        limits->max[i] = max[i];
        if (!max[i]) {
            window_free(limits->windows[i]);
            limits->windows[i] = NULL;
        } else if (!limits->windows[i]) {
            limits->windows[i] = window_new(spans[i].span_ms, spans[i].slots);
            ok = ok && limits->windows[i];
        }
    }
    return ok;
}

void limits_clear(struct limits *limits)
{
    for (size_t i = 0; i < LIMITS; i++) {
        window_free(limits->windows[i]);
        limits->windows[i] = NULL;
        limits->max[i] = 0;
    }
}

static uint64_t flying(const struct limits *limits, enum limit which)
{
    return which == LIMIT_RECIPIENTS ? limits->flying_recipients : limits->flying;
}

static uint64_t wait_for(struct limits *limits, uint64_t now, enum limit which, uint64_t events)
{
    uint64_t taken = flying(limits, which) + events, max = limits->max[which], rounds;
    struct window *window = limits->windows[which];

    if (!window || !events)
        return 0;
    /* More than the limit itself take a span more for each time. */
    rounds = (taken - 1) / max;
    return window_wait(window, now, max - (taken - rounds * max)) + rounds * window_span(window);
}

uint64_t limits_wait(struct limits *limits, uint64_t now, uint64_t messages, uint64_t recipients,
                     enum limit *which)
{
    uint64_t longest = 0;

    for (size_t i = 0; i < LIMITS; i++) {
        uint64_t wait =
            wait_for(limits, now, (enum limit)i, i == LIMIT_RECIPIENTS ? recipients : messages);

        if (wait <= longest)
            continue;
        longest = wait;
        *which = (enum limit)i;
    }
    return longest;
}

uint64_t limits_used(struct limits *limits, uint64_t now, enum limit which)
{
    if (!limits->windows[which])
        return 0;
    return flying(limits, which) + window_count(limits->windows[which], now);
}

uint64_t limits_room(struct limits *limits, uint64_t now)
{
    uint64_t least = UINT64_MAX;

    for (size_t i = 0; i < LIMITS; i++) {
        uint64_t used = limits_used(limits, now, (enum limit)i);
        uint64_t room = limits->max[i] > used ? limits->max[i] - used : 0;

        if (limits->windows[i] && room < least)
            least = room;
    }
    return least;
}

void limits_begin(struct limits *limits, uint64_t recipients)
{
    limits->flying++;
    limits->flying_recipients += recipients;
}

void limits_more(struct limits *limits, uint64_t recipients)
{
    limits->flying_recipients += recipients;
}

void limits_end(struct limits *limits, uint64_t now, uint64_t recipients, bool counted,
                uint64_t counted_recipients)
{
    assert(limits->flying && limits->flying_recipients >= recipients);
    limits->flying--;
    limits->flying_recipients -= recipients;
    for (size_t i = 0; counted && i < LIMITS; i++) {
        if (limits->windows[i])
            window_add(limits->windows[i], now, i == LIMIT_RECIPIENTS ? counted_recipients : 1);
    }
}
