#include "broker/relay_stats.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Sealed, because a read behind the end of a file that was cut is a signal. */
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

int relay_stats_begin(struct relay_stats *stats, struct reason *why)
{
    int fd = memfd_create("bearerd-stats", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    void *area = MAP_FAILED;

    relay_stats_end(stats);
    if (fd >= 0 && ftruncate(fd, sizeof(struct stats_area)) == 0 &&
        fcntl(fd, F_ADD_SEALS, SEALS) == 0)
        area = mmap(NULL, sizeof(struct stats_area), PROT_READ, MAP_SHARED, fd, 0);
    if (area != MAP_FAILED) {
        stats->area = area;
        return fd;
    }
    reason_set(why, "cannot make the relay's memory for counters: %s", strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

static void drop_gauges(struct stats *stats)
{
    for (const struct stats_info *info = stats_table; info->name; info++) {
        if (info->kind == STATS_KIND_GAUGE)
            memset((char *)stats + info->offset, 0, info->size);
    }
}

void relay_stats_end(struct relay_stats *stats)
{
    if (!stats->area)
        return;
    stats_sum(stats->area, &stats->base);
    drop_gauges(&stats->base);
    munmap((void *)(uintptr_t)stats->area, sizeof(*stats->area));
    stats->area = NULL;
}

void relay_stats_read(const struct relay_stats *stats, struct stats *sums)
{
    *sums = stats->base;
    if (stats->area)
        stats_sum(stats->area, sums);
}
