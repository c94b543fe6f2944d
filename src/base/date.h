/* Times as people and programs read them: ISO 8601, UTC. */
#pragma once

#include <stdint.h>

#define DATE_TEXT 21
/* "2026-11-25T22:31:53Z" of wall milliseconds. */
void date_format(uint64_t wall_ms, char out[DATE_TEXT]);
