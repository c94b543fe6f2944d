#include "check.h"

#include "relay/limit/demand.h"

#define MINUTE 60000ull

static struct demand demand;

static void check_forecast(uint64_t now, uint32_t messages, uint32_t at_once)
{
    struct forecast forecast = demand_forecast(&demand, now, 5 * MINUTE);

    check_num("messages", forecast.messages, messages);
    check_num("at once", forecast.at_once, at_once);
}

static void test_the_last_two_minutes(void **state)
{
    (void)state;
    demand = (struct demand){0};
    check_forecast(0, 0, 0);
    for (unsigned i = 0; i < 5; i++)
        demand_add(&demand, 10 * MINUTE + i, i < 3 ? i + 1 : 1);
    check_num("hour", demand_hour(&demand, 10 * MINUTE), 5);
    check_forecast(10 * MINUTE + 5, 5, 3);
    check_forecast(11 * MINUTE + 5, 5, 3);
    check_forecast(12 * MINUTE, 0, 0);
    check_num("hour", demand_hour(&demand, 69 * MINUTE), 5);
    check_num("hour", demand_hour(&demand, 70 * MINUTE), 0);
}

static void test_a_lull(void **state)
{
    (void)state;
    demand = (struct demand){0};
    demand_add(&demand, 10 * MINUTE, 3);
    check_num("before", demand_forecast(&demand, 10 * MINUTE + 29999, 30000).at_once, 3);
    check_num("behind", demand_forecast(&demand, 10 * MINUTE + 30000, 30000).at_once, 0);
    check_num("an hour later", demand_forecast(&demand, 70 * MINUTE, 30000).at_once, 3);
}

static void test_the_same_time_an_hour_ago(void **state)
{
    (void)state;
    demand = (struct demand){0};
    for (unsigned i = 0; i < 40; i++)
        demand_add(&demand, 100 * MINUTE + i, 7);
    check_forecast(158 * MINUTE + 59999, 0, 0);
    check_forecast(159 * MINUTE, 40, 7); /* it comes within a minute */
    check_forecast(160 * MINUTE + 59999, 40, 7);
    check_forecast(161 * MINUTE, 0, 0);
}

static void test_long_times_and_large_numbers(void **state)
{
    (void)state;
    demand = (struct demand){0};
    for (unsigned i = 0; i < 70000; i++)
        demand_add(&demand, 5 * MINUTE, 1000000);
    check_forecast(5 * MINUTE, UINT16_MAX, UINT16_MAX);
    demand_add(&demand, 4 * MINUTE, 1); /* a clock that went back */
    check_num("hour", demand_hour(&demand, 5 * MINUTE), UINT16_MAX);
    check_num("hour", demand_hour(&demand, 100000 * MINUTE), 0);
    demand_add(&demand, UINT64_MAX / 2, 2);
    check_forecast(UINT64_MAX / 2, 1, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_last_two_minutes),
        cmocka_unit_test(test_a_lull),
        cmocka_unit_test(test_the_same_time_an_hour_ago),
        cmocka_unit_test(test_long_times_and_large_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
