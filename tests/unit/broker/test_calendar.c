/* The choice of a refresh's time. Whole lines of them: test_flat.c. */
#include "check.h"

#include "broker/oauth/calendar.h"

#define HOUR 3600000u

static struct calendar calendar;
static const uint64_t dice[CALENDAR_DRAWS] = {1000000, 2000000, 500000, 1500000};

static int empty(void **state)
{
    (void)state;
    calendar = (struct calendar){.count = 0};
    return 0;
}

static void crowd(uint64_t at, size_t count)
{
    while (count--)
        calendar_add(&calendar, at);
}

static void test_where_there_is_room(void **state)
{
    (void)state;
    check_num("empty", (long long)calendar_choose(&calendar, 5000, HOUR, dice), HOUR);
    crowd(5000 + HOUR, CALENDAR_FEW - 1);
    check_num("a few", (long long)calendar_choose(&calendar, 5000, HOUR, dice), HOUR);
}

static void test_where_it_is_crowded(void **state)
{
    (void)state;
    crowd(5000 + HOUR, 1000);
    check_num("the first with room", (long long)calendar_choose(&calendar, 5000, HOUR, dice),
              HOUR - 1000000);
    crowd(5000 + HOUR - 1000000, 500);
    check_num("the second", (long long)calendar_choose(&calendar, 5000, HOUR, dice),
              HOUR - 2000000);
    crowd(5000 + HOUR - 2000000, 700);
    crowd(5000 + HOUR - 500000, 600);
    crowd(5000 + HOUR - 1500000, 400);
    check_num("else the least", (long long)calendar_choose(&calendar, 5000, HOUR, dice),
              HOUR - 1500000);
}

static void test_bounds(void **state)
{
    static const uint64_t extremes[][CALENDAR_DRAWS] = {
        {0, 0, 0, 0}, {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}, {1, 2, 3, 4}};
    static const uint64_t delays[] = {0, 1, 7, 1000, 4000, HOUR, 100 * (uint64_t)HOUR};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(delays); i++) {
        empty(NULL);
        crowd(delays[i], 100000);
        for (size_t j = 0; j < COUNT_OF(extremes); j++) {
            uint64_t delay = calendar_choose(&calendar, 0, delays[i], extremes[j]);

            assert_true(delay <= delays[i] && delay >= delays[i] / 8);
        }
    }
}

static void test_what_is_added_is_removed(void **state)
{
    uint16_t slots[3] = {calendar_add(&calendar, 0), calendar_add(&calendar, 100 * (uint64_t)HOUR),
                         calendar_add(&calendar, 0)};
    uint16_t none = CALENDAR_NONE;

    (void)state;
    check_num("count", (long long)calendar.count, 3);
    calendar_remove(&calendar, &none);
    for (size_t i = 0; i < COUNT_OF(slots); i++) {
        calendar_remove(&calendar, &slots[i]);
        check_num("slot", slots[i], CALENDAR_NONE);
        calendar_remove(&calendar, &slots[i]);
    }
    check_num("count", (long long)calendar.count, 0);
    for (size_t i = 0; i < CALENDAR_SLOTS; i++)
        check_num("slot", calendar.counts[i], 0);
}

#define CALENDAR_TEST(name) cmocka_unit_test_setup(name, empty)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CALENDAR_TEST(test_where_there_is_room),
        CALENDAR_TEST(test_where_it_is_crowded),
        CALENDAR_TEST(test_bounds),
        CALENDAR_TEST(test_what_is_added_is_removed),
    };

    return cmocka_run_group_tests_name("broker/calendar", tests, NULL, NULL);
}
