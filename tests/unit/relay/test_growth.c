/* How many connections an account has at work, on a simulated clock. */
#include "check.h"

#include "relay/fake_world.h"
#include "relay/upstream/capacity.h"
#include "relay/upstream/pool.h"

#define A "a@x"
#define MESSAGES 200

static size_t most;

static void on_open(struct client *client)
{
    size_t open = pool_connections(client->account);

    if (open > most)
        most = open;
}

static void begin(uint32_t start, uint32_t max)
{
    struct ipc_account account;

    fake_world_open(20261126);
    fake.on_open = on_open;
    most = 0;
    fake_process_begin();
    account = fake_account(A, max);
    account.connections_start = start;
    fake_put(&account);
    fake_token(&account);
}

static void end(void)
{
    fake_process_end();
    fake_world_close();
}

static void test_connections_grow(void **state)
{
    (void)state;
    begin(1, 4);
    world.conf->queue_wait_ms = 600000;
    for (unsigned i = 0; i < MESSAGES; i++)
        fake_submit(A);
    check_num("first", (long long)most, 1);
    fake_run_until(world.now + 60000);
    check_num("delivered", world.delivered, MESSAGES);
    check_num("most", (long long)most, 4);
    end();
}

/* While not all are at work, more would be of no use. */
static void test_they_do_not_grow_without_need(void **state)
{
    (void)state;
    begin(2, 10);
    for (unsigned i = 0; i < MESSAGES; i++) {
        fake_submit(A);
        fake_run_until(world.now + 2000);
    }
    check_num("delivered", world.delivered, MESSAGES);
    check_num("most", (long long)most, 1);
    check_num("level", capacity_connections(fake_find(A)), 2);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connections_grow),
        cmocka_unit_test(test_they_do_not_grow_without_need),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
