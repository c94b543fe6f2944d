/* A window never forgets too early, and not much too late. */
#include "check.h"

#include "relay/limit/window.h"

#define MINUTE 60000
#define HOUR (60ull * MINUTE)

static void test_counts_for_its_span(void **state)
{
    struct window *window = window_new(MINUTE, 60);
    static const struct {
        uint64_t at, count;
    } rows[] = {{100999, 1}, {101000, 1}, {160998, 1}, {160999, 1}, {161000, 0}};

    (void)state;
    check_num("fresh", (long long)window_count(window, 5), 0);
    window_add(window, 100999, 1); /* the last moment of its slot */
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        check_num("count", (long long)window_count(window, rows[i].at), (long long)rows[i].count);
    window_free(window);
    window = window_new(MINUTE, 60);
    window_add(window, 100000, 1); /* the first moment: a slot longer */
    check_num("span", (long long)window_count(window, 160999), 1);
    check_num("a slot more", (long long)window_count(window, 161000), 0);
    window_free(window);
}

static void test_a_clock_that_goes_back(void **state)
{
    struct window *window = window_new(MINUTE, 60);

    (void)state;
    window_add(window, 500000, 2);
    window_add(window, 400000, 1);
    check_num("then", (long long)window_count(window, 300000), 3);
    check_num("now", (long long)window_count(window, 559000), 3);
    check_num("later", (long long)window_count(window, 561000), 0);
    window_free(window);
}

static void test_waits_are_exact(void **state)
{
    struct window *window = window_new(MINUTE, 60);

    (void)state;
    window_add(window, 10500, 2);
    window_add(window, 20500, 3);
    check_num("room", (long long)window_wait(window, 21000, 5), 0);
    check_num("for one", (long long)window_wait(window, 21000, 4), 71000 - 21000);
    check_num("for two", (long long)window_wait(window, 21000, 3), 71000 - 21000);
    check_num("for three", (long long)window_wait(window, 21000, 2), 81000 - 21000);
    check_num("for all", (long long)window_wait(window, 21000, 0), 81000 - 21000);
    check_num("just before", (long long)window_count(window, 70999), 5);
    check_num("then", (long long)window_count(window, 71000), 3);
    window_free(window);
}

/* Against a list of all events: what a window holds is at least what its span
 * held, and at most what its span and a slot held. */
static void test_against_a_list(void **state)
{
    enum { EVENTS = 20000 };
    static uint64_t times[EVENTS];
    static const struct {
        uint64_t span;
        uint32_t slots;
    } kinds[] = {{MINUTE, 60}, {HOUR, 60}, {24 * HOUR, 96}, {1001, 7}};

    (void)state;
    for (size_t k = 0; k < COUNT_OF(kinds); k++) {
        struct window *window = window_new(kinds[k].span, kinds[k].slots);
        uint64_t slot = (kinds[k].span + kinds[k].slots - 1) / kinds[k].slots;
        uint64_t random = 42 + k, now = 0;

        for (size_t i = 0, from = 0; i < EVENTS; i++) {
            uint64_t least = 0, most = 0, count, wait;

            now += next_random(&random) % (random % 97 ? kinds[k].span / 50 + 1 : kinds[k].span);
            window_add(window, now, 1);
            times[i] = now;
            while (times[from] + kinds[k].span + slot <= now)
                from++;
            for (size_t j = from; j <= i; j++) {
                most += times[j] + kinds[k].span + slot > now;
                least += times[j] + kinds[k].span > now;
            }
            count = window_count(window, now);
            if (count < least || count > most)
                fail_msg("%zu at %zu: %llu, of %llu to %llu", k, i, (unsigned long long)count,
                         (unsigned long long)least, (unsigned long long)most);
            wait = window_wait(window, now, count - 1);
            assert_true(wait > 0 && wait <= kinds[k].span + slot);
        }
        window_free(window);
    }
}

struct copy {
    struct window *to;
    uint64_t now, elapsed;
};

static void put_back(void *arg, uint64_t age_ms, uint64_t events)
{
    struct copy *copy = arg;

    window_restore(copy->to, copy->now, age_ms + copy->elapsed, events);
}

/* A copy in another process, whose clock began elsewhere, is as safe. */
static void test_a_copy_forgets_nothing(void **state)
{
    uint64_t random = 7;

    (void)state;
    for (size_t round = 0; round < 2000; round++) {
        struct window *from = window_new(MINUTE, 60);
        struct copy copy = {window_new(MINUTE, 60), next_random(&random) % 100000,
                            next_random(&random) % 70000};
        uint64_t now = 200000 + next_random(&random) % 1000, young = 0;
        uint64_t later = next_random(&random) % 60000;

        for (uint64_t t = now - 80000; t <= now; t += next_random(&random) % 3000 + 1) {
            window_add(from, t, 1);
            young += t + MINUTE > now + copy.elapsed + later;
        }
        window_each(from, now, put_back, &copy);
        assert_true(window_count(copy.to, copy.now + later) >= young);
        check_num("in the end", (long long)window_count(copy.to, copy.now + MINUTE + 1000), 0);
        window_free(from);
        window_free(copy.to);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_for_its_span),
        cmocka_unit_test(test_a_clock_that_goes_back),
        cmocka_unit_test(test_waits_are_exact),
        cmocka_unit_test(test_against_a_list),
        cmocka_unit_test(test_a_copy_forgets_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
