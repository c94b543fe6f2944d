/* The breaker, transition by transition. */
#include "check.h"

#include "relay/limit/breaker.h"

static struct breaker make(uint32_t threshold, uint32_t trials)
{
    struct breaker breaker = {.state = BREAKER_CLOSED};

    breaker_set(&breaker, threshold, 60000, trials);
    return breaker;
}

static bool attempt(struct breaker *breaker, uint64_t now, enum breaker_result result)
{
    bool trial;

    check_num("allowed", (long long)breaker_wait(breaker, now), 0);
    trial = breaker_begin(breaker, now);
    return breaker_end(breaker, now, trial, result);
}

static void test_opens_after_failures_in_a_row(void **state)
{
    struct breaker b = make(3, 1);

    (void)state;
    for (int i = 0; i < 10; i++) { /* never three in a row */
        assert_false(attempt(&b, 1000, BREAKER_FAILED));
        assert_false(attempt(&b, 1000, BREAKER_NOTHING));
        assert_false(attempt(&b, 1000, BREAKER_FAILED));
        assert_false(attempt(&b, 1000, BREAKER_OK));
    }
    assert_false(attempt(&b, 1000, BREAKER_FAILED));
    assert_false(attempt(&b, 1000, BREAKER_FAILED));
    assert_true(attempt(&b, 1000, BREAKER_FAILED));
    check_num("wait", (long long)breaker_wait(&b, 1000), 60000);
    assert_true(breaker_is_open(&b, 60999));
    assert_false(breaker_is_open(&b, 61000));
}

static struct breaker opened(uint32_t trials)
{
    struct breaker b = make(1, trials);

    assert_true(attempt(&b, 1000, BREAKER_FAILED));
    return b;
}

static void test_shortened(void **state)
{
    struct breaker b = opened(1);

    (void)state;
    breaker_shorten(&b, 2000, 90000); /* it is shorter already */
    check_num("left", (long long)breaker_wait(&b, 2000), 59000);
    breaker_shorten(&b, 2000, 500);
    check_num("left", (long long)breaker_wait(&b, 2000), 500);
    assert_true(breaker_begin(&b, 2500));
    breaker_shorten(&b, 2500, 0);
    check_num("half open", (long long)breaker_wait(&b, 2500), 250);
    b = make(2, 1);
    breaker_shorten(&b, 1000, 500);
    check_num("closed", (long long)breaker_wait(&b, 1000), 0);
}

static void test_hastened(void **state)
{
    struct breaker b = opened(1); /* at 1000 */

    (void)state;
    breaker_hasten(&b, 1200, 1000);
    check_num("not so soon", (long long)breaker_wait(&b, 1200), 800);
    breaker_hasten(&b, 1400, 1000);
    check_num("nor when asked again", (long long)breaker_wait(&b, 1400), 600);
    assert_true(breaker_begin(&b, 2000));
    assert_true(breaker_end(&b, 2100, true, BREAKER_FAILED));
    breaker_hasten(&b, 2150, 1000);
    check_num("from its end on", (long long)breaker_wait(&b, 2150), 950);
    breaker_hasten(&b, 9000, 1000);
    check_num("long enough", (long long)breaker_wait(&b, 9000), 0);
}

static void test_one_trial_at_a_time(void **state)
{
    struct breaker b = opened(1);

    (void)state;
    assert_true(breaker_begin(&b, 61000));
    assert_true(breaker_wait(&b, 61000) > 0);
    assert_true(breaker_end(&b, 62000, true, BREAKER_FAILED));
    check_num("open again", (long long)breaker_wait(&b, 62000), 60000);
    assert_true(breaker_begin(&b, 122000));
    assert_false(breaker_end(&b, 122100, true, BREAKER_NOTHING)); /* it was called off */
    check_num("the next one", (long long)breaker_wait(&b, 122100), 0);
    assert_true(breaker_begin(&b, 122100));
    assert_false(breaker_end(&b, 122200, true, BREAKER_OK));
    check_num("closed", b.state, BREAKER_CLOSED);
    assert_false(breaker_begin(&b, 122200));
}

static void test_several_trials(void **state)
{
    struct breaker b = opened(2);

    (void)state;
    assert_true(breaker_begin(&b, 61000));
    check_num("a second", (long long)breaker_wait(&b, 61000), 0);
    assert_true(breaker_begin(&b, 61000));
    assert_true(breaker_wait(&b, 61000) > 0);
    assert_false(breaker_end(&b, 61500, true, BREAKER_OK));
    b.threshold = 2;
    assert_false(breaker_end(&b, 61600, true, BREAKER_FAILED));
    check_num("one of a row", b.failures, 1);
    check_num("trying", b.trying, 0);
}

/* What began before it opened. */
static void test_late_results(void **state)
{
    struct breaker b = opened(1);

    (void)state;
    assert_false(breaker_end(&b, 2000, false, BREAKER_FAILED));
    check_num("no longer", (long long)breaker_wait(&b, 2000), 59000);
    assert_false(breaker_end(&b, 3000, false, BREAKER_OK));
    check_num("it works after all", b.state, BREAKER_CLOSED);
}

static void test_off_and_reset(void **state)
{
    struct breaker b = make(0, 1);

    (void)state;
    for (int i = 0; i < 100; i++)
        assert_false(attempt(&b, 1000, BREAKER_FAILED));
    b = opened(1);
    assert_true(breaker_begin(&b, 61000));
    breaker_reset(&b);
    check_num("reset", (long long)breaker_wait(&b, 61000), 0);
    assert_true(breaker_end(&b, 61000, true, BREAKER_FAILED)); /* its threshold is 1 */
    breaker_set(&b, 0, 60000, 1);
    check_num("switched off", (long long)breaker_wait(&b, 61000), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opens_after_failures_in_a_row),
        cmocka_unit_test(test_shortened),
        cmocka_unit_test(test_hastened),
        cmocka_unit_test(test_one_trial_at_a_time),
        cmocka_unit_test(test_several_trials),
        cmocka_unit_test(test_late_results),
        cmocka_unit_test(test_off_and_reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
