/* One message against a scripted provider: flights, verdicts, retries, the
 * commit point. */
#include "check.h"

#include "relay/upstream/client.h"
#include "relay/upstream_world.h"

static void check_record(const char *wanted)
{
    char got[sizeof(provider.commands)];

    pthread_mutex_lock(&provider.lock);
    memcpy(got, provider.commands, sizeof(got));
    pthread_mutex_unlock(&provider.lock);
    check_text("commands", slice_of(got), wanted);
}

static void forget_record(void)
{
    pthread_mutex_lock(&provider.lock);
    provider.commands[0] = '\0';
    pthread_mutex_unlock(&provider.lock);
}

/* --- flights --- */

static void test_one_flight(void **state)
{
    (void)state;
    begin(2);
    check_outcome(deliver(1, 1000, 1), OUTCOME_DELIVERED, 250);
    forget_record();
    check_outcome(deliver(2, 1000, 1), OUTCOME_DELIVERED, 250);
    check_record("MAIL FROM:<" A "> SIZE=1000\nRCPT TO:<r0@example.net>\nBDAT 1000 LAST\n");
    check_num("connections", provider.connections, 1);
    check_num("one", provider_accepted(&provider, 1), 1);
    check_num("two", provider_accepted(&provider, 2), 1);
    world_close();
}

static void test_without_chunking_or_pipelining(void **state)
{
    static const char *const caps[] = {"AUTH XOAUTH2\nPIPELINING", "AUTH XOAUTH2\nCHUNKING",
                                       "AUTH XOAUTH2"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(caps); i++) {
        begin(2);
        provider.caps = caps[i];
        check_outcome(deliver(1, 1000, 1), OUTCOME_DELIVERED, 250);
        check_outcome(deliver(2, 3 * MIB, 3), OUTCOME_DELIVERED, 250);
        check_num("accepted", provider_accepted(&provider, 2), 1);
        world_close();
    }
}

static void test_starttls(void **state)
{
    (void)state;
    world_open(1);
    provider.implicit = false;
    open_with(2);
    check_outcome(deliver(1, 1000, 1), OUTCOME_DELIVERED, 250);
    check_num("EHLO twice", provider_count(&provider, "EHLO"), 2);
    world_close();
}

static void test_starttls_with_plaintext_behind(void **state)
{
    (void)state;
    world_open(1);
    provider.implicit = false;
    SCRIPT({.step = STEP_STARTTLS, .act = ACT_ALSO, .text = "250 injected\r\n"});
    open_with(2);
    world_conf->queue_wait_ms = 300;
    check_outcome(deliver(1, 1000, 1), OUTCOME_DEFERRED, 451);
    check_num("logins", provider.logins, 0);
    world_close();
}

static bool has_final_clock(void *unused)
{
    struct list_node *busy = list_first(&world_find(A)->pool[POOL_BUSY]);
    const struct client *client = container_of(busy, struct client, pool_node);
    const struct timer *timeout = &client->conn->timeout;

    (void)unused;
    return timer_active(timeout) && timeout->deadline > loop_now(&first->loop) + 900000;
}

/* The body's end coincides with a full queue: the end itself queues nothing,
 * and the final reply's clock must start all the same. */
static void test_commit_when_the_queue_was_full(void **state)
{
    (void)state;
    begin(1);
    world_conf->upstream_final_ms = 1000000;
    SCRIPT({.step = STEP_FINAL, .act = ACT_HOLD});
    world_submit(A, 1, 256 * 1024, 1);
    world_wait_held(1);
    assert_true(world_until(has_final_clock, NULL));
    provider_let_go(&provider);
    world_wait(&sents[1], 1);
    check_outcome(&sents[1], OUTCOME_DELIVERED, 250);
    world_close();
}

static void test_spilled_body(void **state)
{
    struct sent *sent;

    (void)state;
    begin(1);
    world_conf->spill_threshold = 65536;
    world_conf->memory_limit = MIB;
    sent = world_submit(A, 1, 2 * MIB, 1);
    assert_true(sent->job.body.fd >= 0);
    world_wait(sent, 1);
    check_outcome(sent, OUTCOME_DELIVERED, 250);
    world_close();
}

static void test_dry_run(void **state)
{
    (void)state;
    begin(1);
    world_conf->dry_run = true;
    for (unsigned i = 1; i < 20; i++)
        world_submit(A, i, 100, 1);
    for (unsigned i = 1; i < 20; i++) {
        world_wait(&sents[i], 1);
        check_outcome(&sents[i], OUTCOME_DRY_RUN, 250);
    }
    check_num("messages", provider.messages, 0);
    check_num("connections", provider.connections, 1);
    world_close();
}

/* --- verdicts --- */

static void test_refusals(void **state)
{
    static const struct {
        struct fault fault;
        enum job_outcome outcome;
        int code;
    } rows[] = {
        {{1, 1, STEP_MAIL, ACT_SAY, "550 5.7.1 no"}, OUTCOME_REJECTED, 550},
        {{1, 1, STEP_RCPT, ACT_SAY, "550 5.1.1 nobody"}, OUTCOME_REJECTED, 550},
        {{1, 1, STEP_RCPT, ACT_SAY, "451 4.2.1 later"}, OUTCOME_DEFERRED, 451},
        {{1, 1, STEP_FINAL, ACT_SAY, "554 5.6.0 bad"}, OUTCOME_REJECTED, 554},
        {{1, 1, STEP_FINAL, ACT_SAY, "421 4.3.0 later"}, OUTCOME_DEFERRED, 451},
        {{1, 1, STEP_FINAL, ACT_SAY_CLOSE, "554 5.6.0 bad"}, OUTCOME_REJECTED, 554},
        /* Neither yes nor no is no acknowledgement, whatever it says. */
        {{1, 1, STEP_MAIL, ACT_SAY, "354 what"}, OUTCOME_UNKNOWN, 451},
        {{1, 1, STEP_FINAL, ACT_SAY, "354 what"}, OUTCOME_UNKNOWN, 451},
        {{1, 1, STEP_CONTENT, ACT_SAY_CLOSE, "552 5.3.4 too big"}, OUTCOME_REJECTED, 552},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        begin(1);
        SCRIPT(rows[i].fault);
        check_outcome(deliver(1, 1000, 1), rows[i].outcome, rows[i].code);
        check_outcome(deliver(2, 1000, 1), OUTCOME_DELIVERED, 250);
        world_close();
    }
}

/* 250 to DATA is not 250 to the message. */
static void test_data_answered_out_of_turn(void **state)
{
    static const char *const texts[] = {"250 2.0.0 fine", "220 hello", "354"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        begin(1);
        provider.caps = "AUTH XOAUTH2\nPIPELINING";
        SCRIPT({.conn = 1, .step = STEP_DATA, .act = ACT_SAY_CLOSE, .text = texts[i]});
        check_outcome(deliver(1, 1000, 1), OUTCOME_DEFERRED, 451);
        check_num("accepted", provider_accepted(&provider, 1), 0);
        world_close();
    }
}

static void test_rcpt_refused_behind_pipelined_data(void **state)
{
    (void)state;
    begin(1);
    provider.caps = "AUTH XOAUTH2\nPIPELINING";
    SCRIPT({.nth = 1, .step = STEP_RCPT, .act = ACT_SAY, .text = "550 5.1.1 nobody"});
    check_outcome(deliver(1, 1000, 1), OUTCOME_REJECTED, 550);
    check_outcome(deliver(2, 1000, 1), OUTCOME_DELIVERED, 250);
    check_num("connections", provider.connections, 1);
    world_close();
}

static void test_mixed_verdicts(void **state)
{
    struct sent *sent;

    (void)state;
    begin(1);
    SCRIPT({.nth = 2, .step = STEP_RCPT, .act = ACT_SAY, .text = "550 5.1.1 nobody"});
    sent = deliver(1, 1000, 3);
    check_outcome(sent, OUTCOME_DEFERRED, 451);
    assert_true(sent->job.mixed);
    check_num("accepted", provider_accepted(&provider, 1), 0);
    check_outcome(deliver(2, 1000, 3), OUTCOME_DELIVERED, 250);
    check_num("RSET", provider_count(&provider, "RSET"), 1);
    check_num("connections", provider.connections, 1);
    world_close();
}

static void test_all_recipients_refused(void **state)
{
    (void)state;
    begin(1);
    SCRIPT({.step = STEP_RCPT, .act = ACT_SAY, .text = "550 5.1.1 nobody"});
    check_outcome(deliver(1, 1000, 3), OUTCOME_REJECTED, 550);
    assert_false(sents[1].job.mixed);
    world_close();
}

/* One recipient's refusal must not become everyone's when the line breaks. */
static void test_lost_behind_one_refused_recipient(void **state)
{
    (void)state;
    begin(1);
    SCRIPT({.conn = 1, .nth = 1, .step = STEP_RCPT, .act = ACT_SAY, .text = "550 5.1.1 nobody"},
           {.conn = 1, .nth = 2, .step = STEP_RCPT, .act = ACT_CLOSE});
    check_outcome(deliver(1, 1000, 3), OUTCOME_DELIVERED, 250);
    check_num("attempts", sents[1].job.attempts, 2);
    world_close();
}

/* --- losses --- */

static void test_losses_before_the_commit_point(void **state)
{
    static const struct fault faults[] = {
        {1, 0, STEP_MAIL, ACT_SAY_CLOSE, "421 4.7.0 Connection expired"},
        {1, 0, STEP_CONTENT, ACT_CLOSE, NULL},
        {1, 0, STEP_CONTENT, ACT_RESET, NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(faults); i++) {
        begin(1);
        SCRIPT(faults[i]);
        check_outcome(deliver(1, i ? 30 * MIB : 2 * MIB, 1), OUTCOME_DELIVERED, 250);
        check_num("attempts", sents[1].job.attempts, 2);
        check_num("accepted", provider_accepted(&provider, 1), 1);
        world_close();
    }
}

static void test_gives_up_behind_three_attempts(void **state)
{
    (void)state;
    begin(1);
    SCRIPT({.step = STEP_MAIL, .act = ACT_SAY_CLOSE, .text = "421 4.7.0 Connection expired"});
    check_outcome(deliver(1, 2 * MIB, 1), OUTCOME_DEFERRED, 451);
    check_num("attempts", sents[1].job.attempts, 3);
    check_num("connections", provider.connections, 3);
    world_close();
}

/* After the commit point nothing is sent again, delivered or not. */
static void test_losses_behind_the_commit_point(void **state)
{
    static const enum act acts[] = {ACT_CLOSE, ACT_RESET, ACT_ACCEPT_CLOSE, ACT_STALL, ACT_DRIP};

    (void)state;
    for (size_t i = 0; i < 2 * COUNT_OF(acts); i++) {
        begin(2);
        world_conf->upstream_final_ms = 300;
        if (i >= COUNT_OF(acts))
            provider.caps = "AUTH XOAUTH2\nPIPELINING";
        SCRIPT({.conn = 1, .step = STEP_FINAL, .act = acts[i % COUNT_OF(acts)]});
        check_outcome(deliver(1, 1000, 1), OUTCOME_UNKNOWN, 451);
        check_num("attempts", sents[1].job.attempts, 1);
        world_conf->upstream_final_ms = 3000;
        check_outcome(deliver(2, 1000, 1), OUTCOME_DELIVERED, 250);
        world_close();
    }
}

/* A reply that drips is no reply: the time-out counts from the command. */
static void test_dripping_does_not_extend_time(void **state)
{
    static const enum step steps[] = {STEP_GREETING, STEP_EHLO, STEP_AUTH, STEP_MAIL};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        uint64_t began;

        begin(1);
        world_conf->upstream_command_ms = 300;
        SCRIPT({.conn = 1, .step = steps[i], .act = ACT_DRIP});
        began = loop_now(&first->loop);
        check_outcome(deliver(1, 2 * MIB, 1), OUTCOME_DELIVERED, 250);
        assert_true(loop_now(&first->loop) - began < 10000);
        world_close();
    }
}

static void test_goodbye_while_idle(void **state)
{
    static const struct fault faults[] = {
        {1, 0, STEP_IDLE, ACT_CLOSE, NULL},
        {1, 0, STEP_IDLE, ACT_RESET, NULL},
        {1, 0, STEP_IDLE, ACT_SAY_CLOSE, "421 4.7.0 Connection expired"},
        {1, 0, STEP_IDLE, ACT_SAY, "451 4.4.2 Timeout - closing connection"},
        {1, 0, STEP_FINAL, ACT_ALSO, "421 4.7.0 Connection expired\r\n"},
        {1, 0, STEP_FINAL, ACT_ALSO, "250 2.0.0 and again\r\n"},
        {1, 0, STEP_FINAL, ACT_ALSO, "25"},
        {1, 0, STEP_FINAL, ACT_ALSO, "250-"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(faults); i++) {
        begin(1);
        SCRIPT(faults[i]);
        /* The second waits already when the first one's reply comes. */
        world_submit(A, 1, 1000, 1);
        world_submit(A, 2, 1000, 1);
        world_wait(&sents[1], 1);
        world_wait(&sents[2], 1);
        check_outcome(&sents[1], OUTCOME_DELIVERED, 250);
        world_run(20);
        check_outcome(deliver(3, 1000, 1), OUTCOME_DELIVERED, 250);
        check_num("one", provider_accepted(&provider, 1), 1);
        check_num("two", provider_accepted(&provider, 2), sents[2].job.reply.code == 250);
        check_num("three", provider_accepted(&provider, 3), 1);
        world_close();
    }
}

/* The extra reply is not taken for the next message's. */
static void test_extra_reply_is_not_the_next_ones(void **state)
{
    (void)state;
    begin(1);
    SCRIPT({.conn = 1,
            .step = STEP_FINAL,
            .act = ACT_ALSO,
            .text = "250 2.0.0 x\r\n250 2.0.0 x\r\n250 2.0.0 x\r\n"},
           {.conn = 1, .nth = 2, .step = STEP_FINAL, .act = ACT_SAY, .text = "550 5.7.1 no"});
    world_submit(A, 1, 1000, 1);
    world_submit(A, 2, 1000, 1);
    world_wait(&sents[2], 1);
    check_outcome(&sents[1], OUTCOME_DELIVERED, 250);
    check_outcome(&sents[2], OUTCOME_DELIVERED, 250);
    check_num("two", provider_accepted(&provider, 2), 1);
    check_num("connections", provider.connections, 2);
    world_close();
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_flight),
        cmocka_unit_test(test_without_chunking_or_pipelining),
        cmocka_unit_test(test_starttls),
        cmocka_unit_test(test_starttls_with_plaintext_behind),
        cmocka_unit_test(test_commit_when_the_queue_was_full),
        cmocka_unit_test(test_spilled_body),
        cmocka_unit_test(test_dry_run),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_data_answered_out_of_turn),
        cmocka_unit_test(test_rcpt_refused_behind_pipelined_data),
        cmocka_unit_test(test_mixed_verdicts),
        cmocka_unit_test(test_all_recipients_refused),
        cmocka_unit_test(test_lost_behind_one_refused_recipient),
        cmocka_unit_test(test_losses_before_the_commit_point),
        cmocka_unit_test(test_gives_up_behind_three_attempts),
        cmocka_unit_test(test_losses_behind_the_commit_point),
        cmocka_unit_test(test_dripping_does_not_extend_time),
        cmocka_unit_test(test_goodbye_while_idle),
        cmocka_unit_test(test_extra_reply_is_not_the_next_ones),
    };

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
