#include "base/date.h"

#include <time.h>

void date_format(uint64_t wall_ms, char out[DATE_TEXT])
{
    time_t at = (time_t)(wall_ms / 1000);
    struct tm parts;

    if (!gmtime_r(&at, &parts) || !strftime(out, DATE_TEXT, "%Y-%m-%dT%H:%M:%SZ", &parts))
        out[0] = '\0';
}
