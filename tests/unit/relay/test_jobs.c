/* What happens around a transaction's job: waiting, vanishing clients, live
 * recipients, draining. */
#include "relay/dialogue.h"

#define OK "250 2.0.0 OK\r\n"
#define SENDER_OK "250 2.1.0 Sender OK\r\n"
#define RCPT_OK "250 2.1.5 Recipient OK\r\n"
#define LIVE_OK "250 2.1.5 live\r\n"
#define LIVE_NO "550 5.1.1 live no\r\n"
#define GO_AHEAD "354 End data with <CR><LF>.<CR><LF>\r\n"
#define TAKEN "250-2.0.0 taken\r\n250 2.0.0 id 7\r\n"
#define NO_RCPTS "554 5.5.1 No valid recipients\r\n"
#define LOGIN_ENDED "421 4.7.0 The account was removed or changed, log in again\r\n"
#define SHUTTING_DOWN "421 4.3.2 Service is shutting down, try again\r\n"

static struct client client;

static int open_world(void **state)
{
    (void)state;
    world_open();
    client_begin(&client, AFTER_LOGIN);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    client_close(&client);
    world_close();
    return 0;
}

static const struct stats *stats(void)
{
    return world.worker.stats;
}

static void send_held(void)
{
    EXPECT(&client, "MAIL FROM:<a@x>\r\nRCPT TO:<hold@x>\r\nDATA\r\n", SENDER_OK RCPT_OK GO_AHEAD);
    EXPECT(&client, "text\r\n.\r\n", "");
    assert_non_null(world.held);
}

static bool client_is_told_nothing(void)
{
    client_read(&client);
    return client.len == 0;
}

static void wait_for_octets(size_t len)
{
    for (unsigned i = 0; i < 5000 && client.len < len; i++) {
        world_run_ms(2);
        client_read(&client);
    }
}

static void test_commands_wait_for_the_verdict(void **state)
{
    (void)state;
    send_held();
    EXPECT(&client, "NOOP\r\nMAIL FROM:<b@x>\r\n", "");
    owner_release();
    EXPECT(&client, "", TAKEN OK SENDER_OK);
    assert_string_equal(world.envelope, "a@x -> hold@x");
    assert_int_equal(stats()->messages_delivered_total, 1);
}

/* One write instead of two; but not for longer than a moment. */
static void test_replies_of_a_whole_flight_come_together(void **state)
{
    (void)state;
    EXPECT(&client, "MAIL FROM:<a@x>\r\nRCPT TO:<hold@x>\r\nBDAT 2 LAST\r\nhi", "");
    assert_true(client_is_told_nothing());
    owner_release();
    EXPECT(&client, "", SENDER_OK RCPT_OK TAKEN);
    EXPECT(&client, "MAIL FROM:<a@x>\r\nRCPT TO:<hold@x>\r\nBDAT 2 LAST\r\nhi", "");
    wait_for_octets(strlen(SENDER_OK RCPT_OK));
    EXPECT(&client, "", SENDER_OK RCPT_OK);
    owner_release();
    EXPECT(&client, "", TAKEN);
}

/* Who reads them before the content is sent gets them then. */
static void test_replies_before_the_content_come_at_once(void **state)
{
    (void)state;
    EXPECT(&client, "MAIL FROM:<a@x>\r\nRCPT TO:<hold@x>\r\nBDAT 2 LAST\r\nh", SENDER_OK RCPT_OK);
    EXPECT(&client, "i", "");
    owner_release();
    EXPECT(&client, "", TAKEN);
}

static void test_client_gone(void **state)
{
    (void)state;
    send_held();
    client_close(&client);
    assert_int_equal(world.cancels, 1);
    assert_null(world.held);
    assert_true(list_empty(&world.worker.sessions));
    assert_int_equal(stats()->client_gone_total, 1);
}

/* Past the commit point the job takes its course, without a session. */
static void test_client_gone_too_late(void **state)
{
    (void)state;
    world.hold_cancelled = true;
    send_held();
    client_close(&client);
    assert_int_equal(world.cancels, 1);
    assert_true(list_empty(&world.worker.sessions));
    owner_release();
    world_settle();
    assert_int_equal(stats()->messages_delivered_total, 1);
    assert_int_equal(world.relay.memory_used, 0);
}

/* With input still to come, the end of the client is not known yet. */
static void test_half_closed_client_is_answered(void **state)
{
    (void)state;
    send_held();
    client_send(&client, SLICE("QUIT\r\n"));
    shutdown(client.fd, SHUT_WR);
    world_settle();
    assert_int_equal(world.cancels, 0);
    owner_release();
    EXPECT(&client, "", TAKEN "221 2.0.0 Goodbye\r\n");
}

static void test_client_gone_in_content(void **state)
{
    (void)state;
    EXPECT(&client, "MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\n", SENDER_OK RCPT_OK GO_AHEAD);
    client_send(&client, SLICE("half a message\r\n."));
    client_close(&client);
    assert_int_equal(world.submits, 0);
    assert_int_equal(world.relay.memory_used, 0);
}

/* --- live recipients --- */

static void make_live(void)
{
    EXPECT(&client, "MAIL FROM:<a@x>\r\nRCPT TO:<mixed@x>\r\nRCPT TO:<b@x>\r\nDATA\r\n",
           SENDER_OK RCPT_OK RCPT_OK GO_AHEAD);
    EXPECT(&client, "text\r\n.\r\n", "451 4.3.0 mixed\r\n");
}

static void test_live(void **state)
{
    (void)state;
    make_live();
    EXPECT(&client, "MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nRCPT TO:<bad@x>\r\nRCPT TO:<c@x>\r\n",
           SENDER_OK LIVE_OK LIVE_NO LIVE_OK);
    EXPECT(&client, "DATA\r\n", GO_AHEAD);
    EXPECT(&client, "text\r\n.\r\n", TAKEN);
    assert_string_equal(world.envelope, "a@x -> b@x bad@x c@x");
    assert_int_equal(world.aborts, 0);
    /* Another client of the account is not concerned; this one still is. */
    EXPECT(&client, "MAIL FROM:<a@x>\r\nRCPT TO:<bad@x>\r\n", SENDER_OK LIVE_NO);
}

static void test_live_with_bdat(void **state)
{
    (void)state;
    make_live();
    EXPECT(&client, "MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nBDAT 4 LAST\r\nabcdNOOP\r\n",
           SENDER_OK LIVE_OK TAKEN OK);
    assert_int_equal(world.content_len, 4);
}

static void test_live_reset(void **state)
{
    (void)state;
    make_live();
    EXPECT(&client, "MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nRSET\r\n", SENDER_OK LIVE_OK OK);
    assert_int_equal(world.aborts, 1);
    EXPECT(&client, "MAIL FROM:<a@x>\r\nRSET\r\n", SENDER_OK OK);
    assert_int_equal(world.aborts, 1); /* no RCPT, no connection to give back */
    EXPECT(&client, "MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nEHLO c\r\n", SENDER_OK LIVE_OK EHLO_REPLY);
    assert_int_equal(world.aborts, 2);
    EXPECT(&client, "MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nQUIT\r\n",
           SENDER_OK LIVE_OK "221 2.0.0 Goodbye\r\n");
    assert_int_equal(world.aborts, 3);
}

static void test_live_all_refused(void **state)
{
    (void)state;
    make_live();
    EXPECT(&client, "MAIL FROM:<a@x>\r\nRCPT TO:<bad@x>\r\nDATA\r\n", SENDER_OK LIVE_NO NO_RCPTS);
    assert_int_equal(world.aborts, 1);
    assert_int_equal(stats()->messages_rejected_total, 1);
    assert_int_equal(stats()->client_gone_total, 0);
    EXPECT(&client, "MAIL FROM:<a@x>\r\nRCPT TO:<bad@x>\r\nBDAT 4 LAST\r\nNOOP",
           SENDER_OK LIVE_NO NO_RCPTS);
    assert_int_equal(world.aborts, 2);
}

static void test_live_lost(void **state)
{
    (void)state;
    make_live();
    EXPECT(&client, "MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nRCPT TO:<lost@x>\r\nRCPT TO:<c@x>\r\n",
           SENDER_OK LIVE_OK "451 4.4.2 lost\r\n451 4.4.2 lost\r\n");
    EXPECT(&client, "DATA\r\n", "451 4.4.2 Connection to the provider was lost, try again\r\n");
    EXPECT(&client, "RCPT TO:<b@x>\r\n", "503 5.5.1 Send MAIL first\r\n");
    assert_int_equal(world.aborts, 0);
}

/* Refused content gives the connection back. */
static void test_live_bad_content(void **state)
{
    (void)state;
    make_live();
    EXPECT(&client, "MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\n", SENDER_OK LIVE_OK GO_AHEAD);
    EXPECT(&client, "a\nb\r\n.\r\n", "550 5.6.11 Message has bare CR, bare LF or NUL\r\n");
    assert_int_equal(world.aborts, 1);
    assert_int_equal(stats()->messages_rejected_total, 1); /* logged once */
}

static void test_live_client_gone(void **state)
{
    (void)state;
    make_live();
    EXPECT(&client, "MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nRCPT TO:<hold@x>\r\n", SENDER_OK LIVE_OK);
    assert_non_null(world.held);
    client_close(&client);
    assert_int_equal(world.cancels, 1);
    assert_null(world.held);
}

/* The answer to RCPT was on its way already: the connection is given back. */
static void test_live_client_gone_too_late(void **state)
{
    (void)state;
    make_live();
    world.hold_cancelled = true;
    EXPECT(&client, "MAIL FROM:<a@x>\r\nRCPT TO:<hold@x>\r\n", SENDER_OK);
    client_close(&client);
    owner_release();
    world_settle();
    assert_int_equal(world.aborts, 1);
}

/* --- the account's state --- */

static void set_state(enum account_state account_state, uint64_t until_wall_ms, const char *text)
{
    struct ipc_state message = {.id = SLICE("open@x"),
                                .generation = 1,
                                .state = (uint32_t)account_state,
                                .until_wall_ms = until_wall_ms,
                                .text = slice_of(text)};

    directory_state(world.relay.directory, &message);
}

static void test_states(void **state)
{
    static const struct {
        enum account_state account_state;
        uint64_t until;
        const char *reply;
    } rows[] = {
        {ACCOUNT_THROTTLED, 4102444800000,
         "451 4.7.1 account is throttled: why (until 2100-01-01T00:00:00Z)\r\n"},
        {ACCOUNT_PARKED, 4102444800000,
         "452 4.7.1 account is over its provider's quota: why (until 2100-01-01T00:00:00Z)\r\n"},
        {ACCOUNT_PARKED, 1, SENDER_OK},
        {ACCOUNT_NEEDS_CONSENT, 0, "454 4.7.0 account must be authorised again: why\r\n"},
        {ACCOUNT_MISCONFIGURED, 0, "454 4.7.0 account is misconfigured: why\r\n"},
        {ACCOUNT_BLOCKED, 0, "450 4.7.1 account is blocked by its provider: why\r\n"},
        {ACCOUNT_DISABLED, 0, "450 4.2.1 account is disabled: why\r\n"},
        {ACCOUNT_ACTIVE, 0, SENDER_OK},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        set_state(rows[i].account_state, rows[i].until, "why");
        client_expect(&client, account_state_names[rows[i].account_state],
                      SLICE("MAIL FROM:<a@x>\r\n"), rows[i].reply);
        EXPECT(&client, "RSET\r\n", OK);
    }
}

static void test_account_put_anew(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        world_set_account("open@x", false, 1);
        EXPECT(&client, "MAIL FROM:<a@x>\r\nRSET\r\n", SENDER_OK OK);
    }
    directory_remove(world.relay.directory, SLICE("open@x"));
    EXPECT(&client, "MAIL FROM:<a@x>\r\n", LOGIN_ENDED);
    client_expect_eof(&client, "removed account");
}

static void sweep(void)
{
    session_end_removed(&world.worker);
    world_settle();
}

/* Whatever it is doing, but for a message that its owner has already. */
static void test_account_changes(void **state)
{
    static const struct {
        const char *name;
        struct slice sent;
        const char *reply;
    } rows[] = {
        {"idle", SLICE(""), ""},
        {"behind MAIL", SLICE("MAIL FROM:<a@x>\r\n"), SENDER_OK},
        {"half a line", SLICE("MAIL FR"), ""},
        {"in DATA", SLICE("MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\n"),
         SENDER_OK RCPT_OK GO_AHEAD},
        {"in a chunk", SLICE("MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nBDAT 9 LAST\r\nabc"),
         SENDER_OK RCPT_OK},
        {"in a refused chunk", SLICE("BDAT 9\r\nabc"), ""},
    };

    (void)state;
    client_close(&client);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        client_begin(&client, AFTER_LOGIN);
        client_expect(&client, rows[i].name, rows[i].sent, rows[i].reply);
        sweep(); /* nothing of it concerns this account yet */
        client_expect(&client, rows[i].name, SLICE(""), "");
        world_set_account("open@x", false, 10 + i);
        sweep();
        client_expect(&client, rows[i].name, SLICE(""), LOGIN_ENDED);
        client_expect_eof(&client, rows[i].name);
        client_close(&client);
    }
    check_num("ended", (long long)stats()->client_ended_total, COUNT_OF(rows));
    check_num("delivered", world.delivered, 0);
    client_begin(&client, AFTER_LOGIN);
}

static void test_account_changes_behind_the_message(void **state)
{
    (void)state;
    EXPECT(&client, "MAIL FROM:<a@x>\r\nRCPT TO:<hold@x>\r\nBDAT 1 LAST\r\nxNOOP\r\n",
           SENDER_OK RCPT_OK);
    directory_remove(world.relay.directory, SLICE("open@x"));
    sweep();
    EXPECT(&client, "", "");
    owner_release();
    EXPECT(&client, "", TAKEN LOGIN_ENDED);
    client_expect_eof(&client, "changed account");
}

/* The sweep has not come by yet. */
static void test_account_changes_and_mail_comes(void **state)
{
    (void)state;
    world_set_account("open@x", false, 2);
    EXPECT(&client, "MAIL FROM:<a@x>\r\n", LOGIN_ENDED);
    client_expect_eof(&client, "changed account");
}

/* Only the limits of the account are others, say. */
static void test_account_is_put_again(void **state)
{
    (void)state;
    EXPECT(&client, "MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\n", SENDER_OK RCPT_OK);
    world_set_account("open@x", false, 1);
    sweep();
    EXPECT(&client, "BDAT 1 LAST\r\nx", TAKEN);
    check_num("ended", (long long)stats()->client_ended_total, 0);
}

/* The password was right for an account that is another by now. */
static void test_account_changes_while_logging_in(void **state)
{
    (void)state;
    client_close(&client);
    client_begin(&client, AFTER_EHLO);
    world.mute = true;
    EXPECT(&client, "AUTH PLAIN AHVzZXJAeABzZWNyZXQ=\r\n", "");
    directory_remove(world.relay.directory, SLICE("user@x"));
    sweep();
    world.mute = false;
    EXPECT(&client, "", "454 4.7.0 Temporary authentication failure\r\n");
}

/* --- memory --- */

static void fill_memory(bool full)
{
    atomic_store(&world.relay.memory_used, full ? world.conf.memory_limit : 0);
}

static void test_data_waits_for_memory(void **state)
{
    (void)state;
    fill_memory(true);
    EXPECT(&client, "MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\n", SENDER_OK RCPT_OK);
    world_run_ms(80);
    EXPECT(&client, "", "");
    fill_memory(false);
    EXPECT(&client, "", GO_AHEAD); /* asked for again by itself */
    EXPECT(&client, "x\r\n.\r\n", TAKEN);
}

static void test_bdat_waits_for_memory(void **state)
{
    (void)state;
    fill_memory(true);
    EXPECT(&client, "MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nBDAT 4 LAST\r\nabcd", SENDER_OK RCPT_OK);
    EXPECT(&client, "", "");
    fill_memory(false);
    EXPECT(&client, "", TAKEN);
}

static void test_client_gone_waiting_for_memory(void **state)
{
    (void)state;
    fill_memory(true);
    EXPECT(&client, "MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\n", SENDER_OK RCPT_OK);
    client_close(&client);
    fill_memory(false);
}

/* --- draining --- */

static void test_drain_idle(void **state)
{
    (void)state;
    session_drain_all(&world.worker);
    EXPECT(&client, "", SHUTTING_DOWN);
    client_expect_eof(&client, "drain");
}

static void test_drain_busy(void **state)
{
    (void)state;
    send_held();
    session_drain_all(&world.worker);
    EXPECT(&client, "", "");
    owner_release();
    EXPECT(&client, "", TAKEN SHUTTING_DOWN);
    client_expect_eof(&client, "drain");
}

static void test_drain_in_content(void **state)
{
    (void)state;
    EXPECT(&client, "MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\n", SENDER_OK RCPT_OK GO_AHEAD);
    session_drain_all(&world.worker);
    EXPECT(&client, "x\r\n", "");
    EXPECT(&client, ".\r\nMAIL FROM:<a@x>\r\n", TAKEN SHUTTING_DOWN);
    client_expect_eof(&client, "drain");
}

/* The worker ends: clients are gone, the job comes back or is given back. */
static void test_close_all(void **state)
{
    struct client other;

    (void)state;
    client_open(&other, CONF_TLS_NONE, "192.0.2.7:2", SLICE(""));
    send_held();
    session_close_all(&world.worker);
    world_settle();
    assert_true(list_empty(&world.worker.sessions));
    assert_int_equal(world.cancels, 1);
    EXPECT(&other, "", GREETING);
    client_expect_eof(&other, "close all");
    client_close(&other);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_commands_wait_for_the_verdict),
        CASE(test_replies_of_a_whole_flight_come_together),
        CASE(test_replies_before_the_content_come_at_once),
        CASE(test_client_gone),
        CASE(test_client_gone_too_late),
        CASE(test_half_closed_client_is_answered),
        CASE(test_client_gone_in_content),
        CASE(test_live),
        CASE(test_live_with_bdat),
        CASE(test_live_reset),
        CASE(test_live_all_refused),
        CASE(test_live_lost),
        CASE(test_live_bad_content),
        CASE(test_live_client_gone),
        CASE(test_live_client_gone_too_late),
        CASE(test_states),
        CASE(test_account_put_anew),
        CASE(test_account_changes),
        CASE(test_account_changes_behind_the_message),
        CASE(test_account_changes_and_mail_comes),
        CASE(test_account_is_put_again),
        CASE(test_account_changes_while_logging_in),
        CASE(test_data_waits_for_memory),
        CASE(test_bdat_waits_for_memory),
        CASE(test_client_gone_waiting_for_memory),
        CASE(test_drain_idle),
        CASE(test_drain_busy),
        CASE(test_drain_in_content),
        CASE(test_close_all),
    };

    log_set_level((enum log_level) - 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
