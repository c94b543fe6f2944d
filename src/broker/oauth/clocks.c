#include "broker/oauth/clocks.h"

#include <curl/curl.h>
#include <stdlib.h>

#include "base/log.h"

#define CLOSE_MS 5000  /* what answers that agree may differ by */
#define HOSTS_MAX 1000 /* what API users verify may name any */
#define WEIGHT 8       /* of what is known, against one answer */

struct slice url_origin(const char *url)
{
    size_t scheme = strlen("https://");

    if (strlen(url) < scheme)
        return slice_of(url);
    return (struct slice){url, scheme + strcspn(url + scheme, "/?")};
}

void clocks_clear(struct clocks *clocks)
{
    struct host_clock *clock, *next;

    HASH_ITER (hh, clocks->by_origin, clock, next) {
        HASH_DEL(clocks->by_origin, clock);
        free(clock->origin);
        free(clock);
    }
}

struct host_clock *clocks_of(struct clocks *clocks, const char *url)
{
    struct slice origin = url_origin(url);
    struct host_clock *clock;

    HASH_FIND(hh, clocks->by_origin, origin.ptr, origin.len, clock);
    if (clock)
        return clock;
    clock = HASH_COUNT(clocks->by_origin) < HOSTS_MAX ? calloc(1, sizeof(*clock)) : NULL;
    if (!clock || !(clock->origin = slice_dup(origin))) {
        free(clock);
        return NULL;
    }
    HASH_ADD_KEYPTR(hh, clocks->by_origin, clock->origin, origin.len, clock);
    return clock;
}

static int64_t distance(int64_t a, int64_t b)
{
    return a > b ? a - b : b - a;
}

/* Once when they begin to differ, once when they cease to. */
static void tell(struct host_clock *clock)
{
    bool off = distance(clock->skew_ms, 0) > CLOCK_SKEW_TOLD_MS;

    if (off == clock->told)
        return;
    clock->told = off;
    log_event(off ? LOG_WARN : LOG_INFO, off ? "clock_differs" : "clock_agrees",
              log_s("host", clock->origin), log_i("seconds", (int)(clock->skew_ms / 1000)),
              log_s("text", off ? "our clock and the token endpoint's differ; which one is wrong? "
                                  "what we sign has its time"
                                : NULL));
}

static void take(struct host_clock *clock, int64_t skew_ms)
{
    if (!clock->known) {
        clock->skew_ms = skew_ms;
    } else if (distance(skew_ms, clock->skew_ms) <= CLOSE_MS) {
        clock->skew_ms += (skew_ms - clock->skew_ms) / WEIGHT;
        clock->pending = false;
    } else if (clock->pending && distance(skew_ms, clock->pending_ms) <= CLOSE_MS) {
        clock->skew_ms = skew_ms;
        clock->pending = false;
    } else {
        clock->pending_ms = skew_ms;
        clock->pending = true;
    }
    clock->known = true;
    tell(clock);
}

void host_clock_sample(struct host_clock *clock, struct slice date, uint64_t wall_ms)
{
    char text[64];
    int64_t skew_ms;
    time_t at;

    if (!clock || !date.len || !slice_copy(date, text, sizeof(text)))
        return;
    at = curl_getdate(text, NULL);
    if (at <= 0)
        return;
    skew_ms = (int64_t)at * 1000 + 500 - (int64_t)wall_ms; /* the middle of its second */
    if (distance(skew_ms, 0) <= CLOCK_SKEW_MAX_MS)
        take(clock, skew_ms);
}

uint64_t host_clock_now(const struct host_clock *clock, uint64_t wall_ms)
{
    if (!clock || !clock->known || (int64_t)wall_ms + clock->skew_ms < 0)
        return wall_ms;
    return (uint64_t)((int64_t)wall_ms + clock->skew_ms);
}

const struct host_clock *clocks_worst(const struct clocks *clocks)
{
    const struct host_clock *clock, *worst = NULL;

    for (clock = clocks->by_origin; clock; clock = clock->hh.next) {
        if (distance(clock->skew_ms, 0) > CLOCK_SKEW_TOLD_MS &&
            (!worst || distance(clock->skew_ms, 0) > distance(worst->skew_ms, 0)))
            worst = clock;
    }
    return worst;
}
