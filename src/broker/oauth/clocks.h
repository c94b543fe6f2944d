/* How far our clock is from those of the token endpoints, by the Date of their answers.
 *
 * An endpoint judges what we sign by its own clock, so its time counts there; and a
 * token's end is kept in its time, which an operator who sets our clock does not move.
 * What one answer says is off by up to a second and the time under way: later ones are
 * averaged in, and a jump is believed when a second answer says the same.
 */
#pragma once

#include <uthash.h>

#include "base/str.h"

#define CLOCK_SKEW_TOLD_MS 60000   /* beyond it the operator is told */
#define CLOCK_SKEW_MAX_MS 86400000 /* beyond it the Date is nonsense */

struct host_clock {
    UT_hash_handle hh;
    int64_t skew_ms;    /* theirs minus ours */
    int64_t pending_ms; /* what an answer said that fits to nothing */
    bool known, pending;
    bool told;    /* it was off when that was logged last */
    char *origin; /* "https://host:port" */
};

struct clocks {
    struct host_clock *by_origin;
};

void clocks_clear(struct clocks *clocks);
/* Of a URL's host; made when it is not known. NULL: memory is out, or there are very many. Lasts as
 * long as `clocks`. */
struct host_clock *clocks_of(struct clocks *clocks, const char *url);

/* An answer's Date (RFC 9110; anything else changes nothing), and when it came. Logs when
 * the clocks begin or cease to differ. */
void host_clock_sample(struct host_clock *clock, struct slice date, uint64_t wall_ms);
/* The host's time now. `clock` NULL: ours. */
uint64_t host_clock_now(const struct host_clock *clock, uint64_t wall_ms);

/* The host whose clock differs most from ours, beyond CLOCK_SKEW_TOLD_MS; NULL: none
 * does. For health. */
const struct host_clock *clocks_worst(const struct clocks *clocks);

/* "https://host:port" of a URL. */
struct slice url_origin(const char *url);
