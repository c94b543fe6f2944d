/* Times as people and programs read them: ISO 8601, UTC. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define DATE_TEXT 21
/* "2026-11-25T22:31:53Z" of wall milliseconds. */
void date_format(uint64_t wall_ms, char out[DATE_TEXT]);
/* Of a day's beginning, "2026-11-25". False: there is no such day from 1970 to 9999. */
bool date_parse_day(const char *text, uint64_t *wall_ms);
