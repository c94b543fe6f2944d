/* Connections ahead of mail, hours on a simulated clock: who gets them, how many, when,
 * and that nobody knocks too often. */
#include "check.h"

#include <stdio.h>

#include "relay/fake_world.h"
#include "relay/upstream/capacity.h"
#include "relay/upstream/pool.h"

#define MINUTE 60000ull
#define HOUR (60 * MINUTE)
#define A "a@x"

static struct ipc_account account;
static unsigned asked, most_dialing;

static void on_open(struct client *client)
{
    if (client->endpoint->dialing > most_dialing)
        most_dialing = (unsigned)client->endpoint->dialing;
}

static void on_heard(const struct ipc_message *message)
{
    asked += message->type == IPC_TOKEN_WANTED;
}

static struct ipc_account with_prewarm(const char *id, uint32_t max_connections)
{
    struct ipc_account made = fake_account(id, max_connections);

    made.prewarm_min_connections = 1;
    made.prewarm_max_connections = 10;
    made.prewarm_min_messages = 20;
    made.prewarm_messages_per_connection = 2;
    made.prewarm_concurrency = 100;
    return made;
}

static void open_world(void)
{
    fake_world_open(20261126);
    fake.on_open = on_open;
    world.heard = on_heard;
    asked = most_dialing = 0;
    fake_process_begin();
}

static void begin(uint32_t max_connections)
{
    open_world();
    account = with_prewarm(A, max_connections);
    fake_put(&account);
    fake_token(&account);
}

static void end(void)
{
    fake_process_end();
    fake_world_close();
}

static void pass(uint64_t ms)
{
    fake_run_until(world.now + ms);
}

/* Moves to this time within the hour, which is ahead. */
static void pass_to(uint64_t in_hour)
{
    pass((in_hour + HOUR - world.now % HOUR) % HOUR);
}

static void burst(unsigned messages)
{
    while (messages--)
        fake_submit(A);
}

static size_t ready(void)
{
    return fake_find(A)->pool[POOL_IDLE].count;
}

static uint64_t ahead(void)
{
    return world.worker->stats->upstream_prewarmed_total;
}

static void test_the_hours_burst_finds_connections(void **state)
{
    (void)state;
    begin(4);
    pass_to(0);
    burst(40);
    pass(10 * MINUTE);
    check_num("delivered", world.delivered, 40);
    check_num("none is kept", (long long)ready(), 0);
    check_num("ahead", (long long)ahead(), 0);
    pass_to(58 * MINUTE);
    check_num("too early", (long long)ready(), 0);
    pass_to(59 * MINUTE + 59000);
    check_num("ready", (long long)ready(), 4);
    pass(1000);
    burst(40);
    pass(5 * MINUTE);
    check_num("delivered", world.delivered, 80);
    /* The mail ends: one more hour is expected, then nothing. */
    pass(HOUR);
    assert_true(ahead() >= 8);
    pass_to(58 * MINUTE);
    fake.opened = 0;
    pass(5 * HOUR);
    check_num("opened for nothing", (long long)fake.opened, 0);
    end();
}

static void test_little_mail_gets_none(void **state)
{
    (void)state;
    begin(4);
    for (unsigned i = 0; i < 3 * 19; i++) {
        fake_submit(A);
        pass(HOUR / 19 + MINUTE);
    }
    check_num("delivered", world.delivered, 3 * 19);
    check_num("ahead", (long long)ahead(), 0);
    end();
}

/* What is retired is replaced before the next message comes. */
static void test_steady_mail_never_waits(void **state)
{
    (void)state;
    unsigned found = 0;

    begin(4);
    for (unsigned i = 0; i < 400; i++) {
        found += i > 40 && ready();
        fake_submit(A);
        pass(21700);
    }
    check_num("delivered", world.delivered, 400);
    assert_true(ahead() > 20 && ahead() < 60);
    assert_true(found > 350); /* of 360: a few came while one was dialled */
    end();
}

static void check_bound(uint64_t expected)
{
    fake_put(&account);
    pass_to(30 * MINUTE);
    burst(40);
    pass_to(29 * MINUTE + 59000);
    check_num("ready", (long long)ready(), (long long)expected);
}

static void test_bounds(void **state)
{
    (void)state;
    begin(8);
    check_bound(8); /* as many as there may be */
    account.prewarm_max_connections = 3;
    check_bound(3);
    account.prewarm_max_connections = 10;
    account.prewarm_messages_per_connection = 20;
    check_bound(2);
    account.prewarm_messages_per_connection = 1000;
    check_bound(1);
    account.prewarm_min_connections = 5;
    check_bound(5);
    account.prewarm_max_connections = 0; /* off */
    check_bound(0);
    end();
}

static void test_mail_keeps_half_of_the_logins(void **state)
{
    (void)state;
    begin(8);
    world.conf->logins_per_minute = 6;
    pass_to(0);
    burst(40);
    pass_to(59 * MINUTE + 59000);
    check_num("ready", (long long)ready(), 3);
    end();
}

static void test_what_cannot_send_gets_none(void **state)
{
    struct ipc_state held = {
        .id = SLICE(A), .generation = 1, .state = ACCOUNT_PARKED, .text = SLICE("quota")};

    (void)state;
    begin(4);
    pass_to(0);
    burst(40);
    pass(MINUTE * 10);
    held.until_wall_ms = world.now + world.wall_offset + 5 * HOUR;
    upstream_state(world.worker, &held);
    pass_to(59 * MINUTE + 59000);
    check_num("held", (long long)ahead(), 0);
    held.state = ACCOUNT_ACTIVE;
    upstream_state(world.worker, &held);
    check_num("on trial", (long long)ahead(), 0);
    /* Without a token it is asked for ahead of the mail, too. */
    fake_submit(A);
    pass(MINUTE * 10);
    pass_to(0);
    burst(40);
    pass(MINUTE * 10);
    account.generation++;
    fake_put(&account);
    check_num("asked", asked, 0);
    pass_to(59 * MINUTE + 59000);
    assert_true(asked > 0);
    fake_token(&account);
    pass(2000);
    check_num("ready", (long long)ready(), 4);
    end();
}

/* All accounts have mail when the process starts: they are connected one after the
 * other, and all of it goes out. */
static void test_a_storm_is_spread(void **state)
{
    char ids[200][16];

    (void)state;
    open_world();
    world.conf->concurrent_dials = 10;
    for (unsigned i = 0; i < COUNT_OF(ids); i++) {
        struct ipc_account one;

        snprintf(ids[i], sizeof(ids[i]), "u%u@x", i);
        one = with_prewarm(ids[i], 2);
        fake_put(&one);
        fake_token(&one);
        for (unsigned j = 0; j < 3; j++)
            fake_submit(ids[i]);
    }
    pass(25000);
    check_num("delivered", world.delivered, 3 * COUNT_OF(ids));
    check_num("at once", most_dialing, 10);
    end();
}

/* Of many accounts that expect mail at the same time. */
static void test_looks_are_spread(void **state)
{
    char ids[100][16];
    uint64_t at_half;

    (void)state;
    open_world();
    for (unsigned i = 0; i < COUNT_OF(ids); i++) {
        struct ipc_account one;

        snprintf(ids[i], sizeof(ids[i]), "u%u@x", i);
        one = with_prewarm(ids[i], 1);
        fake_put(&one);
        fake_token(&one);
    }
    pass_to(0);
    for (unsigned i = 0; i < COUNT_OF(ids); i++) {
        for (unsigned j = 0; j < 20; j++)
            fake_submit(ids[i]);
    }
    pass_to(59 * MINUTE);
    check_num("ahead", (long long)ahead(), 0);
    most_dialing = 0;
    pass(30000);
    at_half = ahead();
    assert_true(at_half > 30 && at_half < 70);
    pass(29000);
    assert_true(ahead() > 90);
    assert_true(most_dialing < 10);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_hours_burst_finds_connections),
        cmocka_unit_test(test_little_mail_gets_none),
        cmocka_unit_test(test_steady_mail_never_waits),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_mail_keeps_half_of_the_logins),
        cmocka_unit_test(test_what_cannot_send_gets_none),
        cmocka_unit_test(test_a_storm_is_spread),
        cmocka_unit_test(test_looks_are_spread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
