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

static uint64_t flying_of(const struct limits *limits, enum limit which)
{
    return which == LIMIT_RECIPIENTS ? limits->flying_recipients : limits->flying;
}

/* `flying` of those before them. */
static uint64_t wait_for(struct limits *limits, uint64_t now, enum limit which, uint64_t flying,
                         uint64_t events)
{
    uint64_t taken = flying + events, max = limits->max[which], rounds;
    struct window *window = limits->windows[which];

    if (!window || !events)
        return 0;
    /* More than the limit itself take a span more for each time. */
    rounds = (taken - 1) / max;
    return window_wait(window, now, max - (taken - rounds * max)) + rounds * window_span(window);
}

static uint64_t longest_wait(struct limits *limits, uint64_t now, bool with_flying,
                             uint64_t messages, uint64_t recipients, enum limit *which)
{
    uint64_t longest = 0;

    for (size_t i = 0; i < LIMITS; i++) {
        uint64_t wait =
            wait_for(limits, now, (enum limit)i, with_flying ? flying_of(limits, (enum limit)i) : 0,
                     i == LIMIT_RECIPIENTS ? recipients : messages);

        if (wait <= longest)
            continue;
        longest = wait;
        *which = (enum limit)i;
    }
    return longest;
}

uint64_t limits_wait(struct limits *limits, uint64_t now, uint64_t messages, uint64_t recipients,
                     enum limit *which)
{
    return longest_wait(limits, now, true, messages, recipients, which);
}

uint64_t limits_wait_at_least(struct limits *limits, uint64_t now, uint64_t messages,
                              uint64_t recipients, enum limit *which)
{
    return longest_wait(limits, now, false, messages, recipients, which);
}

uint64_t limits_used(struct limits *limits, uint64_t now, enum limit which)
{
    if (!limits->windows[which])
        return 0;
    return flying_of(limits, which) + window_count(limits->windows[which], now);
}

static uint64_t room_of(struct limits *limits, uint64_t now, enum limit which)
{
    uint64_t used = limits_used(limits, now, which);

    if (!limits->windows[which])
        return UINT64_MAX;
    return limits->max[which] > used ? limits->max[which] - used : 0;
}

uint64_t limits_room(struct limits *limits, uint64_t now)
{
    uint64_t least = UINT64_MAX;

    for (size_t i = 0; i < LIMITS; i++) {
        uint64_t room = room_of(limits, now, (enum limit)i);

        least = room < least ? room : least;
    }
    return least;
}

uint64_t limits_room_for_recipients(struct limits *limits, uint64_t now)
{
    return room_of(limits, now, LIMIT_RECIPIENTS);
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
    limits_settle(limits, now, 1, recipients, counted, counted ? counted_recipients : 0);
}

void limits_grant(struct limits *limits, uint64_t messages, uint64_t recipients)
{
    limits->flying += messages;
    limits->flying_recipients += recipients;
}

void limits_settle(struct limits *limits, uint64_t now, uint64_t messages, uint64_t recipients,
                   uint64_t counted, uint64_t counted_recipients)
{
    assert(limits->flying >= messages && limits->flying_recipients >= recipients);
    limits->flying -= messages;
    limits->flying_recipients -= recipients;
    for (size_t i = 0; i < LIMITS; i++) {
        uint64_t events = i == LIMIT_RECIPIENTS ? counted_recipients : counted;

        if (limits->windows[i] && events)
            window_add(limits->windows[i], now, events);
    }
}
