#include "check.h"

#include "net/timer.h"

struct probe {
    struct timer timer;
    uint64_t fired_at, due;
    int fired;
    struct timers *timers;
    uint64_t again; /* re-arms itself with this delay, 0: not */
};

static uint64_t now;

static void on_fire(struct timer *timer)
{
    struct probe *probe = container_of(timer, struct probe, timer);

    probe->fired++;
    probe->fired_at = now;
    if (probe->again)
        timer_set(probe->timers, timer, now, probe->again);
}

static void arm(struct timers *timers, struct probe *probe, uint64_t delay)
{
    probe->timers = timers;
    probe->due = now + delay;
    timer_set(timers, &probe->timer, now, delay);
}

static void run_to(struct timers *timers, uint64_t until)
{
    while (now < until)
        timers_run(timers, ++now);
}

static void test_fires_once_never_early(void **state)
{
    static const uint64_t delays[] = {0, 1, 7, 8, 9, 100, 8191, 8192, 8193, 20000, 300000};
    struct timers timers;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(delays); i++) {
        struct probe probe = {0};

        now = 1000003;
        timers_init(&timers, now);
        timer_init(&probe.timer, on_fire);
        arm(&timers, &probe, delays[i]);
        run_to(&timers, now + delays[i] + 2 * TIMER_TICK_MS + 1);
        check_num("fired", probe.fired, 1);
        assert_true(probe.fired_at >= probe.due);
        assert_false(timer_active(&probe.timer));
        check_num("count", (long long)timers.count, 0);
    }
}

static void test_moved_and_cancelled(void **state)
{
    struct timers timers;
    struct probe probe = {0};

    (void)state;
    now = 5000;
    timers_init(&timers, now);
    timer_init(&probe.timer, on_fire);
    arm(&timers, &probe, 100);
    for (int i = 0; i < 1000; i++) { /* each command pushes it further away */
        timers_run(&timers, ++now);
        arm(&timers, &probe, 100);
    }
    check_num("not yet", probe.fired, 0);
    arm(&timers, &probe, 20); /* and nearer */
    run_to(&timers, now + 40);
    check_num("nearer", probe.fired, 1);
    arm(&timers, &probe, 50);
    timer_cancel(&timers, &probe.timer);
    timer_cancel(&timers, &probe.timer);
    run_to(&timers, now + 200);
    check_num("cancelled", probe.fired, 1);
}

static void test_rearming_does_not_spin(void **state)
{
    struct timers timers;
    struct probe probe = {.again = 0};

    (void)state;
    now = 5000;
    timers_init(&timers, now);
    timer_init(&probe.timer, on_fire);
    arm(&timers, &probe, 1);
    probe.again = 1;
    now += 5000; /* the loop was held up: one run, one call */
    timers_run(&timers, now);
    check_num("once a run", probe.fired, 1);
    timers_run(&timers, now + TIMER_TICK_MS);
    check_num("then again", probe.fired, 2);
}

/* Random schedules against a plain list of deadlines. */
static void test_many(void **state)
{
    enum { N = 500 };
    static struct probe probes[N];
    struct timers timers;
    uint64_t seed = 88172645463325252ull;

    (void)state;
    now = 77;
    timers_init(&timers, now);
    for (size_t i = 0; i < N; i++)
        timer_init(&probes[i].timer, on_fire);
    for (int round = 0; round < 20000; round++) {
        struct probe *probe = &probes[next_random(&seed) % N];
        uint64_t next;

        if (next_random(&seed) % 8 == 0)
            timer_cancel(&timers, &probe->timer);
        else
            arm(&timers, probe, next_random(&seed) % 30000);
        next = timers_next(&timers, now);
        now += next_random(&seed) % 20;
        timers_run(&timers, now);
        for (size_t i = 0; i < N; i++) {
            struct probe *p = &probes[i];

            if (timer_active(&p->timer))
                assert_true(p->timer.deadline + TIMER_TICK_MS > now);
            else if (p->fired)
                p->fired = 0;
        }
        assert_true(timers.count == 0 || next != UINT64_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fires_once_never_early),
        cmocka_unit_test(test_moved_and_cancelled),
        cmocka_unit_test(test_rearming_does_not_spin),
        cmocka_unit_test(test_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
