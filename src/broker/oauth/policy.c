#include "broker/oauth/policy.h"

uint64_t policy_between(uint64_t low, uint64_t high, uint64_t random)
{
    return high > low ? low + random % (high - low + 1) : low;
}

/* base * factor^n, at most max. */
static uint64_t grown(uint64_t base, double factor, unsigned n, uint64_t max)
{
    double value = (double)base;

    while (n-- && value < (double)max)
        value *= factor;
    return value < (double)max ? (uint64_t)value : max;
}

/* Full jitter: a crowd that failed together must not come back together. */
static uint64_t transient_delay(const struct policy_facts *facts,
                                const struct policy_limits *limits)
{
    uint64_t max = limits->max_delay_ms > POLICY_MIN_MS ? limits->max_delay_ms : POLICY_MIN_MS;
    unsigned slow;

    if (facts->failures < limits->quick_attempts)
        return policy_between(POLICY_MIN_MS, 2 * POLICY_MIN_MS, facts->random);
    slow = facts->failures - limits->quick_attempts + 1;
    return policy_between(POLICY_MIN_MS, grown(POLICY_MIN_MS, limits->backoff, slow, max),
                          facts->random);
}

static uint64_t longer(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static struct policy_plan after_consent(const struct policy_facts *facts)
{
    struct policy_plan plan = {.state = ACCOUNT_NEEDS_CONSENT};

    if (facts->valid && !facts->confirming) {
        plan.state = ACCOUNT_ACTIVE;
        plan.confirming = true;
        plan.delay_ms = policy_between(POLICY_CONFIRM_MS, POLICY_CONFIRM_MS * 5 / 4, facts->random);
    } else {
        plan.delay_ms = policy_between(POLICY_PROBE_MS, POLICY_PROBE_MS * 5 / 4, facts->random);
    }
    return plan;
}

struct policy_plan policy_after_failure(enum oauth_class class_, const struct policy_facts *facts,
                                        const struct policy_limits *limits)
{
    struct policy_plan plan = {.state = facts->valid ? ACCOUNT_ACTIVE : ACCOUNT_THROTTLED};
    uint64_t base;

    switch (class_) {
    case OAUTH_THROTTLED:
        base = facts->retry_after_ms ? facts->retry_after_ms : POLICY_THROTTLE_MS;
        base = longer(base, POLICY_MIN_MS);
        /* Never sooner than told. */
        plan.delay_ms = policy_between(base, base + base / 8, facts->random);
        plan.confirming = facts->confirming;
        break;
    case OAUTH_CONSENT:
        plan = after_consent(facts);
        break;
    case OAUTH_APP:
        plan.state = facts->valid ? ACCOUNT_ACTIVE : ACCOUNT_MISCONFIGURED;
        base = grown(POLICY_APP_MS, 2, facts->failures, POLICY_APP_MAX_MS);
        plan.delay_ms = policy_between(base, base + base / 8, facts->random);
        break;
    case OAUTH_TRANSIENT:
    case OAUTH_OK:
    case OAUTH_CLASSES:
        plan.delay_ms = longer(transient_delay(facts, limits), facts->retry_after_ms);
        plan.confirming = facts->confirming;
        break;
    }
    return plan;
}

uint64_t policy_refresh_delay(uint64_t life_ms, uint64_t ahead_ms, uint64_t random)
{
    uint64_t ahead = ahead_ms < life_ms / 2 ? ahead_ms : life_ms / 2;
    uint64_t delay = life_ms - ahead;
    uint64_t spread = (ahead < delay ? ahead : delay) / 4;

    return longer(delay - (spread ? random % spread : 0), POLICY_MIN_MS);
}

uint64_t policy_kept_delay(uint64_t left_ms, uint64_t life_ms, uint64_t ahead_ms, uint64_t random)
{
    uint64_t ahead = ahead_ms < life_ms / 2 ? ahead_ms : life_ms / 2, delay, spread;

    if (left_ms < ahead + POLICY_MIN_MS)
        return 0;
    delay = left_ms - ahead;
    spread = (ahead < delay ? ahead : delay) / 4;
    return longer(delay - (spread ? random % spread : 0), POLICY_MIN_MS);
}

uint64_t policy_reject_delay(unsigned times)
{
    return grown(POLICY_REJECT_MS, 2, times, POLICY_REJECT_MAX_MS);
}
