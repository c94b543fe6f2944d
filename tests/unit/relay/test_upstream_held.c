/* Accounts that cannot send until somebody has mended something: what becomes
 * of their connections, and of the pauses of before. */
#include "check.h"

#include "relay/upstream_world.h"

static size_t lying_idle(void)
{
    return world_find(A)->pool[POOL_IDLE].count;
}

/* What lasts until somebody mends it may be about the connections themselves;
 * a pause is not. */
static void test_held_account_keeps_no_connections(void **state)
{
    (void)state;
    begin(2);
    check_outcome(deliver(1, 500, 1), OUTCOME_DELIVERED, 250);
    world_state(A, ACCOUNT_THROTTLED);
    world_state(A, ACCOUNT_PARKED);
    check_num("a pause", (long long)lying_idle(), 1);
    world_state(A, ACCOUNT_MISCONFIGURED);
    check_num("a hold", (long long)lying_idle(), 0);
    check_outcome(deliver(2, 500, 1), OUTCOME_DEFERRED, 454);
    world_state(A, ACCOUNT_ACTIVE);
    check_outcome(deliver(3, 500, 1), OUTCOME_DELIVERED, 250);
    check_num("logins", provider.logins, 2);
    world_close();
}

/* Held in the midst of a transaction: its end still counts, and that was the
 * connection's last one. */
static void test_held_while_busy(void **state)
{
    (void)state;
    begin(1);
    SCRIPT({.conn = 1, .step = STEP_FINAL, .act = ACT_HOLD});
    world_submit(A, 1, 500, 1);
    world_wait_held(1);
    world_state(A, ACCOUNT_MISCONFIGURED);
    provider_let_go(&provider);
    world_wait(&sents[1], 1);
    check_outcome(&sents[1], OUTCOME_DELIVERED, 250);
    check_num("idle", (long long)lying_idle(), 0);
    world_close();
}

static void test_held_while_logging_in(void **state)
{
    (void)state;
    begin(1);
    SCRIPT({.conn = 1, .step = STEP_AUTH, .act = ACT_STALL});
    world_submit(A, 1, 500, 1);
    world_run(100);
    world_state(A, ACCOUNT_MISCONFIGURED);
    world_wait(&sents[1], 1);
    check_outcome(&sents[1], OUTCOME_DEFERRED, 454);
    check_num("dialing", (long long)world_find(A)->pool[POOL_DIALING].count, 0);
    world_close();
}

/* The kernel does not let us have the address, so nothing is sent; and when it
 * does and the hold is lifted, no pause for the failures of before is left. */
static void test_address_that_this_host_lacks(void **state)
{
    struct ipc_account account;

    (void)state;
    begin(1);
    account = world_account(A, 1);
    account.source_address = SLICE("192.0.2.1");
    world_put(&account);
    for (unsigned id = 1; id <= 3; id++)
        check_outcome(deliver(id, 500, 1), OUTCOME_DEFERRED, 451);
    assert_non_null(strstr(sents[1].job.reply.text, "from 192.0.2.1"));
    check_num("connections", provider.connections, 0);
    assert_true(world_find(A)->dial_not_before > loop_now(&first->loop));
    world_state(A, ACCOUNT_MISCONFIGURED);
    account.source_address = SLICE("127.0.0.5");
    world_put(&account);
    world_state(A, ACCOUNT_ACTIVE);
    check_outcome(deliver(4, 500, 1), OUTCOME_DELIVERED, 250);
    world_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_held_account_keeps_no_connections),
        cmocka_unit_test(test_held_while_busy),
        cmocka_unit_test(test_held_while_logging_in),
        cmocka_unit_test(test_address_that_this_host_lacks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
