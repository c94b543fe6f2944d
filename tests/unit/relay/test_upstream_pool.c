/* Many messages against a scripted provider: the pool, limits, tokens and
 * logins, accounts that change, cancelling, live recipients. */
#include "check.h"

#include <stdio.h>

#include "relay/upstream/pool.h"
#include "relay/upstream_world.h"

#define B "b@example.com"

/* --- the pool --- */

static void test_cap_and_line(void **state)
{
    (void)state;
    begin(3);
    SCRIPT({.step = STEP_FINAL, .act = ACT_LATE, .text = "5"});
    for (unsigned i = 1; i <= 60; i++)
        world_submit(A, i, 500, 1);
    for (unsigned i = 1; i <= 60; i++) {
        world_wait(&sents[i], 1);
        check_outcome(&sents[i], OUTCOME_DELIVERED, 250);
    }
    check_num("at once", provider.most, 3);
    check_num("in all", provider.connections, 3);
    world_close();
}

/* Quitting connections count until they are closed. */
static void test_cap_counts_quitting_ones(void **state)
{
    struct ipc_account account;

    (void)state;
    world_open(1);
    account = world_account(A, 2);
    account.max_messages_per_connection = 1;
    world_put(&account);
    world_token(A, 3600000);
    SCRIPT({.step = STEP_QUIT, .act = ACT_LATE, .text = "20"});
    for (unsigned i = 1; i <= 20; i++)
        world_submit(A, i, 500, 1);
    for (unsigned i = 1; i <= 20; i++)
        world_wait(&sents[i], 1);
    assert_true(provider.most <= 2);
    check_num("in all", provider.connections, 20);
    world_close();
}

static void test_lower_cap_retires_idle_ones(void **state)
{
    struct ipc_account account;

    (void)state;
    begin(4);
    SCRIPT({.step = STEP_FINAL, .act = ACT_HOLD});
    for (unsigned i = 1; i <= 4; i++)
        world_submit(A, i, 500, 1);
    world_wait_held(4);
    provider_let_go(&provider);
    for (unsigned i = 1; i <= 4; i++)
        world_wait(&sents[i], 1);
    check_num("open", provider_open(&provider), 4);
    account = world_account(A, 1);
    upstream_put(first, &account);
    world_find(A)->max_connections = 4; /* for check_caps while they quit */
    world_wait_open(1);
    world_close();
}

/* A message that lost its connection wants a fresh one; the others need not
 * wait behind it while old ones are idle. */
static void test_fresh_one_does_not_hold_up_the_line(void **state)
{
    (void)state;
    begin(2);
    SCRIPT({.conn = 1, .nth = 2, .step = STEP_MAIL, .act = ACT_CLOSE},
           {.conn = 3, .step = STEP_CONNECT, .act = ACT_STALL},
           {.conn = 2, .nth = 1, .step = STEP_FINAL, .act = ACT_HOLD},
           {.conn = 1, .nth = 1, .step = STEP_FINAL, .act = ACT_HOLD});
    world_conf->connect_timeout_ms = 3000;
    world_conf->upstream_command_ms = 3000;
    world_submit(A, 1, 500, 1);
    world_submit(A, 2, 500, 1);
    world_wait_held(2);
    provider_let_go(&provider);
    world_wait(&sents[1], 1);
    world_wait(&sents[2], 1);
    for (unsigned i = 3; i <= 8; i++)
        world_submit(A, i, 2 * MIB, 1);
    for (unsigned i = 3, slow = 0; i <= 8; i++) {
        world_wait(&sents[i], 1);
        check_outcome(&sents[i], OUTCOME_DELIVERED, 250);
        slow += sents[i].job.attempts > 1 && sents[i].job.time.wait > 2500000;
        assert_true(slow <= 1);
        if (sents[i].job.attempts == 1)
            assert_true(sents[i].job.time.wait < 2500000);
    }
    assert_true(provider.most <= 2);
    world_close();
}

static void test_expired_ones_are_replaced(void **state)
{
    struct ipc_account account;

    (void)state;
    world_open(1);
    account = world_account(A, 1);
    account.idle_ms = 50;
    world_put(&account);
    world_token(A, 3600000);
    check_outcome(deliver(1, 500, 1), OUTCOME_DELIVERED, 250);
    world_wait_open(0);
    check_num("QUIT", provider_count(&provider, "QUIT"), 1);
    check_outcome(deliver(2, 500, 1), OUTCOME_DELIVERED, 250);
    world_close();
}

static void test_provider_down(void **state)
{
    (void)state;
    begin(3);
    SCRIPT({.step = STEP_CONNECT, .act = ACT_CLOSE});
    for (unsigned i = 1; i <= 5; i++)
        world_submit(A, i, 500, 1);
    for (unsigned i = 1; i <= 5; i++) {
        world_wait(&sents[i], 1);
        check_outcome(&sents[i], OUTCOME_DEFERRED, 451);
    }
    check_num("attempts", provider.connections <= 5, 1);
    check_outcome(deliver(6, 500, 1), OUTCOME_DEFERRED, 451);
    assert_true(sents[6].job.time.wait < 100000); /* told at once */
    world_close();
}

static void test_wait_timeout(void **state)
{
    (void)state;
    begin(1);
    check_outcome(deliver(3, 500, 1), OUTCOME_DELIVERED, 250);
    SCRIPT({.nth = 2, .step = STEP_FINAL, .act = ACT_HOLD});
    world_submit(A, 1, 500, 1);
    world_wait_held(1);
    world_conf->queue_wait_ms = 200;
    world_submit(A, 2, 500, 1);
    world_wait(&sents[2], 1);
    check_outcome(&sents[2], OUTCOME_DEFERRED, 451);
    provider_let_go(&provider);
    world_wait(&sents[1], 1);
    check_outcome(&sents[1], OUTCOME_DELIVERED, 250);
    world_close();
}

/* --- the global limit --- */

static void put_other(const char *id)
{
    struct ipc_account account = world_account(id, 2);

    world_put(&account);
    world_token(id, 3600000);
}

/* The first in the line of blocked accounts has nothing to send any more: the
 * free place goes to the next. */
static void test_blocked_account_behind_an_empty_one(void **state)
{
    (void)state;
    begin(2);
    put_other(B);
    put_other("c@example.com");
    world_conf->global_concurrency = 1;
    SCRIPT({.conn = 1, .nth = 1, .step = STEP_FINAL, .act = ACT_HOLD});
    world_submit(A, 1, 500, 1);
    world_wait_held(1);
    world_submit(B, 2, 500, 1);
    world_submit("c@example.com", 3, 500, 1);
    job_cancel(&sents[2].job);
    world_wait(&sents[2], 1);
    check_outcome(&sents[2], OUTCOME_CANCELLED, 0);
    provider_let_go(&provider);
    world_wait(&sents[1], 1);
    world_wait(&sents[3], 1); /* at once, not when its time of waiting is over */
    check_outcome(&sents[3], OUTCOME_DELIVERED, 250);
    world_close();
}

static void test_raised_limit_lets_them_go_on(void **state)
{
    (void)state;
    begin(2);
    put_other(B);
    world_conf->global_concurrency = 1;
    SCRIPT({.conn = 1, .nth = 1, .step = STEP_FINAL, .act = ACT_HOLD});
    world_submit(A, 1, 500, 1);
    world_wait_held(1);
    world_submit(B, 2, 500, 1);
    world_run(100);
    check_num("blocked", sents[2].dones, 0);
    world_conf->global_concurrency = 2;
    upstream_settings_changed(first);
    world_wait(&sents[2], 1);
    check_num("the first still runs", sents[1].dones, 0);
    provider_let_go(&provider);
    world_wait(&sents[1], 1);
    world_close();
}

static void test_global_limit_with_many_accounts(void **state)
{
    char id[32];

    (void)state;
    world_open(1);
    world_conf->global_concurrency = 3;
    for (unsigned i = 0; i < 10; i++) {
        snprintf(id, sizeof(id), "u%u@example.com", i);
        put_other(id);
    }
    for (unsigned i = 0; i < 100; i++) {
        snprintf(id, sizeof(id), "u%u@example.com", i % 10);
        world_submit(id, i, 500, 1);
    }
    for (unsigned i = 0; i < 100; i++) {
        world_wait(&sents[i], 1);
        check_outcome(&sents[i], OUTCOME_DELIVERED, 250);
        assert_true(first->accounts->running <= 3);
    }
    world_close();
}

/* --- tokens --- */

static void test_waits_for_its_token(void **state)
{
    struct ipc_account account;

    (void)state;
    world_open(1);
    account = world_account(A, 3);
    world_put(&account);
    for (unsigned i = 1; i <= 5; i++)
        world_submit(A, i, 500, 1);
    for (unsigned i = 1; i <= 5; i++) {
        world_wait(&sents[i], 1);
        check_outcome(&sents[i], OUTCOME_DELIVERED, 250);
    }
    check_num("asked", ear.wanted, 1);
    world_close();
}

/* Several logins under way with one stale token: that is one refusal, one
 * refresh and one retry, and no reason to park the account. */
static void test_stale_token_refused_to_several(void **state)
{
    (void)state;
    begin(3);
    provider.refused_token = "first-token";
    for (unsigned i = 1; i <= 3; i++)
        world_submit(A, i, 500, 1);
    for (unsigned i = 1; i <= 3; i++) {
        world_wait(&sents[i], 1);
        check_outcome(&sents[i], OUTCOME_DELIVERED, 250);
    }
    check_num("rejected", ear.rejected, 1);
    check_num("observed", ear.observed, 0);
    world_close();
}

static void test_token_refused_twice_parks(void **state)
{
    (void)state;
    begin(2);
    SCRIPT({.step = STEP_AUTH, .act = ACT_SAY, .text = "535 5.7.8 no"});
    check_outcome(deliver(1, 500, 1), OUTCOME_DEFERRED, 454);
    check_num("rejected", ear.rejected, 2);
    check_num("observed", ear.observed, 1);
    check_num("state", ear.last_state, ACCOUNT_MISCONFIGURED);
    world_close();
}

/* In its last minute, with no newer token: it serves, and nobody logs in over
 * and over. */
static void test_token_near_its_end(void **state)
{
    (void)state;
    world_open(1);
    open_with(1);
    world_token(A, 20000);
    for (unsigned i = 1; i <= 10; i++)
        check_outcome(deliver(i, 500, 1), OUTCOME_DELIVERED, 250);
    check_num("logins", provider.logins, 1);
    /* A newer one is at hand: the old login is not used any longer. */
    world_token(A, 3600000);
    check_outcome(deliver(11, 500, 1), OUTCOME_DELIVERED, 250);
    check_num("logins", provider.logins, 2);
    world_close();
}

static void test_short_lived_token_expires(void **state)
{
    (void)state;
    begin(1);
    ear.life_ms = 10000;
    world_token(A, 4000);
    check_outcome(deliver(1, 500, 1), OUTCOME_DELIVERED, 250);
    world_wait_open(0);
    check_outcome(deliver(2, 500, 1), OUTCOME_DELIVERED, 250);
    check_num("asked", ear.wanted, 1);
    check_num("logins", provider.logins, 2);
    world_close();
}

/* The broker had none to give and said so; mail that comes later asks again. */
static void test_asks_again_for_a_token(void **state)
{
    struct ipc_account account;

    (void)state;
    world_open(1);
    account = world_account(A, 3);
    world_put(&account);
    ear.gives_tokens = false;
    world_conf->queue_wait_ms = 50;
    check_outcome(deliver(1, 500, 1), OUTCOME_DEFERRED, 454);
    check_num("asked", ear.wanted, 1);
    world_find(A)->token_asked_at -= 11000; /* time passes */
    ear.gives_tokens = true;
    world_conf->queue_wait_ms = 5000;
    check_outcome(deliver(2, 500, 1), OUTCOME_DELIVERED, 250);
    world_close();
}

static void test_detail_behind_334(void **state)
{
    (void)state;
    begin(1);
    /* {"status":"500"}: not about the token, so no refresh. */
    SCRIPT({.conn = 1, .step = STEP_AUTH, .act = ACT_SAY, .text = "334 eyJzdGF0dXMiOiI1MDAifQ=="});
    world_conf->queue_wait_ms = 5000;
    deliver(1, 500, 1);
    check_outcome(&sents[1], OUTCOME_DEFERRED, 454);
    check_num("rejected", ear.rejected, 0);
    world_close();
}

static void test_logins_per_minute(void **state)
{
    (void)state;
    begin(1);
    world_conf->logins_per_minute = 3;
    world_conf->queue_wait_ms = 1500;
    SCRIPT({.step = STEP_FINAL, .act = ACT_SAY, .text = "421 4.7.0 closing"});
    for (unsigned i = 1; i <= 5; i++)
        check_outcome(deliver(i, 500, 1), OUTCOME_DEFERRED, 451);
    check_num("logins", provider.logins, 3);
    world_close();
}

/* --- changes --- */

/* A login that was under way to the old server must not end there with the new
 * token. */
static void test_changed_while_logging_in(void **state)
{
    struct ipc_account account;

    (void)state;
    begin(1);
    SCRIPT({.conn = 1, .step = STEP_EHLO, .act = ACT_HOLD});
    world_submit(A, 1, 500, 1);
    world_wait_held(1);
    account = world_account(A, 1);
    account.generation = 2;
    upstream_put(first, &account);
    check_num("under way", (long long)pool_connections(world_find(A)), 0);
    provider_let_go(&provider);
    world_wait_open(0);
    check_num("logins", provider.logins, 0);
    {
        struct ipc_token token = {.id = SLICE(A),
                                  .token = SLICE("second-token"),
                                  .generation = 2,
                                  .serial = 50,
                                  .expires_wall_ms = UINT64_MAX / 2};

        upstream_token(first, &token);
    }
    world_wait(&sents[1], 1);
    check_outcome(&sents[1], OUTCOME_DELIVERED, 250);
    check_num("logins", provider.logins, 1);
    world_close();
}

static bool is_gone(void *unused)
{
    (void)unused;
    return !world_find(A);
}

static void test_removed_with_work_under_way(void **state)
{
    (void)state;
    begin(1);
    SCRIPT({.conn = 1, .step = STEP_FINAL, .act = ACT_HOLD});
    world_submit(A, 1, 500, 1);
    world_submit(A, 2, 500, 1);
    world_wait_held(1);
    upstream_remove(first, SLICE(A));
    world_wait(&sents[2], 1);
    check_outcome(&sents[2], OUTCOME_DEFERRED, 451);
    provider_let_go(&provider);
    world_wait(&sents[1], 1);
    check_outcome(&sents[1], OUTCOME_DELIVERED, 250);
    assert_true(world_until(is_gone, NULL));
    world_close();
}

static void test_bad_source_address(void **state)
{
    struct ipc_account account;

    (void)state;
    world_open(1);
    account = world_account(A, 1);
    account.source_address = SLICE("not an address");
    world_put(&account);
    assert_null(world_find(A));
    check_outcome(deliver(1, 500, 1), OUTCOME_DEFERRED, 451);
    check_num("connections", provider.connections, 0);
    world_close();
}

static void test_parked_while_waiting(void **state)
{
    (void)state;
    begin(1);
    SCRIPT({.conn = 1,
            .nth = 1,
            .step = STEP_FINAL,
            .act = ACT_SAY,
            .text = "550 5.4.5 Daily user sending limit exceeded"});
    world_submit(A, 1, 500, 1);
    world_submit(A, 2, 500, 1);
    world_wait(&sents[2], 1);
    check_outcome(&sents[1], OUTCOME_DEFERRED, 452);
    check_outcome(&sents[2], OUTCOME_DEFERRED, 452);
    check_num("observed", ear.observed, 1);
    world_state(A, ACCOUNT_ACTIVE);
    check_outcome(deliver(3, 500, 1), OUTCOME_DELIVERED, 250);
    world_close();
}

/* --- cancelling --- */

static void test_cancel(void **state)
{
    (void)state;
    begin(1);
    SCRIPT({.conn = 1, .nth = 1, .step = STEP_FINAL, .act = ACT_HOLD});
    world_submit(A, 1, 500, 1);
    world_submit(A, 2, 500, 1);
    world_wait_held(1);
    job_cancel(&sents[1].job); /* committed: it takes its course */
    job_cancel(&sents[2].job); /* waits */
    provider_let_go(&provider);
    world_wait(&sents[2], 1);
    check_outcome(&sents[2], OUTCOME_CANCELLED, 0);
    world_wait(&sents[1], 1);
    check_outcome(&sents[1], OUTCOME_DELIVERED, 250);
    world_close();
}

static void test_cancel_before_the_commit_point(void **state)
{
    (void)state;
    begin(1);
    SCRIPT({.conn = 1, .nth = 1, .step = STEP_MAIL, .act = ACT_STALL});
    world_submit(A, 1, 2 * MIB, 1);
    world_submit(A, 2, 500, 1);
    world_run(100);
    job_cancel(&sents[1].job);
    world_wait(&sents[1], 1);
    check_outcome(&sents[1], OUTCOME_CANCELLED, 0);
    world_wait(&sents[2], 1);
    check_outcome(&sents[2], OUTCOME_DELIVERED, 250);
    check_num("accepted", provider_accepted(&provider, 1), 0);
    world_close();
}

/* --- live recipients --- */

static struct sent *live(unsigned id, unsigned size)
{
    return world_job(A, id, size, 0);
}

static struct recipient *live_rcpt(struct sent *sent, const char *address)
{
    unsigned dones = sent->dones;

    world_add_rcpt(sent, address);
    job_submit(&sent->job, JOB_RCPT);
    world_wait(sent, dones + 1);
    return &sent->job.envelope.rcpts[sent->job.envelope.count - 1];
}

static void live_end(struct sent *sent, enum job_want want)
{
    unsigned dones = sent->dones;

    job_submit(&sent->job, want);
    world_wait(sent, dones + 1);
}

static void test_live_recipients(void **state)
{
    static const char *const caps[] = {NULL, "AUTH XOAUTH2", "AUTH XOAUTH2\nPIPELINING"};
    struct sent *sent;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(caps); i++) {
        begin(1);
        provider.caps = caps[i];
        SCRIPT({.nth = 2, .step = STEP_RCPT, .act = ACT_SAY, .text = "550 5.1.1 nobody"});
        sent = live(1, 500);
        check_num("first", live_rcpt(sent, "one@x")->reply.code, 250);
        check_num("second", live_rcpt(sent, "two@x")->reply.code, 550);
        check_num("third", live_rcpt(sent, "three@x")->reply.code, 250);
        check_num("outcome", sent->job.outcome, OUTCOME_NONE);
        live_end(sent, JOB_CONTENT);
        check_outcome(sent, OUTCOME_DELIVERED, 250);
        check_num("accepted", provider_accepted(&provider, 1), 1);
        check_outcome(deliver(2, 500, 1), OUTCOME_DELIVERED, 250);
        check_num("connections", provider.connections, 1);
        world_close();
    }
}

static void test_live_abort(void **state)
{
    struct sent *sent;

    (void)state;
    begin(1);
    sent = live(1, 0);
    live_rcpt(sent, "one@x");
    live_end(sent, JOB_ABORT);
    check_num("outcome", sent->job.outcome, OUTCOME_CANCELLED);
    check_outcome(deliver(2, 500, 1), OUTCOME_DELIVERED, 250);
    check_num("connections", provider.connections, 1);
    check_num("RSET", provider_count(&provider, "RSET"), 1);
    world_close();
}

static void test_live_mail_refused(void **state)
{
    static const char *const caps[] = {NULL, "AUTH XOAUTH2"};
    struct sent *sent;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(caps); i++) {
        begin(1);
        provider.caps = caps[i];
        SCRIPT({.nth = 1, .step = STEP_MAIL, .act = ACT_SAY, .text = "550 5.7.1 not you"});
        sent = live(1, 0);
        check_num("first", live_rcpt(sent, "one@x")->reply.code, 550);
        check_num("second", live_rcpt(sent, "two@x")->reply.code, 550);
        live_end(sent, JOB_ABORT);
        check_outcome(deliver(2, 500, 1), OUTCOME_DELIVERED, 250);
        world_close();
    }
}

static void test_live_connection_lost(void **state)
{
    static const struct fault faults[] = {
        {1, 2, STEP_RCPT, ACT_CLOSE, NULL},
        {1, 2, STEP_RCPT, ACT_SAY_CLOSE, "421 4.7.0 closing"},
        {1, 2, STEP_RCPT, ACT_ALSO, "250 2.0.0 x\r\n"},
        {1, 1, STEP_RCPT, ACT_ALSO, "421 4.7.0 closing\r\n"},
    };
    struct sent *sent;

    (void)state;
    for (size_t i = 0; i < 2 * COUNT_OF(faults); i++) {
        begin(1);
        SCRIPT(faults[i % COUNT_OF(faults)]);
        sent = live(1, 500);
        live_rcpt(sent, "one@x");
        world_run(30);
        live_rcpt(sent, "two@x");
        world_run(30);
        check_num("third", live_rcpt(sent, "three@x")->reply.code, 451);
        if (i < COUNT_OF(faults)) {
            live_end(sent, JOB_CONTENT);
            check_outcome(sent, OUTCOME_DEFERRED, 451);
        } else {
            live_end(sent, JOB_ABORT);
        }
        check_num("accepted", provider_accepted(&provider, 1), 0);
        check_outcome(deliver(2, 500, 1), OUTCOME_DELIVERED, 250);
        world_close();
    }
}

static void test_live_cancelled_at_the_owner(void **state)
{
    struct sent *sent;

    (void)state;
    begin(1);
    SCRIPT({.conn = 1, .nth = 1, .step = STEP_RCPT, .act = ACT_STALL});
    sent = live(1, 0);
    world_add_rcpt(sent, "one@x");
    job_submit(&sent->job, JOB_RCPT);
    world_run(100);
    job_cancel(&sent->job);
    world_wait(sent, 1);
    check_num("outcome", sent->job.outcome, OUTCOME_CANCELLED);
    check_outcome(deliver(2, 500, 1), OUTCOME_DELIVERED, 250);
    world_close();
}

static void test_live_queue_full_and_timeout(void **state)
{
    struct sent *sent;

    (void)state;
    begin(1);
    SCRIPT({.conn = 1, .nth = 1, .step = STEP_FINAL, .act = ACT_HOLD});
    world_submit(A, 1, 500, 1);
    world_wait_held(1);
    world_conf->queue_wait_ms = 100;
    sent = live(2, 0);
    check_num("timed out", live_rcpt(sent, "one@x")->reply.code, 451);
    check_num("outcome", sent->job.outcome, OUTCOME_NONE);
    live_end(sent, JOB_ABORT);
    world_conf->queue_length = 0;
    sent = live(3, 0);
    live_rcpt(sent, "one@x");
    check_outcome(sent, OUTCOME_DEFERRED, 451);
    provider_let_go(&provider);
    world_wait(&sents[1], 1);
    world_close();
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cap_and_line),
        cmocka_unit_test(test_cap_counts_quitting_ones),
        cmocka_unit_test(test_lower_cap_retires_idle_ones),
        cmocka_unit_test(test_fresh_one_does_not_hold_up_the_line),
        cmocka_unit_test(test_expired_ones_are_replaced),
        cmocka_unit_test(test_provider_down),
        cmocka_unit_test(test_wait_timeout),
        cmocka_unit_test(test_blocked_account_behind_an_empty_one),
        cmocka_unit_test(test_raised_limit_lets_them_go_on),
        cmocka_unit_test(test_global_limit_with_many_accounts),
        cmocka_unit_test(test_waits_for_its_token),
        cmocka_unit_test(test_stale_token_refused_to_several),
        cmocka_unit_test(test_token_refused_twice_parks),
        cmocka_unit_test(test_token_near_its_end),
        cmocka_unit_test(test_short_lived_token_expires),
        cmocka_unit_test(test_asks_again_for_a_token),
        cmocka_unit_test(test_detail_behind_334),
        cmocka_unit_test(test_logins_per_minute),
        cmocka_unit_test(test_changed_while_logging_in),
        cmocka_unit_test(test_removed_with_work_under_way),
        cmocka_unit_test(test_bad_source_address),
        cmocka_unit_test(test_parked_while_waiting),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_cancel_before_the_commit_point),
        cmocka_unit_test(test_live_recipients),
        cmocka_unit_test(test_live_abort),
        cmocka_unit_test(test_live_mail_refused),
        cmocka_unit_test(test_live_connection_lost),
        cmocka_unit_test(test_live_cancelled_at_the_owner),
        cmocka_unit_test(test_live_queue_full_and_timeout),
    };

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
