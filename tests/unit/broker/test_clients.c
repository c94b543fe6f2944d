/* What client addresses may still do. */
#include "broker/admin/clients.h"
#include "check.h"

static const struct clients_limits limits = {10, 3, 60000};

static struct clients *make(void)
{
    struct clients *clients = clients_new();

    clients_configure(clients, &limits);
    return clients;
}

static size_t take_all(struct clients *clients, const char *key, uint64_t now)
{
    uint64_t wait;
    size_t taken = 0;

    while (clients_take_request(clients, key, now, &wait))
        taken++;
    assert_int_equal(wait, 1);
    return taken;
}

static void requests_flow_at_their_rate(void **state)
{
    struct clients *clients = make();
    uint64_t now = 1000;

    (void)state;
    assert_int_equal(take_all(clients, "a", now), 20); /* a burst */
    assert_int_equal(take_all(clients, "a", now), 0);
    assert_int_equal(take_all(clients, "a", now + 99), 0);
    assert_int_equal(take_all(clients, "a", now + 100), 1);
    assert_int_equal(take_all(clients, "a", now + 1100), 10);
    assert_int_equal(take_all(clients, "a", now + 3600000), 20);
    clients_free(clients);
}

/* Whatever the steps: never more than a burst and the rate. */
static void many_small_steps_lose_nothing(void **state)
{
    struct clients *clients = make();
    size_t taken = 0;

    (void)state;
    for (uint64_t now = 0; now <= 10000; now += 7)
        taken += take_all(clients, "a", now);
    assert_in_range(taken, 118, 120);
    clients_free(clients);
}

static void addresses_are_apart(void **state)
{
    struct clients *clients = make();

    (void)state;
    assert_int_equal(take_all(clients, "a", 0), 20);
    assert_int_equal(take_all(clients, "b", 0), 20);
    assert_true(clients_take_handshake(clients, "a", 0)); /* these, too */
    clients_free(clients);
}

static void rates_may_change(void **state)
{
    struct clients *clients = make();

    (void)state;
    assert_int_equal(take_all(clients, "a", 0), 20);
    clients_configure(clients, &(struct clients_limits){100000, 3, 60000});
    assert_int_equal(take_all(clients, "a", UINT64_MAX), 200000); /* no overflow */
    clients_free(clients);
}

static void failures_are_counted_per_window(void **state)
{
    struct clients *clients = make();
    uint64_t wait;

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_true(clients_count_failure(clients, "a", 5000, &wait));
    assert_false(clients_count_failure(clients, "a", 6000, &wait));
    assert_int_equal(wait, 60);
    assert_true(clients_count_failure(clients, "b", 6000, &wait));
    assert_false(clients_count_failure(clients, "a", 64999, &wait));
    assert_true(clients_count_failure(clients, "a", 65000, &wait));
    clients_free(clients);
}

/* The table is bounded: who was seen last stays. */
static void the_oldest_drop_out(void **state)
{
    struct clients *clients = make();
    uint64_t wait;
    char key[32];

    (void)state;
    assert_int_equal(take_all(clients, "old", 0), 20);
    assert_int_equal(take_all(clients, "busy", 0), 20);
    for (int i = 0; i < 2000; i++) {
        snprintf(key, sizeof(key), "10.0.%d.%d", i / 256, i % 256);
        assert_true(clients_take_request(clients, key, 0, &wait));
        assert_false(clients_take_request(clients, "busy", 0, &wait));
    }
    assert_int_equal(take_all(clients, "old", 0), 20);
    clients_free(clients);
}

static void check_key(const char *address, const char *wanted)
{
    struct net_address parsed;
    struct reason why;
    char key[64];

    if (!net_address_parse(address, &parsed, &why))
        fail_msg("%s: %s", address, why.text);
    clients_key(&parsed, key, sizeof(key));
    check_text(address, slice_of(key), wanted);
}

static void keys(void **state)
{
    (void)state;
    check_key("192.0.2.1:25", "192.0.2.1");
    check_key("[2001:db8:1:2:3:4:5:6]:25", "2001:db8:1:2::/64");
    check_key("[2001:db8:1:2::1]:80", "2001:db8:1:2::/64");
    check_key("[::ffff:192.0.2.1]:80", "192.0.2.1");
    check_key("unix:/run/x", "unix");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_flow_at_their_rate),
        cmocka_unit_test(many_small_steps_lose_nothing),
        cmocka_unit_test(addresses_are_apart),
        cmocka_unit_test(rates_may_change),
        cmocka_unit_test(failures_are_counted_per_window),
        cmocka_unit_test(the_oldest_drop_out),
        cmocka_unit_test(keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
