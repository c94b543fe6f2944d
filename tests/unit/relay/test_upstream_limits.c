/* Limits against a scripted provider: who waits, who is refused with which words,
 * how many connections are at work, what is left alone. */
#include "check.h"

#include <stdio.h>

#include "base/clock.h"
#include "relay/upstream/capacity.h"
#include "relay/upstream/pool.h"
#include "relay/upstream_world.h"

static struct ipc_account account;

static void begin_with(unsigned max_connections)
{
    world_open(1);
    account = world_account(A, max_connections);
    account.breaker_failures = 3;
    account.breaker_recovery_ms = 3600000;
}

/* The time of those that are open passes. */
static void let_breakers_pass(void)
{
    world_find(A)->breaker.until = world_find(A)->endpoint->breaker.until = loop_now(&first->loop);
}

static void put(void)
{
    world_put(&account);
    if (!account_token_valid(world_find(A)))
        world_token(A, 3600000);
}

static void submit_many(unsigned from, unsigned to)
{
    for (unsigned i = from; i <= to; i++)
        world_submit(A, i, 500, 1);
}

static void wait_many(unsigned from, unsigned to)
{
    for (unsigned i = from; i <= to; i++)
        world_wait(&sents[i], 1);
}

static void check_said(unsigned id, const char *text)
{
    const char *got = sents[id].job.reply.text;

    if (!got || !strstr(got, text))
        fail_msg("job %u: \"%s\" lacks \"%s\"", id, got ? got : "", text);
}

static bool told_at_mail(struct smtp_reply *reply)
{
    return login_is_refused(sents[1].login, loop_now(&first->loop), reply);
}

/* --- rates --- */

static void test_over_the_limit_is_told_at_once(void **state)
{
    struct smtp_reply reply;

    (void)state;
    smtp_reply_init(&reply);
    begin_with(2);
    account.messages_per_minute = 5;
    put();
    submit_many(1, 8);
    wait_many(1, 8);
    for (unsigned i = 1; i <= 8; i++) {
        check_outcome(&sents[i], i <= 5 ? OUTCOME_DELIVERED : OUTCOME_DEFERRED, i <= 5 ? 250 : 451);
        check_num("enhanced", sents[i].job.reply.enhanced.subject, i <= 5 ? 0 : 7);
    }
    check_said(7, "messages_per_minute of 5");
    check_said(7, "room in ");
    check_num("messages", provider.messages, 5);
    check_num("refused", (long long)first->stats->refused_messages_per_minute_total, 3);
    /* Known before any content comes. */
    assert_true(told_at_mail(&reply));
    check_num("code", reply.code, 451);
    assert_non_null(strstr(reply.text, "messages_per_minute"));
    account.messages_per_minute = 50;
    put();
    assert_false(told_at_mail(&reply));
    check_outcome(world_submit(A, 9, 500, 1), OUTCOME_NONE, 0);
    world_wait(&sents[9], 1);
    check_outcome(&sents[9], OUTCOME_DELIVERED, 250);
    smtp_reply_clear(&reply);
    world_close();
}

static void test_room_in_time_is_waited_for(void **state)
{
    struct smtp_reply reply;

    (void)state;
    smtp_reply_init(&reply);
    begin_with(2);
    account.messages_per_minute = 3;
    world_conf->queue_wait_ms = 100000;
    put();
    submit_many(1, 5);
    wait_many(1, 3);
    world_run(100);
    check_num("waiting", (long long)world_find(A)->waiting.count, 2);
    assert_false(told_at_mail(&reply));
    assert_true(timer_active(&world_find(A)->pump_timer));
    /* A fourth in its place would be behind three: too long. */
    world_conf->queue_wait_ms = 61500;
    submit_many(6, 7);
    wait_many(7, 7);
    check_outcome(&sents[7], OUTCOME_DEFERRED, 451);
    check_num("waits", sents[6].dones, 0);
    account.messages_per_minute = 0;
    put();
    wait_many(4, 6);
    for (unsigned i = 4; i <= 6; i++)
        check_outcome(&sents[i], OUTCOME_DELIVERED, 250);
    smtp_reply_clear(&reply);
    world_close();
}

/* What the provider has not taken is given back; what it may have is not. */
static void test_what_counts(void **state)
{
    (void)state;
    begin_with(1);
    account.messages_per_hour = 3;
    put();
    SCRIPT({.conn = 1, .nth = 1, .step = STEP_MAIL, .act = ACT_SAY, .text = "451 4.3.0 later"},
           {.conn = 1, .nth = 1, .step = STEP_RCPT, .act = ACT_SAY, .text = "550 5.1.1 nobody"},
           {.conn = 1, .nth = 3, .step = STEP_MAIL, .act = ACT_CLOSE},
           {.conn = 2, .nth = 2, .step = STEP_FINAL, .act = ACT_SAY, .text = "554 5.6.0 no"},
           {.conn = 2, .nth = 3, .step = STEP_FINAL, .act = ACT_ACCEPT_CLOSE});
    check_outcome(deliver(1, 500, 1), OUTCOME_DEFERRED, 451);
    check_outcome(deliver(2, 500, 1), OUTCOME_REJECTED, 550);
    check_num("given back", (long long)capacity_room(world_find(A)), 3);
    check_outcome(deliver(3, 2 * MIB, 1), OUTCOME_DELIVERED, 250);
    check_num("second try", (long long)capacity_room(world_find(A)), 2);
    check_outcome(deliver(4, 500, 1), OUTCOME_REJECTED, 554);
    check_num("seen and refused", (long long)capacity_room(world_find(A)), 1);
    check_outcome(deliver(5, 500, 1), OUTCOME_UNKNOWN, 451);
    check_num("unknown", (long long)capacity_room(world_find(A)), 0);
    check_outcome(deliver(6, 500, 1), OUTCOME_DEFERRED, 451);
    check_said(6, "messages_per_hour");
    world_close();
}

static void test_recipients(void **state)
{
    (void)state;
    begin_with(1);
    account.recipients_per_day = 10;
    put();
    check_outcome(deliver(1, 500, 6), OUTCOME_DELIVERED, 250);
    check_outcome(deliver(2, 500, 6), OUTCOME_DEFERRED, 451);
    check_said(2, "recipients_per_day of 10");
    check_outcome(deliver(3, 500, 4), OUTCOME_DELIVERED, 250);
    check_num("refused", (long long)first->stats->refused_recipients_per_day_total, 1);
    world_close();
}

static void test_live_recipients(void **state)
{
    struct sent *sent;

    (void)state;
    begin_with(1);
    account.recipients_per_day = 2;
    put();
    SCRIPT({.nth = 2, .step = STEP_RCPT, .act = ACT_SAY, .text = "550 5.1.1 nobody"});
    sent = world_job(A, 1, 500, 0);
    for (unsigned i = 1; i <= 3; i++) {
        world_add_rcpt(sent, "one@x");
        job_submit(&sent->job, JOB_RCPT);
        world_wait(sent, i);
    }
    check_num("first", sent->job.envelope.rcpts[0].reply.code, 250);
    check_num("second", sent->job.envelope.rcpts[1].reply.code, 550);
    check_num("third", sent->job.envelope.rcpts[2].reply.code, 451);
    check_num("RCPT", provider_count(&provider, "RCPT"), 2);
    job_submit(&sent->job, JOB_CONTENT);
    world_wait(sent, 4);
    check_outcome(sent, OUTCOME_DELIVERED, 250);
    /* The refused one was none. */
    check_outcome(deliver(2, 500, 1), OUTCOME_DELIVERED, 250);
    check_outcome(deliver(3, 500, 1), OUTCOME_DEFERRED, 451);
    world_close();
}

static void test_no_connection_for_who_has_no_room(void **state)
{
    (void)state;
    begin_with(5);
    account.messages_per_minute = 2;
    world_conf->queue_wait_ms = 100000;
    put();
    submit_many(1, 6);
    wait_many(1, 2);
    world_run(50);
    check_num("connections", provider.connections, 2);
    account.messages_per_minute = 0;
    put();
    wait_many(3, 6);
    world_close();
}

/* --- groups --- */

static void put_in_group(const char *id)
{
    account = world_account(id, 2);
    account.group = SLICE("tenant");
    account.group_messages_per_hour = 40;
    account.group_recipients_per_day = 1000;
    world_put(&account);
    world_token(id, 3600000);
}

static void check_group(unsigned workers)
{
    unsigned delivered = 0;
    char id[32];

    world_open(workers);
    for (unsigned n = 0; n < 8; n++) {
        snprintf(id, sizeof(id), "u%u@example.com", n);
        put_in_group(id);
    }
    for (unsigned i = 1; i <= 120; i++) {
        snprintf(id, sizeof(id), "u%u@example.com", i % 8);
        world_submit(id, i, 500, 1 + i % 3);
    }
    wait_many(1, 120);
    for (unsigned i = 1; i <= 120; i++) {
        delivered += sents[i].job.outcome == OUTCOME_DELIVERED;
        if (sents[i].job.outcome == OUTCOME_DELIVERED)
            continue;
        check_outcome(&sents[i], OUTCOME_DEFERRED, 451);
        check_said(i, "the limit messages_per_hour of 40 of its group tenant is reached");
    }
    check_num("delivered", delivered, 40);
    check_num("at the provider", provider.messages, 40);
    world_close();
}

static void test_group_of_one_worker(void **state)
{
    (void)state;
    check_group(1);
}

static void test_group_over_workers(void **state)
{
    (void)state;
    check_group(4);
}

/* What one worker asked for and did not use is another's in the end. */
static void test_group_gives_back(void **state)
{
    (void)state;
    world_open(4);
    put_in_group("u0@example.com");
    put_in_group("u1@example.com");
    put_in_group("u2@example.com");
    SCRIPT({.step = STEP_MAIL, .act = ACT_SAY, .text = "451 4.3.0 later"});
    for (unsigned i = 1; i <= 20; i++) /* granted, and given back */
        world_wait(world_submit("u0@example.com", i, 500, 1), 1);
    check_outcome(&sents[20], OUTCOME_DEFERRED, 451);
    provider.fault_count = 0;
    world_conf->queue_wait_ms = 10000;
    for (unsigned i = 21; i <= 60; i++)
        world_submit(i % 2 ? "u1@example.com" : "u2@example.com", i, 500, 1);
    wait_many(21, 60);
    for (unsigned i = 21; i <= 60; i++)
        check_outcome(&sents[i], OUTCOME_DELIVERED, 250);
    world_close();
}

/* --- the ledger --- */

static char told[8192];
static unsigned tellings;

static void hear_ledger(const struct ipc_message *message)
{
    if (message->type != IPC_LEDGER)
        return;
    check_text("account", message->u.ledger.id, A);
    slice_copy(message->u.ledger.state, told, sizeof(told));
    tellings++;
}

static bool was_told(void *arg)
{
    return tellings >= *(unsigned *)arg;
}

static void test_what_was_sent_is_told(void **state)
{
    unsigned once = 1;

    (void)state;
    begin_with(1);
    tellings = 0;
    ear.hear = hear_ledger;
    account.messages_per_minute = 200;
    put();
    for (unsigned id = 1; id <= 10; id++)
        check_outcome(deliver(id, 500, 1), OUTCOME_DELIVERED, 250);
    assert_true(tellings < 10); /* not for each */
    assert_true(world_until(was_told, &once));
    assert_non_null(strstr(told, "m"));
    tellings = 0;
    submit_many(11, 40); /* much at once is told at once */
    assert_true(world_until(was_told, &once));
    wait_many(11, 40);
    world_run(50);
    upstream_tell_ledgers(first);
    assert_null(strchr(told, 'f'));
    assert_false(list_node_linked(&world_find(A)->ledger.node));
    world_close();
}

static void test_what_was_sent_before(void **state)
{
    struct ipc_ledger_put ledger = {0, SLICE(A), SLICE("m0:3"), 1000, UINT64_MAX};

    (void)state;
    begin_with(1);
    account.messages_per_minute = 5;
    put();
    upstream_ledger(first, &ledger);
    upstream_ledger(first, &ledger); /* once is enough */
    check_num("room", (long long)capacity_room(world_find(A)), 2);
    check_outcome(deliver(1, 500, 1), OUTCOME_DELIVERED, 250);
    check_outcome(deliver(2, 500, 1), OUTCOME_DELIVERED, 250);
    check_outcome(deliver(3, 500, 1), OUTCOME_DEFERRED, 451);
    world_close();
}

static void test_what_may_be_missing(void **state)
{
    struct ipc_ledger_put ledger = {0, SLICE(A), SLICE("m0:3"), 1000, 0};
    unsigned once = 1;

    (void)state;
    begin_with(1);
    tellings = 0;
    ear.hear = hear_ledger;
    account.messages_per_minute = 50;
    put();
    upstream_ledger(first, &ledger);
    check_num("room", (long long)capacity_room(world_find(A)), 50 - 3 - 5);
    assert_true(world_until(was_told, &once)); /* so that it is not missing again */
    world_close();
}

/* --- turns --- */

static struct sent *submit_from(const char *client, unsigned id)
{
    struct sent *sent = world_job(A, id, 500, 1);

    slice_copy(slice_of(client), sent->job.client, sizeof(sent->job.client));
    job_submit(&sent->job, JOB_DELIVER);
    return sent;
}

static void test_fair_between_clients(void **state)
{
    (void)state;
    begin_with(1);
    put();
    SCRIPT({.step = STEP_FINAL, .act = ACT_LATE, .text = "20"});
    for (unsigned id = 1; id <= 20; id++)
        submit_from("192.0.2.1", id);
    submit_from("192.0.2.2", 21);
    submit_from("192.0.2.3", 22);
    wait_many(21, 22);
    assert_true(provider.messages <= 5);
    wait_many(1, 20);
    world_close();
}

static void test_concurrent_messages(void **state)
{
    (void)state;
    begin_with(3);
    account.max_concurrent = 1;
    put();
    SCRIPT({.nth = 1, .step = STEP_FINAL, .act = ACT_HOLD});
    submit_many(1, 1);
    world_wait_held(1);
    world_conf->queue_wait_ms = 200;
    submit_many(2, 2);
    wait_many(2, 2);
    provider_let_go(&provider);
    wait_many(1, 1);
    check_outcome(&sents[2], OUTCOME_DEFERRED, 451);
    check_said(2, "max_concurrent_messages of 1");
    check_num("enhanced", sents[2].job.reply.enhanced.subject, 4);
    check_num("enhanced", sents[2].job.reply.enhanced.detail, 5);
    check_num("refused", (long long)first->stats->refused_concurrent_total, 1);
    world_close();
}

/* --- the controller --- */

static bool was_cut(void *unused)
{
    (void)unused;
    return first->stats->connections_cut_total > 0;
}

static bool are_few(void *most)
{
    return provider_open(&provider) <= *(unsigned *)most;
}

static void test_too_many_connections(void **state)
{
    unsigned most = 2;

    (void)state;
    begin_with(4);
    put();
    SCRIPT({.conn = 4,
            .nth = 1,
            .step = STEP_FINAL,
            .act = ACT_SAY,
            .text = "432 4.3.2 Concurrent connections limit exceeded"},
           {.nth = 1, .step = STEP_FINAL, .act = ACT_HOLD});
    submit_many(1, 4);
    world_wait_held(3);
    assert_true(world_until(was_cut, NULL));
    provider_let_go(&provider);
    wait_many(1, 4);
    check_num("cut", (long long)first->stats->connections_cut_total, 1);
    assert_true(capacity_connections(world_find(A)) <= 2);
    assert_true(world_until(are_few, &most));
    SCRIPT({.step = STEP_FINAL, .act = ACT_LATE, .text = "5"});
    submit_many(5, 60);
    wait_many(5, 60);
    assert_true(capacity_connections(world_find(A)) <= 3); /* below what hurt */
    world_close();
}

/* --- what fails --- */

static void test_account_breaker(void **state)
{
    (void)state;
    begin_with(2);
    put();
    SCRIPT({.step = STEP_GREETING, .act = ACT_SAY_CLOSE, .text = "421 4.3.2 not now"});
    world_conf->queue_wait_ms = 10000;
    check_outcome(deliver(1, 500, 1), OUTCOME_DEFERRED, 451);
    check_num("attempts", provider.connections, 3);
    check_said(1, "not now");
    check_said(1, "tried again in");
    check_num("opened", (long long)first->stats->account_breakers_total, 1);
    check_outcome(deliver(2, 500, 1), OUTCOME_DEFERRED, 451); /* at once */
    check_num("attempts", provider.connections, 3);
    check_num("refused", (long long)first->stats->refused_broken_total, 2);
    let_breakers_pass();
    submit_many(3, 5); /* one trial for all of them */
    wait_many(3, 5);
    check_num("attempts", provider.connections, 4);
    let_breakers_pass();
    provider.fault_count = 0;
    submit_many(6, 10);
    wait_many(6, 10);
    for (unsigned i = 6; i <= 10; i++)
        check_outcome(&sents[i], OUTCOME_DELIVERED, 250);
    check_num("opened", (long long)first->stats->account_breakers_total, 2);
    world_close();
}

static void put_named(unsigned n, char id[32])
{
    snprintf(id, 32, "u%u@example.com", n);
    account = world_account(id, 1);
    account.breaker_failures = 3;
    account.breaker_recovery_ms = 3600000;
    world_put(&account);
    world_token(id, 3600000);
}

static void test_one_account_is_not_the_server(void **state)
{
    char id[32];

    (void)state;
    begin_with(1);
    put();
    SCRIPT({.conn = 1, .step = STEP_CONNECT, .act = ACT_CLOSE},
           {.conn = 2, .step = STEP_CONNECT, .act = ACT_CLOSE},
           {.conn = 3, .step = STEP_CONNECT, .act = ACT_CLOSE});
    check_outcome(deliver(1, 500, 1), OUTCOME_DEFERRED, 451);
    put_named(1, id);
    world_wait(world_submit(id, 2, 500, 1), 1);
    check_outcome(&sents[2], OUTCOME_DELIVERED, 250);
    check_num("servers", (long long)first->stats->endpoint_breakers_total, 0);
    world_close();
}

static void test_endpoint_breaker(void **state)
{
    char id[32];

    (void)state;
    begin_with(1);
    put();
    SCRIPT({.step = STEP_CONNECT, .act = ACT_CLOSE});
    world_conf->queue_wait_ms = 10000;
    for (unsigned n = 1; n <= 3; n++) {
        put_named(n, id);
        world_submit(id, n, 500, 1);
    }
    wait_many(1, 3);
    check_num("servers", (long long)first->stats->endpoint_breakers_total, 1);
    assert_true(provider.connections <= 9);
    /* Another account need not find out by itself. */
    provider.connections = 0;
    check_outcome(deliver(4, 500, 1), OUTCOME_DEFERRED, 451);
    check_num("attempts", provider.connections, 0);
    check_said(4, "tried again in");
    let_breakers_pass();
    provider.fault_count = 0;
    check_outcome(deliver(5, 500, 1), OUTCOME_DELIVERED, 250);
    world_close();
}

/* Behind a hold one message shows whether it is over. */
static void test_one_message_first(void **state)
{
    (void)state;
    begin_with(3);
    put();
    check_outcome(deliver(1, 500, 1), OUTCOME_DELIVERED, 250);
    world_state(A, ACCOUNT_PARKED);
    SCRIPT({.conn = 1, .nth = 2, .step = STEP_FINAL, .act = ACT_HOLD});
    world_state(A, ACCOUNT_ACTIVE);
    submit_many(2, 6);
    world_wait_held(1);
    world_run(50);
    check_num("first", (long long)world_find(A)->running.count, 1);
    provider_let_go(&provider);
    wait_many(2, 6);
    check_num("then all", world_find(A)->on_trial, 0);
    world_close();
}

static uint64_t held_for(void)
{
    return world_find(A)->until_wall_ms - clock_wall_ms();
}

static void test_relapses_last_longer(void **state)
{
    static const unsigned hours[] = {1, 2, 4, 8, 16, 24, 24};

    (void)state;
    begin_with(1);
    put();
    SCRIPT({.step = STEP_FINAL, .act = ACT_SAY, .text = "550 5.4.5 Daily user sending limit"});
    for (unsigned i = 0; i < COUNT_OF(hours); i++) {
        check_outcome(deliver(i + 1, 500, 1), OUTCOME_DEFERRED, 452);
        check_num("hours", (long long)(held_for() + 60000) / 3600000, hours[i]);
        world_find(A)->until_wall_ms = 1; /* time passes */
    }
    provider.fault_count = 0;
    check_outcome(deliver(20, 500, 1), OUTCOME_DELIVERED, 250);
    SCRIPT({.step = STEP_FINAL, .act = ACT_SAY, .text = "550 5.4.5 Daily user sending limit"});
    check_outcome(deliver(21, 500, 1), OUTCOME_DEFERRED, 452);
    check_num("hours", (long long)(held_for() + 60000) / 3600000, 1);
    world_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_over_the_limit_is_told_at_once),
        cmocka_unit_test(test_room_in_time_is_waited_for),
        cmocka_unit_test(test_what_counts),
        cmocka_unit_test(test_recipients),
        cmocka_unit_test(test_live_recipients),
        cmocka_unit_test(test_no_connection_for_who_has_no_room),
        cmocka_unit_test(test_group_of_one_worker),
        cmocka_unit_test(test_group_over_workers),
        cmocka_unit_test(test_group_gives_back),
        cmocka_unit_test(test_what_was_sent_is_told),
        cmocka_unit_test(test_what_was_sent_before),
        cmocka_unit_test(test_what_may_be_missing),
        cmocka_unit_test(test_fair_between_clients),
        cmocka_unit_test(test_concurrent_messages),
        cmocka_unit_test(test_too_many_connections),
        cmocka_unit_test(test_account_breaker),
        cmocka_unit_test(test_one_account_is_not_the_server),
        cmocka_unit_test(test_endpoint_breaker),
        cmocka_unit_test(test_one_message_first),
        cmocka_unit_test(test_relapses_last_longer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
