/* The window that convicts a client of a 31st message in a minute. */
#include "sim/stats.h"

#include "check.h"

static void test_edges(void **state)
{
    struct window window = {0};

    (void)state;
    assert_int_equal(window_count(&window, 0), 0);
    window_add(&window, 1000);
    window_add(&window, 1000 + WINDOW_MS - 1);
    assert_int_equal(window.most, 2);
    /* Exactly a window later the first one no longer counts. */
    assert_int_equal(window_count(&window, 1000 + WINDOW_MS), 1);
    window_add(&window, 1000 + WINDOW_MS);
    assert_int_equal(window.most, 2);
    assert_int_equal(window_count(&window, 1000 + 3 * WINDOW_MS), 0);
    window_clear(&window);
}

/* The most events in any (t - WINDOW_MS, t], counted the slow way. */
static size_t most_of(const uint64_t *at, size_t count)
{
    size_t most = 0;

    for (size_t i = 0; i < count; i++) {
        size_t held = 0;

        for (size_t j = 0; j <= i; j++)
            held += at[j] + WINDOW_MS > at[i];
        if (held > most)
            most = held;
    }
    return most;
}

static void test_against_counting(void **state)
{
    enum { EVENTS = 2000 };
    static uint64_t at[EVENTS];
    uint32_t random = 12345;

    (void)state;
    for (int round = 0; round < 20; round++) {
        struct window window = {0};
        uint64_t now = 1;

        for (size_t i = 0; i < EVENTS; i++) {
            random = random * 1664525 + 1013904223;
            now += (random >> 16) % (round * 200 + 1);
            at[i] = now;
            window_add(&window, now);
        }
        assert_int_equal(window.most, most_of(at, EVENTS));
        window_clear(&window);
    }
}

static void test_bound(void **state)
{
    struct window window = {0};

    (void)state;
    for (size_t i = 0; i < WINDOW_MAX + 100; i++)
        window_add(&window, 5);
    assert_int_equal(window.most, WINDOW_MAX);
    assert_int_equal(window_count(&window, 5), WINDOW_MAX);
    window_clear(&window);
}

static void test_reset_keeps_what_is_true_now(void **state)
{
    struct stats stats = {0};

    (void)state;
    stats_connected(&stats);
    stats_connected(&stats);
    stats.connections--;
    stats_submitting(&stats);
    stats.accepted = 7;
    assert_int_equal(stats.max_connections, 2);
    stats_reset(&stats);
    assert_int_equal(stats.accepted, 0);
    assert_int_equal(stats.connections, 1);
    assert_int_equal(stats.max_connections, 1);
    assert_int_equal(stats.submitting, 1);
    stats_clear(&stats);
}

static void test_peers(void **state)
{
    struct stats stats = {0};
    char text[PEER_TEXT];

    (void)state;
    for (unsigned i = 0; i < PEERS_MAX + 10; i++) {
        snprintf(text, sizeof(text), "10.0.0.%u", i);
        stats_peer(&stats, text)->logins++;
    }
    stats_peer(&stats, "10.0.0.7")->logins++;
    assert_int_equal(stats.peer_count, PEERS_MAX);
    assert_string_equal(stats.peers[7].address, "10.0.0.7");
    assert_int_equal(stats.peers[7].logins, 2);
    assert_string_equal(stats.peers[PEERS_MAX - 1].address, "others");
    assert_int_equal(stats.peers[PEERS_MAX - 1].logins, 11);
    stats_clear(&stats);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_edges), cmocka_unit_test(test_against_counting),
        cmocka_unit_test(test_bound), cmocka_unit_test(test_reset_keeps_what_is_true_now),
        cmocka_unit_test(test_peers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
