/* Messages and recipients against their limits. */
#include "check.h"

#include "relay/limit/limits.h"

#define MINUTE 60000ull
#define HOUR (60 * MINUTE)
#define START (48 * HOUR)

static struct limits make(uint32_t minute, uint32_t hour, uint32_t day, uint32_t recipients)
{
    const uint32_t max[LIMITS] = {minute, hour, day, recipients};
    struct limits limits = {.flying = 0};

    assert_true(limits_set(&limits, max));
    return limits;
}

static void send_one(struct limits *limits, uint64_t now, uint64_t recipients)
{
    limits_begin(limits, recipients);
    limits_end(limits, now, recipients, true, recipients);
}

static void test_without_limits(void **state)
{
    struct limits limits = make(0, 0, 0, 0);
    enum limit which;

    (void)state;
    for (int i = 0; i < 1000; i++)
        send_one(&limits, START, 5);
    check_num("wait", (long long)limits_wait(&limits, START, 1000000, 1000000, &which), 0);
    assert_true(limits_room(&limits, START) == UINT64_MAX);
    limits_clear(&limits);
}

static void test_names_the_longest(void **state)
{
    struct limits limits = make(3, 5, 0, 100);
    enum limit which = LIMITS;

    (void)state;
    for (int i = 0; i < 3; i++) {
        check_num("room", (long long)limits_room(&limits, START), 3 - i);
        check_num("wait", (long long)limits_wait(&limits, START, 1, 1, &which), 0);
        send_one(&limits, START, 1);
    }
    check_num("minute", (long long)limits_wait(&limits, START, 1, 1, &which), 61000);
    check_num("which", which, LIMIT_MINUTE);
    check_num("recipients", limits_wait(&limits, START, 0, 98, &which) > 23 * HOUR, 1);
    check_num("which", which, LIMIT_RECIPIENTS);
    send_one(&limits, START + 2 * MINUTE, 1);
    send_one(&limits, START + 2 * MINUTE, 1);
    assert_true(limits_wait(&limits, START + 2 * MINUTE, 1, 1, &which) > 57 * MINUTE);
    check_num("which", which, LIMIT_HOUR);
    check_num("more", limits_wait(&limits, START + 2 * MINUTE, 4, 1, &which) > 58 * MINUTE, 1);
    check_num("used", (long long)limits_used(&limits, START + 2 * MINUTE, LIMIT_MINUTE), 2);
    check_num("used", (long long)limits_used(&limits, START + 2 * MINUTE, LIMIT_HOUR), 5);
    limits_clear(&limits);
}

/* The provider may count it when it begins or when it ends. */
static void test_counts_while_it_flies_and_after(void **state)
{
    struct limits limits = make(1, 0, 0, 0);
    enum limit which;

    (void)state;
    limits_begin(&limits, 1);
    check_num("flying", (long long)limits_room(&limits, START + 10 * MINUTE), 0);
    check_num("wait", (long long)limits_wait(&limits, START + 10 * MINUTE, 1, 1, &which), 60000);
    limits_end(&limits, START + 10 * MINUTE, 1, true, 1);
    check_num("ended", (long long)limits_room(&limits, START + 10 * MINUTE + 59999), 0);
    check_num("over", (long long)limits_room(&limits, START + 11 * MINUTE + 1000), 1);
    limits_begin(&limits, 1);
    limits_end(&limits, START + 12 * MINUTE, 1, false, 0);
    check_num("given back", (long long)limits_room(&limits, START + 12 * MINUTE), 1);
    limits_clear(&limits);
}

static void test_recipients_of_a_flight(void **state)
{
    struct limits limits = make(0, 0, 0, 10);
    enum limit which;

    (void)state;
    limits_begin(&limits, 1);
    limits_more(&limits, 8);
    check_num("one", (long long)limits_wait(&limits, START, 0, 1, &which), 0);
    assert_true(limits_wait(&limits, START, 0, 2, &which) > 0);
    limits_end(&limits, START, 9, true, 4); /* the others were refused */
    check_num("used", (long long)limits_used(&limits, START, LIMIT_RECIPIENTS), 4);
    limits_clear(&limits);
}

static void test_changed_limits_keep_what_was_sent(void **state)
{
    struct limits limits = make(10, 0, 100, 0);
    const uint32_t lower[LIMITS] = {2, 5, 100, 0}, none[LIMITS] = {0, 0, 4, 0};
    enum limit which;

    (void)state;
    for (int i = 0; i < 4; i++)
        send_one(&limits, START, 1);
    assert_true(limits_set(&limits, lower));
    check_num("room", (long long)limits_room(&limits, START), 0);
    check_num("wait", (long long)limits_wait(&limits, START, 1, 1, &which), 61000);
    check_num("new ones begin anew", (long long)limits_used(&limits, START, LIMIT_HOUR), 0);
    assert_true(limits_set(&limits, none));
    check_num("day", (long long)limits_room(&limits, START), 0);
    limits_clear(&limits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_limits),
        cmocka_unit_test(test_names_the_longest),
        cmocka_unit_test(test_counts_while_it_flies_and_after),
        cmocka_unit_test(test_recipients_of_a_flight),
        cmocka_unit_test(test_changed_limits_keep_what_was_sent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
