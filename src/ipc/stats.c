#include "ipc/stats.h"

#include <assert.h>

const struct stats_info stats_table[] = {
#define STATS_ROW(kind, name, help)                                                                \
    {#name, help, STATS_KIND_##kind, offsetof(struct stats, name),                                 \
     sizeof(((struct stats *)0)->name)},
    STATS(STATS_ROW)
#undef STATS_ROW
        {NULL, NULL, STATS_KIND_COUNTER, 0, 0},
};

static const void *field_of(const struct stats *stats, const struct stats_info *info)
{
    return (const char *)stats + info->offset;
}

uint64_t stats_number(const struct stats *stats, const struct stats_info *info)
{
    assert(info->kind != STATS_KIND_HISTOGRAM);
    return *(const uint64_t *)field_of(stats, info);
}

const struct stats_histogram *stats_histogram(const struct stats *stats,
                                              const struct stats_info *info)
{
    assert(info->kind == STATS_KIND_HISTOGRAM);
    return field_of(stats, info);
}

/* Each word is read once, whatever becomes of it meanwhile. */
void stats_sum(const struct stats_area *area, struct stats *sum)
{
    uint64_t *to = (uint64_t *)sum;

    for (size_t i = 0; i < STATS_WORKERS_MAX; i++) {
        const uint64_t *from = (const uint64_t *)&area->blocks[i];

        for (size_t k = 0; k < STATS_WORDS; k++)
            to[k] += __atomic_load_n(&from[k], __ATOMIC_RELAXED);
    }
}
