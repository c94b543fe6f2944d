/* Latencies in logarithmic buckets, as HdrHistogram has them: 1024 steps for
 * each power of two, so that any value is off by less than 0.1 %, and adding
 * one is two shifts and an increment. Microseconds. */
#pragma once

#include <stdint.h>

#define HIST_STEP_BITS 10
#define HIST_STEPS (1u << HIST_STEP_BITS)
#define HIST_POWERS 31 /* up to 2^40 us */

struct hist {
    uint64_t buckets[HIST_POWERS * HIST_STEPS];
    uint64_t count, max, sum;
};

void hist_clear(struct hist *hist);
void hist_add(struct hist *hist, uint64_t us);
/* The value that `percent` of all do not exceed; 0 when there is none. */
uint64_t hist_percentile(const struct hist *hist, double percent);
