/* Changes of accounts' states, for people: a line of the log and an event for the webhook
 * each.
 *
 * When an application or a whole provider fails, 100,000 accounts change in one moment. Then
 * the first ones of a second are told one by one, and the others as a number: of all that
 * went from one state to another, by the same party, at one provider.
 */
#pragma once

#include "broker/registry.h"
#include "broker/webhook.h"

#define EVENTS_SECOND_MS 1000
#define EVENTS_LINES 1000 /* of a group in a second; further ones are counted */
#define EVENTS_SINGLE 100 /* the same for the webhook */
#define EVENTS_GROUPS 32

struct event_group {
    enum account_state from, to;
    enum hold_by by;
    char provider[CONF_NAME_MAX];
    size_t count;
    /* Of the first one that is only counted. */
    const struct hint *hint;
    char text[512]; /* "" none */
};

struct events {
    struct loop *loop;
    struct webhook *webhook;
    struct event_group *groups; /* of this second; allocated when first needed */
    size_t group_count;
    struct timer timer; /* the second's end */
    uint64_t changes;
};

void events_init(struct events *events, struct loop *loop, struct webhook *webhook);
void events_clear(struct events *events);
/* For registry->changed, with the events as its owner. */
void events_take(void *owner, const struct account *account, enum account_state from);
