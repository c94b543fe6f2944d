/* Limits and timeouts of sessions, TLS, and what they leave behind. */
#include "relay/dialogue.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "relay/inbound/addresses.h"
#include "relay/inbound/content.h"
#include "relay/inbound/session_private.h"

#define OK "250 2.0.0 OK\r\n"
#define IDLE "421 4.4.2 Timeout, closing connection\r\n"
#define ENVELOPE "MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\n"
#define ENVELOPE_OK "250 2.1.0 Sender OK\r\n250 2.1.5 Recipient OK\r\n"
#define GO_AHEAD "354 End data with <CR><LF>.<CR><LF>\r\n"
#define EARLY "554 5.5.0 Input ahead of its turn\r\n"
#define FAILED "535 5.7.8 Authentication failed\r\n"
#define WRONG_PASSWORD "AUTH PLAIN AHVzZXJAeAB3cm9uZw==\r\n"

static int open_world(void **state)
{
    (void)state;
    world_open();
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    world_close();
    return 0;
}

static void open_at(struct client *client, const char *address)
{
    client_open(client, CONF_TLS_NONE, address, SLICE(""));
}

static void check_refused(struct client *client, const char *reply)
{
    client_expect(client, "refused", SLICE(""), reply);
    client_expect_eof(client, "refused");
    client_close(client);
}

/* --- timeouts --- */

static void test_idle_client(void **state)
{
    struct client client;

    (void)state;
    world.conf.command_timeout_ms = 20;
    open_at(&client, "192.0.2.7:1");
    client_expect(&client, "idle", SLICE(""), GREETING IDLE);
    client_expect_eof(&client, "idle");
    client_close(&client);
}

/* A line that trickles in does not set the clock back. */
static void test_trickling_command(void **state)
{
    struct client client;

    (void)state;
    client_begin(&client, AFTER_LOGIN);
    world.conf.command_timeout_ms = 60;
    EXPECT(&client, "NOOP\r\n", OK);
    for (int i = 0; i < 20 && !client.len; i++) {
        client_send(&client, SLICE("N"));
        world_run_ms(10);
        client_read(&client);
    }
    client_expect(&client, "trickling", SLICE(""), IDLE);
    client_close(&client);
}

static void test_idle_in_content(void **state)
{
    struct client client;

    (void)state;
    client_begin(&client, AFTER_LOGIN);
    world.conf.data_timeout_ms = 20;
    EXPECT(&client, ENVELOPE "DATA\r\n", ENVELOPE_OK GO_AHEAD IDLE);
    client_expect_eof(&client, "content");
    client_close(&client);
}

static void test_slow_content(void **state)
{
    struct content content;
    struct body body;

    (void)state;
    body_init(&body, &world.worker);
    content_init(&content, &body, &world.conf);
    world.conf.min_data_rate = 500;
    assert_true(content_patience(&content, &world.conf, 1000000) == UINT64_MAX); /* not begun */
    content_begin(&content, 1000);
    assert_int_equal(content_patience(&content, &world.conf, 1000), 30000);
    assert_int_equal(content_patience(&content, &world.conf, 30999), 1);
    assert_int_equal(content_patience(&content, &world.conf, 31000), 0);
    content_add_chunk(&content, SLICE("0123456789"));
    assert_int_equal(content_patience(&content, &world.conf, 31000), 20);
    world.conf.data_timeout_ms = 5000; /* less than the usual grace */
    assert_int_equal(content_patience(&content, &world.conf, 1000), 5020);
    world.conf.min_data_rate = 0;
    assert_true(content_patience(&content, &world.conf, 31000) == UINT64_MAX);
    body_clear(&body);
}

static void test_slow_client(void **state)
{
    struct client client;

    (void)state;
    client_begin(&client, AFTER_LOGIN);
    world.conf.data_timeout_ms = 50;
    world.conf.min_data_rate = 1000000;
    EXPECT(&client, ENVELOPE "DATA\r\n", ENVELOPE_OK GO_AHEAD);
    for (int i = 0; i < 50 && !client.len; i++) {
        client_send(&client, SLICE("x"));
        world_run_ms(10);
        client_read(&client);
    }
    client_expect(&client, "slow", SLICE(""),
                  "421 4.4.2 Message comes too slowly, closing connection\r\n");
    client_expect_eof(&client, "slow");
    client_close(&client);
}

static void test_unread_replies(void **state)
{
    static char flood[600000];
    struct client client;
    size_t sent = 0, replies = 0;

    (void)state;
    for (size_t i = 0; i + 6 <= sizeof(flood); i += 6)
        memcpy(flood + i, "NOOP\r\n", 6);
    client_begin(&client, AFTER_LOGIN);
    world.conf.max_commands_without_mail = 0;
    for (int i = 0; i < 200; i++) {
        ssize_t n = send(client.fd, flood + sent, sizeof(flood) - sent, MSG_NOSIGNAL);

        sent += n > 0 ? (size_t)n : 0;
        world_settle();
        /* Replies up to the limit, and the input that waits. */
        assert_true(world.worker.loop.chunks.in_use <= 8);
    }
    assert_true(sent < sizeof(flood));
    for (int i = 0; i < 1000 && replies < sizeof(flood) / 6 * strlen(OK); i++) {
        ssize_t n = send(client.fd, flood + sent, sizeof(flood) - sent, MSG_NOSIGNAL);

        sent += n > 0 ? (size_t)n : 0;
        client_read(&client);
        replies += client.len;
        client_forget(&client);
        world_settle();
    }
    assert_int_equal(replies, sizeof(flood) / 6 * strlen(OK));
    client_close(&client);
}

static void test_client_that_never_reads(void **state)
{
    static char flood[60000];
    struct client client;

    (void)state;
    for (size_t i = 0; i + 6 <= sizeof(flood); i += 6)
        memcpy(flood + i, "NOOP\r\n", 6);
    client_begin(&client, AFTER_LOGIN);
    world.conf.max_commands_without_mail = 0;
    world.conf.command_timeout_ms = 20;
    for (int i = 0; i < 100 && !list_empty(&world.worker.sessions); i++) {
        send(client.fd, flood, sizeof(flood), MSG_NOSIGNAL);
        world_run_ms(2);
    }
    assert_true(list_empty(&world.worker.sessions));
    client_close(&client);
}

/* --- connections --- */

static void test_connections(void **state)
{
    struct client clients[3];

    (void)state;
    world.conf.max_connections = 2;
    for (int i = 0; i < 3; i++)
        open_at(&clients[i], "192.0.2.7:1");
    check_refused(&clients[2], "421 4.3.2 Too many connections, try again later\r\n");
    client_close(&clients[0]);
    open_at(&clients[0], "192.0.2.7:1");
    client_expect(&clients[0], "room again", SLICE(""), GREETING);
    assert_int_equal(world.worker.stats->client_refused_total, 1);
    client_close(&clients[0]);
    client_close(&clients[1]);
}

static void test_connections_per_address(void **state)
{
    struct client clients[4];

    (void)state;
    world.conf.max_connections_per_address = 1;
    world.trusted = false;
    open_at(&clients[0], "192.0.2.7:1");
    open_at(&clients[1], "192.0.2.7:2");
    check_refused(&clients[1], "421 4.7.0 Too many connections from your address\r\n");
    open_at(&clients[1], "[2001:db8::1]:1");
    open_at(&clients[2], "[2001:db8::2]:1"); /* the same /64 */
    check_refused(&clients[2], "421 4.7.0 Too many connections from your address\r\n");
    open_at(&clients[2], "[::ffff:192.0.2.7]:1");
    check_refused(&clients[2], "421 4.7.0 Too many connections from your address\r\n");
    world.trusted = true;
    open_at(&clients[3], "192.0.2.7:2");
    client_expect(&clients[3], "trusted", SLICE(""), GREETING);
    client_close(&clients[0]);
    client_close(&clients[1]);
    client_close(&clients[3]);
    assert_int_equal(client_addresses_count(), 0);
}

static void fail_login(const char *address, const char *expect)
{
    struct client client;

    open_at(&client, address);
    EXPECT(&client, "", GREETING);
    EXPECT(&client, "HELO c\r\n", "250 relay.test\r\n");
    EXPECT(&client, WRONG_PASSWORD, expect);
    client_close(&client);
}

static void test_failures_per_address(void **state)
{
    struct client early, late;

    (void)state;
    world.trusted = false;
    world.conf.auth_requires_tls = false;
    world.conf.auth_failures_per_address = 3;
    world.conf.auth_failure_window_ms = 300;
    open_at(&early, "198.51.100.1:1");
    fail_login("198.51.100.1:2", FAILED);
    fail_login("198.51.100.1:3", FAILED);
    fail_login("198.51.100.1:4", FAILED);
    open_at(&late, "198.51.100.1:5");
    check_refused(&late, "421 4.7.0 Too many authentication failures\r\n");
    EXPECT(&early, "HELO c\r\n", GREETING "250 relay.test\r\n");
    EXPECT(&early, WRONG_PASSWORD, "421 4.7.0 Too many authentication failures\r\n");
    client_close(&early);
    fail_login("198.51.100.2:1", FAILED); /* a neighbour is not concerned */
    world_run_ms(320);
    fail_login("198.51.100.1:6", FAILED);
    assert_int_equal(client_addresses_count(), 2);
}

/* One application's wrong password must not stop the others on the host. */
static void test_trusted_failures_are_not_remembered(void **state)
{
    (void)state;
    world.conf.auth_failures_per_address = 1;
    fail_login("127.0.0.1:1", FAILED);
    fail_login("127.0.0.1:1", FAILED);
}

static void test_auth_delay(void **state)
{
    struct client client;

    (void)state;
    client_begin(&client, AFTER_EHLO);
    world.conf.auth_failure_delay_ms = 60;
    EXPECT(&client, WRONG_PASSWORD, "");
    world_run_ms(30);
    EXPECT(&client, "", "");
    EXPECT(&client, "", FAILED);
    assert_int_equal(world.worker.stats->client_auth_failed_total, 1);
    client_close(&client);
}

/* A right password costs one question, not one for each connection. */
static void test_password_is_remembered(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct client client;

        client_begin(&client, AFTER_EHLO);
        EXPECT(&client, "AUTH PLAIN AHVzZXJAeABzZWNyZXQ=\r\n", LOGGED_IN);
        client_close(&client);
    }
    assert_int_equal(world.passwords, 1);
}

static void test_account_changes_during_the_check(void **state)
{
    struct client client;

    (void)state;
    client_begin(&client, AFTER_EHLO);
    world_set_account("user@x", true, 2); /* the broker has checked another one */
    EXPECT(&client, "AUTH PLAIN AHVzZXJAeABzZWNyZXQ=\r\n",
           "454 4.7.0 Temporary authentication failure\r\n");
    client_close(&client);
}

/* "open@x", NUL, "x" must not be taken for open@x. */
static void test_login_with_nul(void **state)
{
    struct client client;

    (void)state;
    client_begin(&client, AFTER_EHLO);
    EXPECT(&client, "AUTH LOGIN b3BlbkB4AHg=\r\n", "334 UGFzc3dvcmQ6\r\n");
    EXPECT(&client, "eA==\r\n", FAILED);
    assert_int_equal(world.lookups, 0);
    client_close(&client);
}

static void test_client_gone_in_auth(void **state)
{
    struct client client;

    (void)state;
    world.mute = true;
    client_begin(&client, AFTER_EHLO);
    EXPECT(&client, WRONG_PASSWORD, "");
    assert_int_equal(world_questions(), 1);
    client_close(&client);
    assert_int_equal(world_questions(), 0);
    client_begin(&client, AFTER_EHLO);
    EXPECT(&client, "AUTH PLAIN AG5vYm9keUB4AHA=\r\n", "");
    client_close(&client);
    assert_int_equal(world_questions(), 0);
}

/* --- TLS --- */

#define EHLO_TLS EHLO_BASE "250-LIMITS RCPTMAX=4\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN\r\n"
#define EHLO_TLS_ONLY EHLO_BASE "250-LIMITS RCPTMAX=4\r\n250 STARTTLS\r\n"
#define GO_TLS "220 2.0.0 Ready to start TLS\r\n"

static void starttls(struct client *client, const char *ehlo, struct slice behind)
{
    char memory[100];
    struct text wire;

    client_open(client, CONF_TLS_STARTTLS, "192.0.2.7:1", SLICE(""));
    EXPECT(client, "", GREETING);
    EXPECT(client, "EHLO c\r\n", ehlo);
    text_init(&wire, memory, sizeof(memory));
    text_add_str(&wire, "STARTTLS\r\n");
    text_add_slice(&wire, behind);
    client_expect(client, "STARTTLS", (struct slice){wire.at, wire.len}, GO_TLS);
    client_start_tls(client);
}

static void test_starttls(void **state)
{
    struct client client;

    (void)state;
    world.trusted = false;
    starttls(&client, EHLO_TLS_ONLY, SLICE(""));
    EXPECT(&client, "MAIL FROM:<a@x>\r\n", "503 5.5.1 Send EHLO first\r\n"); /* forgotten */
    EXPECT(&client, "EHLO c\r\n", EHLO_REPLY);
    EXPECT(&client, "STARTTLS\r\n", "503 5.5.1 TLS is already active\r\n");
    EXPECT(&client, "AUTH PLAIN AHVzZXJAeABzZWNyZXQ=\r\n", LOGGED_IN);
    EXPECT(&client, "QUIT\r\n", "221 2.0.0 Goodbye\r\n");
    client_close(&client);
}

static void test_plaintext_behind_starttls(void **state)
{
    struct client client;

    (void)state;
    starttls(&client, EHLO_TLS, SLICE("EHLO evil\r\n" AUTH_OPEN));
    EXPECT(&client, "", "");
    EXPECT(&client, "NOOP\r\n", OK);
    assert_int_equal(world.worker.stats->protocol_errors_total, 1);
    assert_int_equal(world.worker.stats->client_auth_ok_total, 0);
    client_close(&client);
}

/* The login of the plaintext session is forgotten too. */
static void test_starttls_forgets_the_login(void **state)
{
    struct client client;

    (void)state;
    client_open(&client, CONF_TLS_STARTTLS, "192.0.2.7:1", SLICE(""));
    EXPECT(&client, "EHLO c\r\n", GREETING EHLO_TLS);
    EXPECT(&client, AUTH_OPEN, LOGGED_IN);
    EXPECT(&client, "STARTTLS\r\n", GO_TLS);
    client_start_tls(&client);
    EXPECT(&client, "EHLO c\r\n", EHLO_REPLY);
    EXPECT(&client, "MAIL FROM:<a@x>\r\n", "530 5.7.0 Authentication required\r\n");
    client_close(&client);
}

static void test_starttls_without_a_certificate(void **state)
{
    struct client client;

    (void)state;
    world.settings.server_tls = NULL;
    client_open(&client, CONF_TLS_STARTTLS, "192.0.2.7:1", SLICE(""));
    EXPECT(&client, "EHLO c\r\n", GREETING EHLO_TLS);
    EXPECT(&client, "STARTTLS\r\n", "454 4.7.0 TLS is not available now\r\n");
    client_close(&client);
    client_open(&client, CONF_TLS_IMPLICIT, "192.0.2.7:1", SLICE(""));
    client_expect_eof(&client, "implicit TLS");
    client_close(&client);
}

static void test_implicit_tls(void **state)
{
    struct client client;

    (void)state;
    client_open(&client, CONF_TLS_IMPLICIT, "192.0.2.7:1", SLICE(""));
    client_start_tls(&client);
    EXPECT(&client, "", GREETING);
    EXPECT(&client, "EHLO c\r\n", EHLO_REPLY);
    EXPECT(&client, AUTH_OPEN, LOGGED_IN);
    EXPECT(&client, ENVELOPE "BDAT 4 LAST\r\nabcdQUIT\r\n",
           ENVELOPE_OK "250-2.0.0 taken\r\n250 2.0.0 id 7\r\n221 2.0.0 Goodbye\r\n");
    client_close(&client);
}

static void test_no_tls_on_a_tls_listener(void **state)
{
    struct client client;

    (void)state;
    client_open(&client, CONF_TLS_IMPLICIT, "192.0.2.7:1", SLICE(""));
    client_send(&client, SLICE("EHLO c\r\n"));
    world_settle();
    assert_true(list_empty(&world.worker.sessions));
    client_close(&client);
}

/* --- what is left behind --- */

static void test_idle_session_is_small(void **state)
{
    struct client client;

    (void)state;
    client_begin(&client, AFTER_LOGIN);
    EXPECT(&client, "NO", "");
    EXPECT(&client, "OP\r\n", OK);
    EXPECT(&client, ENVELOPE "BDAT 4 LAST\r\nabcd",
           ENVELOPE_OK "250-2.0.0 taken\r\n250 2.0.0 id 7\r\n");
    assert_int_equal(world.worker.loop.chunks.in_use, 0);
    assert_true(sizeof(struct session) + sizeof(struct conn) <= 2048);
    client_close(&client);
}

static void say_secrets(void)
{
    struct client client;

    client_begin(&client, AFTER_EHLO);
    EXPECT(&client, WRONG_PASSWORD, FAILED);
    EXPECT(&client, "AUTH LOGIN dXNlckB4\r\n", "334 UGFzc3dvcmQ6\r\n");
    EXPECT(&client, "c2VjcmV0\r\n", LOGGED_IN);
    EXPECT(&client, "AUTHX AHVzZXJAeABzZWNyZXQ=\r\n", "502 5.5.1 Command not recognized\r\n");
    client_close(&client);
}

/* No level has secrets; what operators look for is there. */
static void test_log(void **state)
{
    char path[] = "/tmp/bearerd-test-XXXXXX", text[16384];
    int fd = mkostemp(path, O_CLOEXEC);
    ssize_t len;

    (void)state;
    unlink(path);
    log_set_fd(fd);
    log_set_level(LOG_TRACE);
    say_secrets();
    log_set_level((enum log_level) - 1);
    log_set_fd(STDERR_FILENO);
    len = pread(fd, text, sizeof(text) - 1, 0);
    close(fd);
    assert_true(len > 0);
    text[len] = '\0';
    assert_null(strstr(text, "secret"));
    assert_null(strstr(text, "wrong\n"));
    assert_null(strstr(text, "c2VjcmV0"));
    assert_null(strstr(text, "AHVzZXJAeA"));
    assert_non_null(strstr(text, "event=client_login session="));
    assert_non_null(strstr(text, "event=client_auth_failed session="));
    assert_non_null(strstr(text, "login=user@x reason=\"wrong password\""));
    assert_non_null(strstr(text, "event=command"));
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_idle_client),
        CASE(test_trickling_command),
        CASE(test_idle_in_content),
        CASE(test_slow_content),
        CASE(test_slow_client),
        CASE(test_unread_replies),
        CASE(test_client_that_never_reads),
        CASE(test_connections),
        CASE(test_connections_per_address),
        CASE(test_failures_per_address),
        CASE(test_trusted_failures_are_not_remembered),
        CASE(test_auth_delay),
        CASE(test_password_is_remembered),
        CASE(test_account_changes_during_the_check),
        CASE(test_login_with_nul),
        CASE(test_client_gone_in_auth),
        CASE(test_starttls),
        CASE(test_plaintext_behind_starttls),
        CASE(test_starttls_forgets_the_login),
        CASE(test_starttls_without_a_certificate),
        CASE(test_implicit_tls),
        CASE(test_no_tls_on_a_tls_listener),
        CASE(test_idle_session_is_small),
        CASE(test_log),
    };

    log_set_level((enum log_level) - 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
