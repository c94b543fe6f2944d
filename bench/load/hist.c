#include "load/hist.h"

#include <string.h>

void hist_clear(struct hist *hist)
{
    memset(hist, 0, sizeof(*hist));
}

/* Values below HIST_STEPS have a bucket each; above, the power of two chooses
 * the row and the bits behind the leading one choose the step. */
static unsigned bucket_of(uint64_t us)
{
    unsigned power, bucket;

    if (us < HIST_STEPS)
        return (unsigned)us;
    power = 63 - (unsigned)__builtin_clzll(us);
    bucket = (power - HIST_STEP_BITS + 1) * HIST_STEPS +
             (unsigned)(us >> (power - HIST_STEP_BITS)) - HIST_STEPS;
    return bucket < HIST_POWERS * HIST_STEPS ? bucket : HIST_POWERS * HIST_STEPS - 1;
}

/* The largest value of a bucket. */
static uint64_t top_of(unsigned bucket)
{
    unsigned row = bucket / HIST_STEPS;

    if (row == 0)
        return bucket;
    return ((uint64_t)(bucket % HIST_STEPS + HIST_STEPS + 1) << (row - 1)) - 1;
}

void hist_add(struct hist *hist, uint64_t us)
{
    hist->buckets[bucket_of(us)]++;
    hist->count++;
    hist->sum += us;
    if (us > hist->max)
        hist->max = us;
}

uint64_t hist_percentile(const struct hist *hist, double percent)
{
    uint64_t want = (uint64_t)((double)hist->count * percent / 100 + 0.5), seen = 0;

    for (unsigned i = 0; i < HIST_POWERS * HIST_STEPS; i++) {
        seen += hist->buckets[i];
        if (seen && seen >= want)
            return top_of(i) < hist->max ? top_of(i) : hist->max;
    }
    return hist->max;
}
