#include "broker/oauth/calendar.h"

#include <assert.h>

static uint16_t slot_of(uint64_t at_ms)
{
    return (uint16_t)(at_ms / CALENDAR_SLOT_MS % CALENDAR_SLOTS);
}

uint16_t calendar_add(struct calendar *calendar, uint64_t at_ms)
{
    uint16_t slot = slot_of(at_ms);

    calendar->counts[slot]++;
    calendar->count++;
    return (uint16_t)(slot + 1);
}

void calendar_remove(struct calendar *calendar, uint16_t *slot)
{
    if (*slot == CALENDAR_NONE)
        return;
    assert(calendar->counts[*slot - 1] && calendar->count);
    calendar->counts[*slot - 1]--;
    calendar->count--;
    *slot = CALENDAR_NONE;
}

/* A slot's share, were all of them spread over the period, and a fifth more: else the last
 * ones would search for ever. */
static uint64_t share_of(const struct calendar *calendar, uint64_t period_ms)
{
    uint64_t slots = period_ms / CALENDAR_SLOT_MS + 1;
    uint64_t share = calendar->count / slots + calendar->count / slots / 5 + 1;

    return share > CALENDAR_FEW ? share : CALENDAR_FEW;
}

uint64_t calendar_choose(const struct calendar *calendar, uint64_t now_ms, uint64_t usual_ms,
                         const uint64_t random[CALENDAR_DRAWS])
{
    uint64_t share = share_of(calendar, usual_ms), best = usual_ms, low = usual_ms / 8;
    uint32_t least = calendar->counts[slot_of(now_ms + usual_ms)];

    for (size_t i = 0; i < CALENDAR_DRAWS && least >= share; i++) {
        uint64_t delay = usual_ms - random[i] % (usual_ms - low + 1);
        uint32_t count = calendar->counts[slot_of(now_ms + delay)];

        if (count < least) {
            least = count;
            best = delay;
        }
    }
    return best;
}
