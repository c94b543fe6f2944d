/* Counters over the lives of several relays, and a relay that lies. */
#include "check.h"

#include <sys/mman.h>
#include <unistd.h>

#include "broker/relay_stats.h"

static struct relay_stats stats;
static struct stats sums;
static struct stats_area *relay; /* as the relay sees it */
static int relay_fd;

static void begin_relay(void)
{
    struct reason why;

    relay_fd = relay_stats_begin(&stats, &why);
    assert_true(relay_fd >= 0);
    relay = mmap(NULL, sizeof(*relay), PROT_READ | PROT_WRITE, MAP_SHARED, relay_fd, 0);
    assert_true(relay != MAP_FAILED);
}

static void end_relay(void)
{
    munmap(relay, sizeof(*relay));
    close(relay_fd);
    relay_stats_end(&stats);
}

static void check_sums(long long delivered, long long sessions, long long waits)
{
    relay_stats_read(&stats, &sums);
    check_num("delivered", (long long)sums.messages_delivered_total, delivered);
    check_num("sessions", (long long)sums.client_sessions, sessions);
    check_num("waits", (long long)sums.message_wait_seconds.buckets[3], waits);
}

static void test_over_several_relays(void **state)
{
    (void)state;
    check_sums(0, 0, 0);
    begin_relay();
    check_sums(0, 0, 0);
    stats_add(&relay->blocks[0].messages_delivered_total, 5);
    stats_add(&relay->blocks[3].messages_delivered_total, 2);
    stats_add(&relay->blocks[3].client_sessions, 9);
    stats_observe(&relay->blocks[0].message_wait_seconds, 8);
    check_sums(7, 9, 1);
    check_sums(7, 9, 1); /* reading changes nothing */
    end_relay();
    check_sums(7, 0, 1); /* its clients are gone, what it did is not */
    relay_stats_end(&stats);
    check_sums(7, 0, 1);
    begin_relay();
    check_sums(7, 0, 1);
    stats_add(&relay->blocks[1].messages_delivered_total, 1);
    stats_add(&relay->blocks[1].client_sessions, 1);
    check_sums(8, 1, 1);
    munmap(relay, sizeof(*relay));
    close(relay_fd);
    begin_relay(); /* without a word of the last one's end */
    check_sums(8, 0, 1);
    end_relay();
}

/* The relay cannot take the memory away under our reads. */
static void test_the_memory_stays(void **state)
{
    (void)state;
    begin_relay();
    assert_int_not_equal(ftruncate(relay_fd, 0), 0);
    assert_int_not_equal(ftruncate(relay_fd, 1 << 24), 0);
    check_sums(0, 0, 0);
    end_relay();
}

static void test_any_octets(void **state)
{
    (void)state;
    begin_relay();
    memset(relay, 0xff, sizeof(*relay));
    relay_stats_read(&stats, &sums);
    check_num("64 times -1", (long long)sums.messages_delivered_total, -STATS_WORKERS_MAX);
    end_relay();
    relay_stats_read(&stats, &sums);
    check_num("sessions", (long long)sums.client_sessions, 0);
}

static int set_up(void **state)
{
    (void)state;
    memset(&stats, 0, sizeof(stats));
    return 0;
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_over_several_relays),
        TEST(test_the_memory_stays),
        TEST(test_any_octets),
    };

    return cmocka_run_group_tests_name("broker/relay_stats", tests, NULL, NULL);
}
