/* When a token is asked for again: rows of PROVIDERS.md section 6, at the
 * extremes of the dice. */
#include "check.h"

#include "broker/oauth/policy.h"

static const struct policy_limits limits = {30000, 2.0, 2};

static const struct {
    const char *name;
    enum oauth_class class_;
    struct policy_facts facts;
    enum account_state state;
    uint64_t low, high; /* of the delay, over all dice */
    bool confirming;
} rows[] = {
    {"transient, valid", OAUTH_TRANSIENT, {.valid = true}, ACCOUNT_ACTIVE, 1000, 2000, false},
    {"transient, none", OAUTH_TRANSIENT, {.valid = false}, ACCOUNT_THROTTLED, 1000, 2000, false},
    {"second", OAUTH_TRANSIENT, {.failures = 1}, ACCOUNT_THROTTLED, 1000, 2000, false},
    {"third", OAUTH_TRANSIENT, {.failures = 2}, ACCOUNT_THROTTLED, 1000, 2000, false},
    {"fifth", OAUTH_TRANSIENT, {.failures = 4}, ACCOUNT_THROTTLED, 1000, 8000, false},
    {"tenth", OAUTH_TRANSIENT, {.failures = 9}, ACCOUNT_THROTTLED, 1000, 30000, false},
    {"millionth", OAUTH_TRANSIENT, {.failures = 1000000}, ACCOUNT_THROTTLED, 1000, 30000, false},
    {"transient, told",
     OAUTH_TRANSIENT,
     {.retry_after_ms = 90000},
     ACCOUNT_THROTTLED,
     90000,
     90000,
     false},
    {"transient in doubt",
     OAUTH_TRANSIENT,
     {.valid = true, .confirming = true},
     ACCOUNT_ACTIVE,
     1000,
     2000,
     true},
    {"throttled", OAUTH_THROTTLED, {.valid = false}, ACCOUNT_THROTTLED, 60000, 67500, false},
    {"throttled, valid", OAUTH_THROTTLED, {.valid = true}, ACCOUNT_ACTIVE, 60000, 67500, false},
    {"throttled, told",
     OAUTH_THROTTLED,
     {.retry_after_ms = 8000},
     ACCOUNT_THROTTLED,
     8000,
     9000,
     false},
    {"throttled, told 1 ms",
     OAUTH_THROTTLED,
     {.retry_after_ms = 1},
     ACCOUNT_THROTTLED,
     1000,
     1125,
     false},
    {"grant dead, none",
     OAUTH_CONSENT,
     {.valid = false},
     ACCOUNT_NEEDS_CONSENT,
     3600000,
     4500000,
     false},
    {"grant dead, valid", OAUTH_CONSENT, {.valid = true}, ACCOUNT_ACTIVE, 60000, 75000, true},
    {"grant dead, confirmed",
     OAUTH_CONSENT,
     {.valid = true, .confirming = true},
     ACCOUNT_NEEDS_CONSENT,
     3600000,
     4500000,
     false},
    {"app", OAUTH_APP, {.valid = false}, ACCOUNT_MISCONFIGURED, 300000, 337500, false},
    {"app, valid", OAUTH_APP, {.valid = true}, ACCOUNT_ACTIVE, 300000, 337500, false},
    {"app, again", OAUTH_APP, {.failures = 1}, ACCOUNT_MISCONFIGURED, 600000, 675000, false},
    {"app, ever", OAUTH_APP, {.failures = 99}, ACCOUNT_MISCONFIGURED, 3600000, 4050000, false},
};

static void test_failures(void **state)
{
    uint64_t seed = 7;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint64_t least = UINT64_MAX, most = 0;

        for (int dice = 0; dice < 4000; dice++) {
            struct policy_facts facts = rows[i].facts;
            struct policy_plan plan;

            facts.random = dice == 0 ? 0 : next_random(&seed);
            plan = policy_after_failure(rows[i].class_, &facts, &limits);
            check_num(rows[i].name, plan.state, rows[i].state);
            check_num(rows[i].name, plan.confirming, rows[i].confirming);
            least = plan.delay_ms < least ? plan.delay_ms : least;
            most = plan.delay_ms > most ? plan.delay_ms : most;
        }
        if (least < rows[i].low || most > rows[i].high)
            fail_msg("%s: %llu..%llu is not within %llu..%llu", rows[i].name,
                     (unsigned long long)least, (unsigned long long)most,
                     (unsigned long long)rows[i].low, (unsigned long long)rows[i].high);
        /* The dice must reach nearly as far, or a crowd stays one. */
        if (most - least < (rows[i].high - rows[i].low) * 9 / 10)
            fail_msg("%s: no jitter", rows[i].name);
    }
}

static void test_refresh_ahead(void **state)
{
    static const struct {
        uint64_t life, ahead, low, high;
    } lives[] = {
        {3600000, 600000, 2850001, 3000000},  /* 10 min before the end, up to 2.5 min more */
        {3600000, 7200000, 1350001, 1800000}, /* not before the half, but for the jitter */
        {3600000, 0, 3600000, 3600000},
        {30000, 600000, 11250, 15000},
        {100, 600000, 1000, 1000}, /* a token that hardly lives must not make a loop */
        {0, 600000, 1000, 1000},
    };
    uint64_t seed = 11;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(lives); i++) {
        for (int dice = 0; dice < 1000; dice++) {
            uint64_t delay =
                policy_refresh_delay(lives[i].life, lives[i].ahead, next_random(&seed));

            if (delay < lives[i].low || delay > lives[i].high)
                fail_msg("life %llu: %llu", (unsigned long long)lives[i].life,
                         (unsigned long long)delay);
        }
    }
}

/* Due when it would have been without the restart: its place in the line stays. */
static void test_kept_over_a_restart(void **state)
{
    static const struct {
        uint64_t left, life, ahead, low, high;
    } cases[] = {
        {3000000, 3600000, 600000, 2250000, 2400000}, /* a quarter of `ahead` by chance */
        {700000, 3600000, 600000, 75000, 100000},
        {601000, 3600000, 600000, 1000, 1000},
        {600000, 3600000, 600000, 0, 0}, /* due */
        {1, 3600000, 600000, 0, 0},
        {20000, 24000, 600000, 6000, 8000}, /* half of a short life is ahead enough */
        {11000, 24000, 600000, 0, 0},
        {3600000, 3600000, 0, 3600000, 3600000},
    };
    uint64_t seed = 1;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        for (int dice = 0; dice < 1000; dice++) {
            uint64_t delay =
                policy_kept_delay(cases[i].left, cases[i].life, cases[i].ahead, next_random(&seed));

            if (delay < cases[i].low || delay > cases[i].high)
                fail_msg("row %zu: %llu", i, (unsigned long long)delay);
        }
    }
}

static void test_rejections(void **state)
{
    (void)state;
    check_num("first", (long long)policy_reject_delay(0), 900000);
    check_num("second", (long long)policy_reject_delay(1), 1800000);
    check_num("many", (long long)policy_reject_delay(100), 14400000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_refresh_ahead),
        cmocka_unit_test(test_kept_over_a_restart),
        cmocka_unit_test(test_rejections),
    };

    return cmocka_run_group_tests_name("broker/policy", tests, NULL, NULL);
}
