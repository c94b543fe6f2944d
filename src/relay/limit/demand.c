#include "relay/limit/demand.h"

#include <string.h>

#define MINUTE_MS 60000
#define HOUR 60

/* Never so small that the minutes behind it would have negative numbers. */
static uint64_t minute_of(uint64_t now)
{
    return now / MINUTE_MS + DEMAND_MINUTES;
}

static void roll(struct demand *demand, uint64_t now)
{
    uint64_t minute = minute_of(now);

    if (minute > demand->newest + DEMAND_MINUTES)
        memset(demand->minutes, 0, sizeof(demand->minutes));
    else
        for (uint64_t i = demand->newest + 1; i <= minute; i++)
            memset(&demand->minutes[i % DEMAND_MINUTES], 0, sizeof(demand->minutes[0]));
    if (minute > demand->newest)
        demand->newest = minute;
}

void demand_add(struct demand *demand, uint64_t now, uint64_t at_once)
{
    uint16_t *messages, *most;

    roll(demand, now);
    demand->last = now;
    messages = &demand->minutes[demand->newest % DEMAND_MINUTES].messages;
    most = &demand->minutes[demand->newest % DEMAND_MINUTES].at_once;
    *messages += *messages < UINT16_MAX;
    if (at_once > *most)
        *most = at_once < UINT16_MAX ? (uint16_t)at_once : UINT16_MAX;
}

uint32_t demand_hour(struct demand *demand, uint64_t now)
{
    uint32_t sum = 0;

    roll(demand, now);
    for (uint64_t i = 0; i < HOUR; i++)
        sum += demand->minutes[(demand->newest - i) % DEMAND_MINUTES].messages;
    return sum;
}

static void consider(const struct demand *demand, uint64_t minutes_ago, struct forecast *forecast)
{
    uint64_t at = (demand->newest - minutes_ago) % DEMAND_MINUTES;

    if (demand->minutes[at].messages > forecast->messages)
        forecast->messages = demand->minutes[at].messages;
    if (demand->minutes[at].at_once > forecast->at_once)
        forecast->at_once = demand->minutes[at].at_once;
}

struct forecast demand_forecast(struct demand *demand, uint64_t now, uint64_t lull_ms)
{
    struct forecast forecast = {0, 0};

    roll(demand, now);
    if (now < demand->last + lull_ms) {
        consider(demand, 0, &forecast);
        consider(demand, 1, &forecast);
    }
    consider(demand, HOUR, &forecast);
    consider(demand, HOUR - 1, &forecast);
    return forecast;
}
