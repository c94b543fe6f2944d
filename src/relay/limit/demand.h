/* What an account's mail of the last hour says of the mail to come: how many messages
 * each minute had, and how many of them were under way at once. Mail that comes by the
 * hour comes in the same minute again.
 *
 * Pure: the user passes the time, in milliseconds; a clock that goes back stands still.
 */
#pragma once

#include <stdint.h>

#define DEMAND_MINUTES 64 /* that are remembered: a little more than an hour */

struct demand {
    uint64_t newest; /* minute n is minutes[n % DEMAND_MINUTES] */
    uint64_t last;   /* when the newest message came */
    struct {
        uint16_t messages, at_once;
    } minutes[DEMAND_MINUTES];
};

/* What one minute may have, now or within the next. */
struct forecast {
    uint32_t messages, at_once;
};

/* A message has come; with it, so many are under way. */
void demand_add(struct demand *demand, uint64_t now, uint64_t at_once);
/* Messages of the last hour, by whole minutes. */
uint32_t demand_hour(struct demand *demand, uint64_t now);
/* The most that this minute and the next one had an hour ago; and that the last two had,
 * unless nothing came for `lull_ms`. */
struct forecast demand_forecast(struct demand *demand, uint64_t now, uint64_t lull_ms);
