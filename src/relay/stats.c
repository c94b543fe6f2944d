#include "relay/stats.h"

#include <stddef.h>

const struct stats_info stats_table[] = {
#define STATS_ROW(name, help) {#name, help},
    STATS_COUNTERS(STATS_ROW)
#undef STATS_ROW
        {NULL, NULL},
};
