/* When refreshes are due, counted by slots of time, so that a crowd which got its tokens
 * together (a start, an import, the end of an outage) does not ask together ever after.
 *
 * A refresh has a usual time, late in its token's life. Where the slot of that time has more
 * than its share, an earlier time is drawn that has not: once, then the crowd is spread over
 * the whole period and stays so. Pure: no clock, no dice.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CALENDAR_SLOT_MS 4000
#define CALENDAR_SLOTS 2048 /* further ahead they count as if it were this much sooner */
#define CALENDAR_NONE 0
#define CALENDAR_FEW 8 /* in a slot: nobody minds */
#define CALENDAR_DRAWS 4

struct calendar {
    uint32_t counts[CALENDAR_SLOTS];
    size_t count;
};

/* The slot of a time and one, for calendar_remove. */
uint16_t calendar_add(struct calendar *calendar, uint64_t at_ms);
void calendar_remove(struct calendar *calendar, uint16_t *slot); /* becomes CALENDAR_NONE */

/* How long to wait: `usual_ms`, or less, but an eighth of it at least. `random`: any numbers. */
uint64_t calendar_choose(const struct calendar *calendar, uint64_t now_ms, uint64_t usual_ms,
                         const uint64_t random[CALENDAR_DRAWS]);
