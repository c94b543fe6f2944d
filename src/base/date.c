#include "base/date.h"

#include <string.h>
#include <time.h>

#include "base/str.h"

void date_format(uint64_t wall_ms, char out[DATE_TEXT])
{
    time_t at = (time_t)(wall_ms / 1000);
    struct tm parts;

    if (!gmtime_r(&at, &parts) || !strftime(out, DATE_TEXT, "%Y-%m-%dT%H:%M:%SZ", &parts))
        out[0] = '\0';
}

/* The number in text[at], text[at + 1], ... of `len` digits. */
static bool digits(const char *text, size_t at, size_t len, int *out)
{
    uint64_t value;

    if (!slice_to_u64((struct slice){text + at, len}, &value))
        return false;
    *out = (int)value;
    return true;
}

bool date_parse_day(const char *text, uint64_t *wall_ms)
{
    struct tm parts = {0}, asked;
    time_t at;

    if (strlen(text) != 10 || text[4] != '-' || text[7] != '-' ||
        !digits(text, 0, 4, &parts.tm_year) || !digits(text, 5, 2, &parts.tm_mon) ||
        !digits(text, 8, 2, &parts.tm_mday))
        return false;
    parts.tm_year -= 1900;
    parts.tm_mon--;
    asked = parts;
    at = timegm(&parts);
    if (at < 0 || parts.tm_mon != asked.tm_mon || parts.tm_mday != asked.tm_mday)
        return false; /* a 30th of February */
    *wall_ms = (uint64_t)at * 1000;
    return true;
}
