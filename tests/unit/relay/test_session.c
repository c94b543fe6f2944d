#include "relay/dialogue.h"

#define BAD_SEQUENCE "503 5.5.1 "
#define MAIL_FIRST BAD_SEQUENCE "Send MAIL first\r\n"
#define LOGIN_FIRST "530 5.7.0 Authentication required\r\n"
#define OK "250 2.0.0 OK\r\n"
#define SENDER_OK "250 2.1.0 Sender OK\r\n"
#define RCPT_OK "250 2.1.5 Recipient OK\r\n"
#define GO_AHEAD "354 End data with <CR><LF>.<CR><LF>\r\n"
#define TAKEN "250-2.0.0 taken\r\n250 2.0.0 id 7\r\n"
#define EARLY "554 5.5.0 Input ahead of its turn\r\n"
#define FAILED "535 5.7.8 Authentication failed\r\n"

static void few_errors(void)
{
    world.conf.max_errors = 3;
}

static void few_commands(void)
{
    world.conf.max_commands_without_mail = 4;
}

static void check_no_errors(void)
{
    assert_int_equal(world.worker.stats->protocol_errors_total, 0);
}

static const struct dialogue order[] = {
    {"EHLO, HELO, QUIT",
     NO_PRELUDE,
     CLOSES,
     {STEP("EHLO client.test\r\n", EHLO_REPLY), STEP("ehlo [192.0.2.1]\r\n", EHLO_REPLY),
      STEP("HELO client\r\n", "250 relay.test\r\n"), STEP("QUIT\r\n", "221 2.0.0 Goodbye\r\n")}},
    {"EHLO without a name",
     NO_PRELUDE,
     0,
     {STEP("EHLO\r\n", "501 5.5.4 a host name is missing\r\n"),
      STEP("MAIL FROM:<a@x>\r\n", BAD_SEQUENCE "Send EHLO first\r\n")}},
    {"before EHLO",
     NO_PRELUDE,
     0,
     {STEP("MAIL FROM:<a@x>\r\n", BAD_SEQUENCE "Send EHLO first\r\n"),
      STEP("RCPT TO:<a@x>\r\n", BAD_SEQUENCE "Send EHLO first\r\n"),
      STEP("DATA\r\n", BAD_SEQUENCE "Send EHLO first\r\n"),
      STEP("AUTH PLAIN\r\n", BAD_SEQUENCE "Send EHLO first\r\n"),
      STEP("STARTTLS\r\n", BAD_SEQUENCE "Send EHLO first\r\n"), STEP("RSET\r\n", OK),
      STEP("NOOP\r\n", OK)}},
    {"before AUTH",
     AFTER_EHLO,
     0,
     {STEP("MAIL FROM:<a@x>\r\n", LOGIN_FIRST), STEP("RCPT TO:<a@x>\r\n", LOGIN_FIRST),
      STEP("DATA\r\n", LOGIN_FIRST), STEP("BDAT 3\r\nabc", LOGIN_FIRST),
      STEP("BDAT 0 LAST\r\n", LOGIN_FIRST), STEP("NOOP\r\n", OK)}},
    {"small commands",
     AFTER_LOGIN,
     0,
     {STEP("NOOP\r\n", OK), STEP("noop with words\r\n", OK),
      STEP("VRFY a\r\n", "252 2.5.0 Cannot verify, but will try to deliver\r\n"),
      STEP("EXPN a\r\n", "502 5.5.1 Command not implemented\r\n"),
      STEP("HELP\r\n", "214 2.0.0 Log in, then send mail as RFC 5321 says\r\n"),
      STEP("RSET now\r\n", "501 5.5.4 This command takes no argument\r\n"),
      STEP("XYZZY\r\n", "502 5.5.1 Command not recognized\r\n"),
      STEP("\r\n", "502 5.5.1 Command not recognized\r\n"),
      STEP("STARTTLS\r\n", "502 5.5.1 Command not implemented\r\n"),
      STEP("QUIT now\r\n", "501 5.5.4 This command takes no argument\r\n")}},
    {"MAIL and RCPT out of order",
     AFTER_LOGIN,
     0,
     {STEP("RCPT TO:<a@x>\r\n", MAIL_FIRST), STEP("DATA\r\n", MAIL_FIRST),
      STEP("MAIL FROM:<a@x>\r\n", SENDER_OK),
      STEP("MAIL FROM:<a@x>\r\n", BAD_SEQUENCE "Not during a mail transaction\r\n"),
      STEP("STARTTLS\r\n", BAD_SEQUENCE "Not during a mail transaction\r\n"),
      STEP("AUTH PLAIN\r\n", BAD_SEQUENCE "Already authenticated\r\n"),
      STEP("DATA\r\n", BAD_SEQUENCE "Send RCPT first\r\n"), STEP("RCPT TO:<a@x>\r\n", RCPT_OK),
      STEP("RSET\r\n", OK), STEP("RCPT TO:<a@x>\r\n", MAIL_FIRST),
      STEP("MAIL FROM:<a@x>\r\n", SENDER_OK), STEP("EHLO again\r\n", EHLO_REPLY),
      STEP("RCPT TO:<a@x>\r\n", MAIL_FIRST)}},
    {"commands in one flight",
     AFTER_LOGIN,
     CLOSES,
     {STEP("NOOP\r\nRSET\r\nNOOP\r\nQUIT\r\nNOOP\r\n", OK OK OK "221 2.0.0 Goodbye\r\n")}},
    {"too many errors",
     AFTER_EHLO,
     CLOSES,
     {STEP("X\r\nY\r\n", "502 5.5.1 Command not recognized\r\n"
                         "502 5.5.1 Command not recognized\r\n"),
      STEP("Z\r\nNOOP\r\n", "502 5.5.1 Command not recognized\r\n421 4.7.0 Too many errors\r\n")},
     .set_up = few_errors},
    {"too many commands without mail",
     AFTER_LOGIN,
     CLOSES,
     {STEP("NOOP\r\n", OK), STEP("NOOP\r\n", OK),
      STEP("NOOP\r\n", "421 4.7.0 Too many commands without mail\r\n")},
     .set_up = few_commands},
    {"a request of HTTP",
     NO_PRELUDE,
     CLOSES,
     {STEP("POST / HTTP/1.1\r\nHost: x\r\n\r\n", "554 5.5.1 This is an SMTP server\r\n")}},
};

static const struct dialogue lines[] = {
    {"bare LF",
     AFTER_EHLO,
     CLOSES,
     {STEP("NOOP\nNOOP\r\n", "500 5.5.2 Lines must end in CRLF and hold no NUL\r\n" OK),
      STEP("NOOP\nNOOP\r\n", "421 4.5.2 Lines must end in CRLF, closing connection\r\n")}},
    {"bare CR",
     AFTER_EHLO,
     0,
     {STEP("NOOP\rNOOP\r\nNOOP\r\n", "500 5.5.2 Lines must end in CRLF and hold no NUL\r\n" OK)}},
    {"NUL",
     AFTER_EHLO,
     0,
     {STEP("NO\0OP\r\nNOOP\r\n", "500 5.5.2 Lines must end in CRLF and hold no NUL\r\n" OK)}},
    {"bare LF in AUTH",
     AFTER_EHLO,
     0,
     {STEP("AUTH PLAIN\r\n", "334 \r\n"),
      STEP("AG9wZW5AeABw\n", "500 5.5.2 Lines must end in CRLF and hold no NUL\r\n"),
      STEP("NOOP\r\n", OK)}},
};

static const struct dialogue early[] = {
    {"behind EHLO", NO_PRELUDE, CLOSES | WHOLE, {STEP("EHLO c\r\nNOOP\r\n", EHLO_REPLY EARLY)}},
    {"behind AUTH", AFTER_EHLO, CLOSES | WHOLE, {STEP(AUTH_OPEN "NOOP\r\n", LOGGED_IN EARLY)}},
    {"behind AUTH that waits",
     AFTER_EHLO,
     CLOSES | WHOLE,
     {STEP("AUTH PLAIN AHVzZXJAeABzZWNyZXQ=\r\nNOOP\r\n", LOGGED_IN EARLY)}},
    {"behind AUTH that fails",
     AFTER_EHLO,
     CLOSES | WHOLE,
     {STEP("AUTH PLAIN AHVzZXJAeAB3cm9uZw==\r\nNOOP\r\n", FAILED EARLY)}},
    {"behind a flight and AUTH that waits",
     AFTER_EHLO,
     CLOSES | WHOLE,
     {STEP("NOOP\r\nAUTH PLAIN AHVzZXJAeABzZWNyZXQ=\r\nNOOP\r\n", OK LOGGED_IN EARLY)}},
    {"ahead of the challenge",
     AFTER_EHLO,
     CLOSES | WHOLE,
     {STEP("AUTH LOGIN\r\nb3BlbkB4\r\n", "334 VXNlcm5hbWU6\r\n" EARLY)}},
    {"behind DATA",
     AFTER_LOGIN,
     CLOSES | WHOLE,
     {STEP("MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\nhello\r\n.\r\n",
           SENDER_OK RCPT_OK GO_AHEAD EARLY)}},
    {"behind DATA that is refused",
     AFTER_LOGIN,
     CLOSES | WHOLE,
     {STEP("DATA\r\nMAIL FROM:<a@x>\r\n", MAIL_FIRST EARLY)}},
};

static const struct dialogue auth[] = {
    {"PLAIN, no password set", AFTER_EHLO, 0, {STEP(AUTH_OPEN, LOGGED_IN)}},
    {"PLAIN in two steps",
     AFTER_EHLO,
     0,
     {STEP("AUTH PLAIN\r\n", "334 \r\n"), STEP("AG9wZW5AeABw\r\n", LOGGED_IN),
      STEP("AUTH PLAIN\r\n", BAD_SEQUENCE "Already authenticated\r\n")}},
    {"PLAIN without a password", AFTER_EHLO, 0, {STEP("AUTH PLAIN AG9wZW5AeAA=\r\n", LOGGED_IN)}},
    {"PLAIN with a password",
     AFTER_EHLO,
     0,
     {STEP("auth plain AHVzZXJAeABzZWNyZXQ=\r\n", LOGGED_IN)}},
    {"PLAIN with a wrong password",
     AFTER_EHLO,
     0,
     {STEP("AUTH PLAIN AHVzZXJAeAB3cm9uZw==\r\n", FAILED), STEP("MAIL FROM:<a@x>\r\n", LOGIN_FIRST),
      STEP("AUTH PLAIN AHVzZXJAeABzZWNyZXQ=\r\n", LOGGED_IN)}},
    {"an unknown login", AFTER_EHLO, 0, {STEP("AUTH PLAIN AG5vYm9keUB4AHA=\r\n", FAILED)}},
    {"a login that the broker knows",
     AFTER_EHLO,
     0,
     {STEP("AUTH PLAIN AGxhdGVAeABzZWNyZXQ=\r\n", LOGGED_IN)}},
    {"a password that cannot be checked",
     AFTER_EHLO,
     0,
     {STEP("AUTH PLAIN AHVzZXJAeABtYXliZQ==\r\n", "454 4.7.0 Temporary authentication failure\r\n"),
      STEP(AUTH_OPEN, LOGGED_IN)}},
    {"too many failures",
     AFTER_EHLO,
     CLOSES,
     {STEP("AUTH PLAIN AHVzZXJAeAB3cm9uZw==\r\n", FAILED),
      STEP("AUTH PLAIN AHVzZXJAeAB3cm9uZw==\r\n", FAILED),
      STEP("AUTH PLAIN AHVzZXJAeAB3cm9uZw==\r\n",
           "421 4.7.0 Too many authentication failures\r\n")}},
    {"LOGIN",
     AFTER_EHLO,
     0,
     {STEP("AUTH LOGIN\r\n", "334 VXNlcm5hbWU6\r\n"), STEP("dXNlckB4\r\n", "334 UGFzc3dvcmQ6\r\n"),
      STEP("c2VjcmV0\r\n", LOGGED_IN)}},
    {"LOGIN with the user at once",
     AFTER_EHLO,
     0,
     {STEP("AUTH LOGIN dXNlckB4\r\n", "334 UGFzc3dvcmQ6\r\n"), STEP("c2VjcmV0\r\n", LOGGED_IN)}},
    {"LOGIN without a password",
     AFTER_EHLO,
     0,
     {STEP("AUTH LOGIN b3BlbkB4\r\n", "334 UGFzc3dvcmQ6\r\n"), STEP("\r\n", LOGGED_IN)}},
    {"cancelled",
     AFTER_EHLO,
     0,
     {STEP("AUTH LOGIN dXNlckB4\r\n", "334 UGFzc3dvcmQ6\r\n"),
      STEP("*\r\n", "501 5.7.0 Authentication cancelled\r\n"), STEP("NOOP\r\n", OK)}},
    {"malformed",
     AFTER_EHLO,
     0,
     {STEP("AUTH PLAIN !!!!\r\n", "501 5.5.2 Cannot decode the response\r\n"),
      STEP("AUTH PLAIN =\r\n", "501 5.5.2 Cannot decode the response\r\n"),
      STEP("AUTH PLAIN dXNlckB4AAA=\r\n", "501 5.5.2 Cannot decode the response\r\n"),
      STEP("AUTH PLAIN YQB1c2VyQHgAc2VjcmV0\r\n", "501 5.5.2 Cannot decode the response\r\n"),
      STEP("AUTH LOGIN ?\r\n", "501 5.5.2 Cannot decode the response\r\n"),
      STEP("AUTH\r\n", "501 5.5.4 Syntax: AUTH mechanism [initial-response]\r\n"),
      STEP("AUTH PLAIN a b\r\n", "501 5.5.4 Syntax: AUTH mechanism [initial-response]\r\n"),
      STEP("AUTH XOAUTH2 abcd\r\n", "504 5.5.4 Authentication mechanism not supported\r\n")}},
};

#define EHLO_NO_AUTH EHLO_BASE "250 LIMITS RCPTMAX=4\r\n"
#define EHLO_TLS_NO_AUTH EHLO_BASE "250-LIMITS RCPTMAX=4\r\n250 STARTTLS\r\n"

static void auth_in_clear(void)
{
    world.conf.auth_requires_tls = false;
}

static const struct dialogue policy[] = {
    {"no password in clear",
     NO_PRELUDE,
     UNTRUSTED,
     {STEP("EHLO c\r\n", EHLO_NO_AUTH),
      STEP(AUTH_OPEN, "538 5.7.11 Encryption required for authentication\r\n"),
      STEP("MAIL FROM:<a@x>\r\n", LOGIN_FIRST)}},
    {"STARTTLS is offered",
     NO_PRELUDE,
     UNTRUSTED | STARTTLS,
     {STEP("EHLO c\r\n", EHLO_TLS_NO_AUTH),
      STEP("MAIL FROM:<a@x>\r\n", "530 5.7.0 Must issue a STARTTLS command first\r\n"),
      STEP("STARTTLS now\r\n", "501 5.5.4 This command takes no argument\r\n")}},
    {"an account without a password is for trusted clients",
     NO_PRELUDE,
     UNTRUSTED,
     {STEP("EHLO c\r\n", EHLO_REPLY), STEP(AUTH_OPEN, FAILED),
      STEP("AUTH PLAIN AHVzZXJAeABzZWNyZXQ=\r\n", LOGGED_IN)},
     .set_up = auth_in_clear},
};

static const struct dialogue envelopes[] = {
    {"null sender", AFTER_LOGIN, 0, {STEP("MAIL FROM:<>\r\n", SENDER_OK)}},
    {"sloppy MAIL",
     AFTER_LOGIN,
     0,
     {STEP("mail from: <a@x> size=10 body=8bitmime\r\n", SENDER_OK)}},
    {"MAIL's errors",
     AFTER_LOGIN,
     0,
     {STEP("MAIL\r\n", "501 5.5.4 FROM:<address> is missing\r\n"),
      STEP("MAIL FROM:<a>\r\n", "501 5.1.7 the address has no @domain\r\n"),
      STEP("MAIL FROM:<a@x> SIZE=x\r\n",
           "501 5.5.4 the parameter SIZE has a value that is not valid\r\n"),
      STEP("MAIL FROM:<a@x> FUNNY=1\r\n", "555 5.5.4 a parameter is not known here\r\n"),
      STEP("MAIL FROM:<a@x> RET=FULL\r\n", "555 5.5.4 a parameter is not known here\r\n"),
      STEP("MAIL FROM:<a@x> BODY=BINARYMIME\r\n", "501 5.5.4 BINARYMIME is not offered\r\n"),
      STEP("MAIL FROM:<a@x> SIZE=200001\r\n", "552 5.3.4 Message is too big\r\n"),
      STEP("MAIL FROM:<\xc3\xa9@x>\r\n", "553 5.6.7 The address needs SMTPUTF8\r\n"),
      STEP("MAIL FROM:<\xc3\xa9@x> SMTPUTF8\r\n", SENDER_OK),
      STEP("RCPT TO:<\xc3\xa9@x>\r\n", RCPT_OK)}},
    {"RCPT's errors",
     AFTER_LOGIN,
     0,
     {STEP("MAIL FROM:<a@x>\r\n", SENDER_OK),
      STEP("RCPT FROM:<a@x>\r\n", "501 5.5.4 TO:<address> is missing\r\n"),
      STEP("RCPT TO:<>\r\n", "501 5.1.3 the null address <> cannot receive\r\n"),
      STEP("RCPT TO:<a@x> NOTIFY=NEVER\r\n", "555 5.5.4 a parameter is not known here\r\n"),
      STEP("RCPT TO:<\xc3\xa9@x>\r\n", "553 5.6.7 The address needs SMTPUTF8\r\n"),
      STEP("DATA\r\n", "554 5.5.1 No valid recipients\r\n"),
      STEP("RCPT TO:<a@x>\r\n", MAIL_FIRST)}},
    {"too many recipients",
     AFTER_LOGIN,
     0,
     {STEP("MAIL FROM:<a@x>\r\n", SENDER_OK),
      STEP("RCPT TO:<1@x>\r\nRCPT TO:<2@x>\r\nRCPT TO:<3@x>\r\nRCPT TO:<4@x>\r\nRCPT TO:<5@x>\r\n",
           RCPT_OK RCPT_OK RCPT_OK RCPT_OK "452 4.5.3 Too many recipients\r\n"),
      STEP("DATA\r\n", GO_AHEAD), STEP(".\r\n", TAKEN)},
     .content = ""},
    {"pipelined behind a refused MAIL is no error",
     AFTER_LOGIN,
     0,
     {STEP("MAIL FROM:<a@x> SIZE=999999\r\nRCPT TO:<1@x>\r\nDATA\r\n",
           "552 5.3.4 Message is too big\r\n" MAIL_FIRST MAIL_FIRST),
      STEP("MAIL FROM:<a@x> SIZE=999999\r\nBDAT 3 LAST\r\nabcNOOP\r\n",
           "552 5.3.4 Message is too big\r\n" MAIL_FIRST OK)},
     .set_up = few_errors,
     .check = check_no_errors},
};

static void test_order(void **state)
{
    (void)state;
    dialogues_check(order, COUNT_OF(order));
}

static void test_lines(void **state)
{
    (void)state;
    dialogues_check(lines, COUNT_OF(lines));
}

static void test_early_input(void **state)
{
    (void)state;
    dialogues_check(early, COUNT_OF(early));
}

static void test_auth(void **state)
{
    (void)state;
    dialogues_check(auth, COUNT_OF(auth));
}

static void test_policy(void **state)
{
    struct client client;

    (void)state;
    dialogue_check(&policy[0]);
    dialogue_check(&policy[1]);
    dialogue_check(&policy[2]);
    /* What a trusted client says ahead of the greeting is not heard either. */
    world_open();
    client_open(&client, CONF_TLS_NONE, "192.0.2.7:1", SLICE("EHLO c\r\n"));
    client_expect(&client, "ahead of the greeting", SLICE(""), EARLY);
    client_expect_eof(&client, "ahead of the greeting");
    client_close(&client);
    world_close();
}

static void test_envelopes(void **state)
{
    (void)state;
    dialogues_check(envelopes, COUNT_OF(envelopes));
}

static void test_long_lines(void **state)
{
    static const size_t lens[] = {2046, 2047, 12286, 12287, 12288, 65000, 70000};
    static char line[70002];

    (void)state;
    memset(line, 'x', sizeof(line));
    for (size_t i = 0; i < COUNT_OF(lens); i++) {
        struct client client;
        bool endless = lens[i] > 65536 + 12288, fits = lens[i] + 2 <= 2048;

        world_open();
        client_begin(&client, AFTER_EHLO);
        line[lens[i]] = '\r';
        line[lens[i] + 1] = '\n';
        client_expect(&client, "long line", (struct slice){line, lens[i] + 2},
                      fits ? "502 5.5.1 Command not recognized\r\n"
                           : "500 5.5.2 Line too long\r\n");
        memset(line, 'x', sizeof(line));
        if (!endless)
            EXPECT(&client, "NOOP\r\n", OK);
        client_close(&client);
        world_close();
    }
}

static void test_endless_line(void **state)
{
    static char piece[10000];
    struct client client;

    (void)state;
    memset(piece, 'x', sizeof(piece));
    world_open();
    client_begin(&client, AFTER_LOGIN);
    for (int i = 0; i < 7; i++)
        client_send(&client, (struct slice){piece, sizeof(piece)});
    client_expect(&client, "endless line", SLICE(""), "500 5.5.2 Line too long\r\n");
    client_expect_eof(&client, "endless line");
    client_close(&client);
    world_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),       cmocka_unit_test(test_lines),
        cmocka_unit_test(test_early_input), cmocka_unit_test(test_auth),
        cmocka_unit_test(test_policy),      cmocka_unit_test(test_envelopes),
        cmocka_unit_test(test_long_lines),  cmocka_unit_test(test_endless_line),
    };

    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
