/* What the relay has counted since we started, over all relays that there were.
 *
 * Each relay gets memory of its own, made here, which it writes and we only
 * read; the memory cannot be cut short under our reads. What a dead relay has
 * counted goes into a base, so that counters never go backwards; gauges end
 * with it. The relay can write any number: they are for showing.
 *
 *     struct stats sums;
 *
 *     relay_stats_read(stats, &sums);
 *     for (const struct stats_info *info = stats_table; info->name; info++)
 *         info->name, info->help, info->kind; stats_number(&sums, info) or
 *         stats_histogram(&sums, info)
 */
#pragma once

#include "base/str.h"
#include "ipc/stats.h"

struct relay_stats {
    struct stats base;             /* of the dead ones; no gauges */
    const struct stats_area *area; /* NULL: no relay */
};

/* Memory for a new relay: a descriptor for it, the caller's to close; -1 on
 * failure. */
int relay_stats_begin(struct relay_stats *stats, struct reason *why);
/* The relay is gone, or never came. */
void relay_stats_end(struct relay_stats *stats);

void relay_stats_read(const struct relay_stats *stats, struct stats *sums);
