/* When to ask for a token again: pure decisions, without clock, dice or I/O,
 * so that each row can be tested. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/oauth/response.h"
#include "ipc/ipc.h"

#define POLICY_MIN_MS 1000
#define POLICY_THROTTLE_MS 60000  /* without Retry-After */
#define POLICY_CONFIRM_MS 60000   /* before a dead grant is believed */
#define POLICY_PROBE_MS 3600000   /* of a parked account */
#define POLICY_APP_MS 300000      /* first probe of a wrong application... */
#define POLICY_APP_MAX_MS 3600000 /* ...and the slowest */
#define POLICY_REJECT_MS 900000   /* after a second refused token... */
#define POLICY_REJECT_MAX_MS 14400000

struct policy_limits { /* of the account's provider */
    uint64_t max_delay_ms;
    double backoff;
    uint32_t quick_attempts; /* that follow at once */
};

/* What is known before the answer. */
struct policy_facts {
    bool valid;        /* the account still has a token that serves */
    bool confirming;   /* the last answer was OAUTH_CONSENT already */
    unsigned failures; /* in a row, before this one */
    uint64_t retry_after_ms;
    uint64_t random; /* any number */
};

struct policy_plan {
    enum account_state state; /* of the account, as far as tokens go */
    uint64_t delay_ms;        /* until the next request */
    bool confirming;          /* that request decides about the grant */
};

/* After a failure of the class (never OAUTH_OK). A valid token keeps serving
 * whatever the endpoint says, but for a grant that was declared dead twice. */
struct policy_plan policy_after_failure(enum oauth_class class_, const struct policy_facts *facts,
                                        const struct policy_limits *limits);

/* How long after it came a token of this life is replaced: `ahead_ms` before
 * its end but not before its half, some earlier than others. */
uint64_t policy_refresh_delay(uint64_t life_ms, uint64_t ahead_ms, uint64_t random);

/* The same of a token that was kept over a restart and lives on for `left_ms`; 0: it is due. */
uint64_t policy_kept_delay(uint64_t left_ms, uint64_t life_ms, uint64_t ahead_ms, uint64_t random);

/* How long an account rests whose fresh token was refused, for the n-th time. */
uint64_t policy_reject_delay(unsigned times);

/* Between low and high, by the number. */
uint64_t policy_between(uint64_t low, uint64_t high, uint64_t random);
