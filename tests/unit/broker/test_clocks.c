/* Whose clock is how far off, by the Date of answers. */
#include "check.h"

#include "broker/oauth/clocks.h"

#define WALL_MS 1767225600000u /* 2026-01-01T00:00:00Z, a Thursday */
#define AT_0 "Thu, 01 Jan 2026 00:00:00 GMT"
#define AT_2H "Thu, 01 Jan 2026 02:00:00 GMT"
#define AT_2H_1S "Thu, 01 Jan 2026 02:00:01 GMT"
#define AT_59S "Thu, 01 Jan 2026 00:00:59 GMT"

static struct clocks clocks;
static struct host_clock *clock_a;

static int set_up(void **state)
{
    (void)state;
    clocks = (struct clocks){NULL};
    clock_a = clocks_of(&clocks, "https://a.example/token");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    clocks_clear(&clocks);
    return 0;
}

static void sample(const char *date)
{
    host_clock_sample(clock_a, slice_of(date), WALL_MS);
}

static int64_t skew(void)
{
    return (int64_t)host_clock_now(clock_a, WALL_MS) - (int64_t)WALL_MS;
}

static void test_hosts(void **state)
{
    (void)state;
    assert_ptr_equal(clocks_of(&clocks, "https://a.example/other?x"), clock_a);
    assert_ptr_not_equal(clocks_of(&clocks, "https://a.example:8443/token"), clock_a);
    assert_ptr_not_equal(clocks_of(&clocks, "https://a.example.org/"), clock_a);
    check_num("unknown", (long long)host_clock_now(NULL, WALL_MS), WALL_MS);
    check_num("no answer yet", skew(), 0);
}

static void test_hosts_are_bounded(void **state)
{
    size_t made = 0;

    (void)state;
    for (int i = 0; i < 2000; i++) {
        char url[64];
        struct text text;

        text_init(&text, url, sizeof(url));
        text_addf(&text, "https://h%d.example/", i);
        made += clocks_of(&clocks, url) != NULL;
    }
    check_num("hosts", (long long)made, 999);
    assert_ptr_equal(clocks_of(&clocks, "https://a.example/"), clock_a);
}

static void test_the_first_answer_counts_at_once(void **state)
{
    (void)state;
    sample(AT_2H);
    check_num("two hours", skew(), 7200500);
    assert_ptr_equal(clocks_worst(&clocks), clock_a);
}

static void test_small_differences_are_averaged(void **state)
{
    (void)state;
    sample(AT_2H);
    sample(AT_2H_1S);
    check_num("an eighth", skew(), 7200625);
}

static void test_one_odd_answer_changes_nothing(void **state)
{
    (void)state;
    sample(AT_0);
    check_num("right", skew(), 500);
    sample(AT_2H);
    check_num("not believed", skew(), 500);
    sample(AT_0);
    sample(AT_2H);
    check_num("forgotten in between", skew(), 500);
    sample(AT_2H_1S);
    check_num("twice the same", skew(), 7201500);
}

static void test_what_is_no_date(void **state)
{
    static const char *const values[] = {
        "",
        "soon",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "Sat, 03 Jan 2026 00:00:00 GMT",
        "Thu, 01 Jan 2026 00:00:00 GMT and a lot of octets that no header of this kind should have",
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(values); i++)
        sample(values[i]);
    assert_false(clock_a->known);
    host_clock_sample(NULL, SLICE(AT_0), WALL_MS);
}

static void test_who_is_told(void **state)
{
    (void)state;
    sample(AT_59S);
    assert_null(clocks_worst(&clocks));
    assert_false(clock_a->told);
    sample(AT_2H);
    sample(AT_2H);
    assert_true(clock_a->told);
    sample(AT_0);
    sample(AT_0);
    assert_false(clock_a->told);
    assert_null(clocks_worst(&clocks));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_hosts),
        TEST(test_hosts_are_bounded),
        TEST(test_the_first_answer_counts_at_once),
        TEST(test_small_differences_are_averaged),
        TEST(test_one_odd_answer_changes_nothing),
        TEST(test_what_is_no_date),
        TEST(test_who_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
