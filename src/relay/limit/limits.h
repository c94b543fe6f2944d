/* What an account, or a group of accounts, may send: messages per minute, hour and
 * day, recipients per day.
 *
 * A message counts from the moment its flight begins until the span is over since
 * it ended: the provider counts it at some moment between the two, so no span of
 * its clock holds more than the limit, however long the flights are.
 */
#pragma once

#include "relay/limit/window.h"

enum limit { LIMIT_MINUTE, LIMIT_HOUR, LIMIT_DAY, LIMIT_RECIPIENTS, LIMITS };

extern const char *const limit_names[LIMITS]; /* as the options are called */

struct limits {
    uint32_t max[LIMITS];           /* 0: none */
    struct window *windows[LIMITS]; /* NULL: no limit */
    uint64_t flying, flying_recipients;
};

/* What was sent so far is kept, for the limits that there were already. False:
 * memory is out, and some limits are not kept. */
bool limits_set(struct limits *limits, const uint32_t max[LIMITS]);
void limits_clear(struct limits *limits);

/* How long until so many more messages, with so many recipients in all, have
 * room; 0: now. Else *which is the limit that takes longest. Messages that fly are
 * taken to end now. */
uint64_t limits_wait(struct limits *limits, uint64_t now, uint64_t messages, uint64_t recipients,
                     enum limit *which);
/* How many messages may begin now. */
uint64_t limits_room(struct limits *limits, uint64_t now);

/* A flight begins; it ends, and so many recipients count. Not `counted`: the
 * provider has not taken it, and it is given back. */
void limits_begin(struct limits *limits, uint64_t recipients);
void limits_more(struct limits *limits, uint64_t recipients); /* of a flight under way */
void limits_end(struct limits *limits, uint64_t now, uint64_t recipients, bool counted,
                uint64_t counted_recipients);
/* The same for many at once, of which so many count: those of a group, whose flights
 * are elsewhere. */
void limits_grant(struct limits *limits, uint64_t messages, uint64_t recipients);
void limits_settle(struct limits *limits, uint64_t now, uint64_t messages, uint64_t recipients,
                   uint64_t counted, uint64_t counted_recipients);
/* As limits_wait, if none of those that fly were to count. */
uint64_t limits_wait_at_least(struct limits *limits, uint64_t now, uint64_t messages,
                              uint64_t recipients, enum limit *which);
/* How many recipients those messages may have. */
uint64_t limits_room_for_recipients(struct limits *limits, uint64_t now);
/* What counts against a limit now. */
uint64_t limits_used(struct limits *limits, uint64_t now, enum limit which);
