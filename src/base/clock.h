/* Time. Monotonic for deadlines and durations, wall for what people read and
 * for token expiry. Loops read it once a turn and pass it on. */
#pragma once

#include <stdint.h>

uint64_t clock_ms(void);      /* monotonic, milliseconds */
uint64_t clock_us(void);      /* monotonic, microseconds */
uint64_t clock_wall_ms(void); /* since 1970-01-01 UTC, milliseconds */
