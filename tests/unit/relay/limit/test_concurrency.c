/* The controller of an account's connections. */
#include "check.h"

#include "relay/limit/concurrency.h"

#define REMEMBERED (15 * 60 * 1000ull)

static struct concurrency make(uint32_t start, uint32_t ceiling)
{
    struct concurrency concurrency = {.level = 0};

    concurrency_set(&concurrency, start, ceiling);
    return concurrency;
}

static void test_begins_low_and_grows_while_full(void **state)
{
    struct concurrency c = make(2, 10);
    unsigned served = 0;

    (void)state;
    check_num("start", concurrency_level(&c, 0), 2);
    for (int i = 0; i < 100; i++)
        concurrency_served(&c, 1000, 900, false);
    check_num("never full", concurrency_level(&c, 0), 2);
    for (; concurrency_level(&c, 1000) < 10; served++) {
        uint32_t before = concurrency_level(&c, 1000);

        concurrency_served(&c, 1000, 900, true);
        assert_true(concurrency_level(&c, 1000) <= before + 1);
    }
    assert_true(served >= 8 && served < 100); /* about one more per round */
    for (int i = 0; i < 1000; i++)
        concurrency_served(&c, 1000, 900, true);
    check_num("ceiling", concurrency_level(&c, 1000), 10);
}

static void test_bounds(void **state)
{
    struct concurrency c = make(0, 3);

    (void)state;
    check_num("no start", concurrency_level(&c, 0), 3);
    c = make(5, 1);
    check_num("ceiling below start", concurrency_level(&c, 0), 1);
    c = make(2, 10);
    for (int i = 0; i < 100; i++)
        concurrency_served(&c, 1000, 900, true);
    concurrency_set(&c, 2, 4);
    check_num("lowered", concurrency_level(&c, 1000), 4);
    concurrency_set(&c, 2, 10);
    check_num("what was learned", concurrency_level(&c, 1000), 10);
}

static void test_slow_ones_do_not_make_it_grow(void **state)
{
    struct concurrency c = make(2, 10);

    (void)state;
    for (int i = 0; i < 200; i++)
        concurrency_served(&c, 1000 * i + 100, 1000 * i, false);
    for (int i = 200; i < 205; i++)
        concurrency_served(&c, 1000 * i + 900, 1000 * i, true);
    check_num("slow", concurrency_level(&c, 0), 2);
    for (int i = 205; i < 210; i++)
        concurrency_served(&c, 1000 * i + 100, 1000 * i, true);
    assert_true(concurrency_level(&c, 0) > 2);
}

static void test_too_many_halves_once(void **state)
{
    struct concurrency c = make(8, 10);

    (void)state;
    concurrency_refused(&c, 5000, 4900, 8, 10000);
    check_num("halved", concurrency_level(&c, 5000), 4);
    concurrency_refused(&c, 5001, 4950, 7, 10000); /* it was under way then */
    check_num("once", concurrency_level(&c, 5001), 4);
    concurrency_refused(&c, 5200, 5100, 4, 10000);
    check_num("again", concurrency_level(&c, 5200), 2);
    check_num("no rest", (long long)concurrency_wait(&c, 5200), 0);
}

/* Some other program is at work with the same mailbox. */
static void test_stays_below_what_hurt(void **state)
{
    struct concurrency c = make(3, 3);

    (void)state;
    concurrency_refused(&c, 5000, 4900, 3, 10000);
    check_num("halved", concurrency_level(&c, 5000), 1);
    for (int i = 0; i < 100; i++)
        concurrency_served(&c, 6000 + i, 5900 + i, true);
    check_num("below", concurrency_level(&c, 6100), 2);
    for (int i = 0; i < 100; i++)
        concurrency_served(&c, 5000 + REMEMBERED - 1, 5000 + REMEMBERED - 100, true);
    check_num("still", concurrency_level(&c, 5000 + REMEMBERED - 1), 2);
    for (int i = 0; i < 100; i++)
        concurrency_served(&c, 5100 + REMEMBERED, 5000 + REMEMBERED, true);
    check_num("forgotten", concurrency_level(&c, 5100 + REMEMBERED), 3);
}

static void test_one_too_many_rests(void **state)
{
    struct concurrency c = make(1, 3);

    (void)state;
    concurrency_refused(&c, 5000, 4900, 1, 10000);
    check_num("level", concurrency_level(&c, 5000), 1);
    check_num("rest", (long long)concurrency_wait(&c, 5000), 10000);
    check_num("rested", (long long)concurrency_wait(&c, 15000), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_begins_low_and_grows_while_full),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_slow_ones_do_not_make_it_grow),
        cmocka_unit_test(test_too_many_halves_once),
        cmocka_unit_test(test_stays_below_what_hurt),
        cmocka_unit_test(test_one_too_many_rests),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
