/* The verdict table against a corpus of replies as the providers word them
 * (PROVIDERS.md sections 1, 2 and 4). */
#include "check.h"

#include <stdio.h>

#include "relay/verdict.h"

#define MINUTE (60 * 1000ull)

static const struct {
    const char *provider;
    enum phase phase;
    const char *wire; /* as it comes from the provider */
    const char *rule;
    enum verdict_class class_;
    int code; /* for the client */
    const char *enhanced;
    enum account_state state;
    bool close;
} corpus[] = {
    /* success */
    {"gmail", PHASE_FINAL, "250 2.0.0 OK  1764000000 a1-x.12 - gsmtp\r\n", "ok", VERDICT_OK, 250,
     "2.0.0", ACCOUNT_ACTIVE, false},
    {"outlook", PHASE_FINAL,
     "250 2.0.0 OK <1@x> [Hostname=SYBP282MB2635.AUSP282.PROD.OUTLOOK.COM]\r\n", "ok", VERDICT_OK,
     250, "2.0.0", ACCOUNT_ACTIVE, false},
    /* row 2: goodbyes on a reused connection */
    {"gmail", PHASE_MAIL, "451 4.4.2 Timeout - closing connection. a1 - gsmtp\r\n", "idle_timeout",
     VERDICT_CONNECTION_DEAD, 451, "4.4.2", ACCOUNT_ACTIVE, true},
    {"outlook", PHASE_MAIL, "451 4.7.0 Timeout waiting for client input [x.PROD.OUTLOOK.COM]\r\n",
     "idle_timeout", VERDICT_CONNECTION_DEAD, 451, "4.7.0", ACCOUNT_ACTIVE, true},
    {"gmail", PHASE_MAIL, "421 4.7.0 Connection expired, try reconnecting. - gsmtp\r\n", "expired",
     VERDICT_CONNECTION_DEAD, 451, "4.7.0", ACCOUNT_ACTIVE, true},
    {"outlook", PHASE_MAIL, "421 4.4.1 Connection timed out. Total session duration: 00:20:55\r\n",
     "session_duration", VERDICT_CONNECTION_DEAD, 451, "4.4.1", ACCOUNT_ACTIVE, true},
    {"x", PHASE_MAIL, "421 bye\r\n", "mail_goodbye", VERDICT_CONNECTION_DEAD, 451, "",
     ACCOUNT_ACTIVE, true},
    /* row 3 */
    {"gmail", PHASE_EHLO,
     "421-4.7.0 Try again later, closing connection. (EHLO)\r\n"
     "421 4.7.0  https://support.google.com/mail/?p=X a1 - gsmtp\r\n",
     "ehlo_refused", VERDICT_PROVIDER_TRANSIENT, 451, "4.4.0", ACCOUNT_ACTIVE, true},
    {"gmail", PHASE_EHLO, "501 5.5.4 Empty HELO/EHLO argument not allowed, closing connection.\r\n",
     "ehlo_refused", VERDICT_PROVIDER_TRANSIENT, 451, "4.4.0", ACCOUNT_ACTIVE, true},
    /* row 4 */
    {"gmail", PHASE_AUTH,
     "535-5.7.8 Username and Password not accepted. For more information, go to\r\n"
     "535 5.7.8  https://support.google.com/mail/?p=BadCredentials a1 - gsmtp\r\n",
     "token_refused", VERDICT_TOKEN, 454, "4.7.0", ACCOUNT_ACTIVE, true},
    {"outlook", PHASE_AUTH, "535 5.7.3 Authentication unsuccessful [x.PROD.OUTLOOK.COM]\r\n",
     "token_refused", VERDICT_TOKEN, 454, "4.7.0", ACCOUNT_ACTIVE, true},
    {"outlook", PHASE_AUTH, "535 5.7.142 Token will expire soon\r\n", "token_refused",
     VERDICT_TOKEN, 454, "4.7.0", ACCOUNT_ACTIVE, true},
    {"outlook", PHASE_AUTH, "501 5.5.127 Token will expire soon\r\n", "token_expiring",
     VERDICT_TOKEN, 454, "4.7.0", ACCOUNT_ACTIVE, true},
    /* row 5 */
    {"outlook", PHASE_AUTH,
     "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the "
     "Mailbox. Visit https://aka.ms/smtp_auth_disabled for more information.\r\n",
     "smtp_auth_disabled", VERDICT_ACCOUNT_ADMIN, 454, "4.7.0", ACCOUNT_MISCONFIGURED, true},
    {"outlook", PHASE_AUTH,
     "550 5.7.30 Basic authentication is not supported for Client Submission.\r\n",
     "basic_auth_retired", VERDICT_ACCOUNT_ADMIN, 454, "4.7.0", ACCOUNT_MISCONFIGURED, true},
    {"gmail", PHASE_AUTH, "534 5.7.14 Please log in via your web browser - gsmtp\r\n",
     "web_login_needed", VERDICT_ACCOUNT_ADMIN, 454, "4.7.0", ACCOUNT_MISCONFIGURED, true},
    {"gmail", PHASE_AUTH, "534 5.7.9 Application-specific password required. - gsmtp\r\n",
     "web_login_needed", VERDICT_ACCOUNT_ADMIN, 454, "4.7.0", ACCOUNT_MISCONFIGURED, true},
    {"outlook", PHASE_AUTH, "535 5.7.144 Invalid API permissions\r\n", "api_permission",
     VERDICT_ACCOUNT_ADMIN, 454, "4.7.0", ACCOUNT_MISCONFIGURED, true},
    {"outlook", PHASE_AUTH, "550 5.7.240 app not allowed\r\n", "app_not_allowed",
     VERDICT_ACCOUNT_ADMIN, 454, "4.7.0", ACCOUNT_MISCONFIGURED, true},
    {"gmail", PHASE_AUTH, "504 5.7.4 Unrecognized Authentication Type - gsmtp\r\n",
     "mechanism_refused", VERDICT_ACCOUNT_ADMIN, 454, "4.7.0", ACCOUNT_MISCONFIGURED, true},
    /* row 6 */
    {"gmail", PHASE_AUTH, "501 5.5.2 Cannot Decode response - gsmtp\r\n", "auth_syntax",
     VERDICT_ACCOUNT_ADMIN, 454, "4.7.0", ACCOUNT_MISCONFIGURED, true},
    {"gmail", PHASE_AUTH, "555 5.5.2 Syntax error, command line too long. - gsmtp\r\n",
     "auth_syntax", VERDICT_ACCOUNT_ADMIN, 454, "4.7.0", ACCOUNT_MISCONFIGURED, true},
    /* row 7 */
    {"gmail", PHASE_AUTH, "454 4.7.0 Too many login attempts, please try again later. - gsmtp\r\n",
     "login_rate", VERDICT_ACCOUNT_THROTTLED, 454, "4.7.0", ACCOUNT_ACTIVE, true},
    {"gmail", PHASE_AUTH, "454 4.7.0 Cannot authenticate due to temporary system problem.\r\n",
     "login_later", VERDICT_PROVIDER_TRANSIENT, 454, "4.7.0", ACCOUNT_ACTIVE, true},
    {"outlook", PHASE_AUTH, "454 4.7.0 Temporary authentication failure [x]\r\n", "login_later",
     VERDICT_PROVIDER_TRANSIENT, 454, "4.7.0", ACCOUNT_ACTIVE, true},
    /* row 8 */
    {"gmail", PHASE_MAIL,
     "530-5.7.0 Authentication Required. For more information, go to\r\n"
     "530 5.7.0  https://support.google.com/mail/?p=WantAuthError\r\n",
     "login_lost", VERDICT_CONNECTION_DEAD, 451, "4.7.0", ACCOUNT_ACTIVE, true},
    {"outlook", PHASE_MAIL, "530 5.7.57 Client not authenticated to send mail. [x]\r\n",
     "login_lost", VERDICT_CONNECTION_DEAD, 451, "4.7.0", ACCOUNT_ACTIVE, true},
    /* row 9 */
    {"outlook", PHASE_FINAL,
     "421 4.4.2 Message submission rate for this client has exceeded the configured limit\r\n",
     "submission_rate", VERDICT_ACCOUNT_THROTTLED, 451, "4.4.2", ACCOUNT_THROTTLED, true},
    /* row 10 */
    {"outlook", PHASE_FINAL,
     "432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending "
     "for more information. [Hostname=x]\r\n",
     "concurrency", VERDICT_ACCOUNT_THROTTLED, 432, "4.3.2", ACCOUNT_ACTIVE, true},
    {"outlook", PHASE_FINAL, "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded\r\n",
     "concurrency", VERDICT_ACCOUNT_THROTTLED, 432, "4.3.2", ACCOUNT_ACTIVE, true},
    /* row 11 */
    {"gmail", PHASE_MAIL,
     "550-5.4.5 Daily user sending limit exceeded. For more information\r\n"
     "550 5.4.5  https://support.google.com/a/answer/166852 - gsmtp\r\n",
     "daily_quota", VERDICT_ACCOUNT_QUOTA, 452, "4.4.5", ACCOUNT_PARKED, false},
    {"gmail", PHASE_FINAL, "550 5.4.5 Daily user sending limit exceeded.\r\n", "daily_quota",
     VERDICT_ACCOUNT_QUOTA, 452, "4.4.5", ACCOUNT_PARKED, false},
    {"outlook", PHASE_FINAL,
     "550 5.1.90 Your message can't be sent because you've reached your daily limit for message "
     "recipients\r\n",
     "daily_recipients", VERDICT_ACCOUNT_QUOTA, 452, "4.5.3", ACCOUNT_PARKED, false},
    {"outlook", PHASE_FINAL,
     "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; x\r\n",
     "submission_quota", VERDICT_ACCOUNT_QUOTA, 452, "4.5.3", ACCOUNT_PARKED, false},
    {"outlook", PHASE_FINAL,
     "554 5.2.0 STOREDRV.Submission.Exception:OutboundSpamException; Failed; WASCL UserAction "
     "verdict is not None. Actual verdict is RefuseQuota\r\n",
     "refuse_quota", VERDICT_ACCOUNT_QUOTA, 452, "4.5.3", ACCOUNT_PARKED, false},
    {"gmail", PHASE_MAIL, "550 5.7.1 Daily SMTP relay limit exceeded for customer. - gsmtp\r\n",
     "customer_limit", VERDICT_ACCOUNT_QUOTA, 452, "4.7.1", ACCOUNT_PARKED, false},
    /* row 12 */
    {"outlook", PHASE_FINAL, "550 5.2.252 send-as denied\r\n", "error_throttling",
     VERDICT_ACCOUNT_BLOCKED, 450, "4.2.1", ACCOUNT_BLOCKED, false},
    {"outlook", PHASE_MAIL, "550 5.2.255 invalid recipients\r\n", "error_throttling",
     VERDICT_ACCOUNT_BLOCKED, 450, "4.2.1", ACCOUNT_BLOCKED, false},
    /* row 13 */
    {"outlook", PHASE_FINAL, "550 5.1.8 Access denied, bad outbound sender\r\n", "bad_sender",
     VERDICT_ACCOUNT_BLOCKED, 450, "4.2.1", ACCOUNT_BLOCKED, false},
    {"outlook", PHASE_FINAL, "550 5.7.501 Access denied, spam abuse detected\r\n", "banned",
     VERDICT_ACCOUNT_BLOCKED, 450, "4.2.1", ACCOUNT_BLOCKED, false},
    {"outlook", PHASE_FINAL, "550 5.7.705 Access denied, tenant has exceeded threshold\r\n",
     "tenant_threshold", VERDICT_ACCOUNT_BLOCKED, 450, "4.2.1", ACCOUNT_BLOCKED, false},
    {"outlook", PHASE_FINAL,
     "554 5.2.0 STOREDRV.Submission.Exception:OutboundSpamException; Actual verdict is Suspend\r\n",
     "outbound_spam", VERDICT_ACCOUNT_BLOCKED, 450, "4.2.1", ACCOUNT_BLOCKED, false},
    {"gmail", PHASE_MAIL, "550 5.7.0 Mail Sending denied. - gsmtp\r\n", "sending_denied",
     VERDICT_ACCOUNT_BLOCKED, 450, "4.2.1", ACCOUNT_BLOCKED, false},
    /* row 14 */
    {"outlook", PHASE_FINAL,
     "430 4.2.0 STOREDRV; mailbox logon failure; transient failure; "
     "ConnectionFailedTransientException.MapiExceptionLogonFailed\r\n",
     "grant_missing", VERDICT_ACCOUNT_ADMIN, 451, "4.2.0", ACCOUNT_MISCONFIGURED, false},
    /* row 15: 554 is one refusal, 550 the throttling above */
    {"outlook", PHASE_FINAL,
     "554 5.2.252 SendAsDenied; a@x not allowed to send as b@y; "
     "STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied\r\n",
     "send_as_denied", VERDICT_MESSAGE_PERMANENT, 554, "5.2.252", ACCOUNT_ACTIVE, false},
    {"outlook", PHASE_FINAL,
     "550 5.7.60 SMTP; Client does not have permissions to send as this sender\r\n",
     "not_this_sender", VERDICT_MESSAGE_PERMANENT, 550, "5.7.60", ACCOUNT_ACTIVE, false},
    /* row 16 */
    {"outlook", PHASE_FINAL,
     "554 5.2.2 mailbox full; STOREDRV.Submission.Exception:QuotaExceededException\r\n",
     "mailbox_full", VERDICT_ACCOUNT_QUOTA, 452, "4.2.2", ACCOUNT_PARKED, false},
    /* rows 17 to 19 */
    {"gmail", PHASE_RCPT,
     "550-5.1.1 The email account that you tried to reach does not exist.\r\n"
     "550 5.1.1  https://support.google.com/mail/?p=NoSuchUser - gsmtp\r\n",
     "rcpt_refused", VERDICT_RCPT_PERMANENT, 550, "5.1.1", ACCOUNT_ACTIVE, false},
    {"gmail", PHASE_RCPT, "553 5.1.2 The recipient domain is not valid. - gsmtp\r\n",
     "rcpt_refused", VERDICT_RCPT_PERMANENT, 553, "5.1.2", ACCOUNT_ACTIVE, false},
    {"gmail", PHASE_RCPT, "452 4.5.3 Your message has too many recipients. - gsmtp\r\n",
     "too_many_rcpts", VERDICT_RCPT_TRANSIENT, 452, "4.5.3", ACCOUNT_ACTIVE, false},
    {"gmail", PHASE_RCPT, "550 5.5.3 Too many recipients for this sender. - gsmtp\r\n",
     "too_many_rcpts", VERDICT_RCPT_TRANSIENT, 452, "4.5.3", ACCOUNT_ACTIVE, false},
    {"gmail", PHASE_RCPT, "450 4.2.1 The user is receiving mail too quickly. - gsmtp\r\n",
     "rcpt_later", VERDICT_RCPT_TRANSIENT, 450, "4.2.1", ACCOUNT_ACTIVE, false},
    /* row 20 */
    {"gmail", PHASE_FINAL, "552 5.3.4 Your message exceeded the size limits. - gsmtp\r\n",
     "refused", VERDICT_MESSAGE_PERMANENT, 552, "5.3.4", ACCOUNT_ACTIVE, false},
    {"gmail", PHASE_FINAL, "552 5.7.0 This message was blocked because its content...\r\n",
     "refused", VERDICT_MESSAGE_PERMANENT, 552, "5.7.0", ACCOUNT_ACTIVE, false},
    {"x", PHASE_FINAL, "550 5.6.11 bare linefeeds\r\n", "refused", VERDICT_MESSAGE_PERMANENT, 550,
     "5.6.11", ACCOUNT_ACTIVE, false},
    /* row 21 */
    {"outlook", PHASE_FINAL, "451 4.7.0 Temporary server error. Please try again later. PRX2\r\n",
     "later", VERDICT_PROVIDER_TRANSIENT, 451, "4.7.0", ACCOUNT_ACTIVE, false},
    {"gmail", PHASE_FINAL, "421 4.3.0 Temporary System Problem. Try again later. - gsmtp\r\n",
     "closing", VERDICT_PROVIDER_TRANSIENT, 451, "4.3.0", ACCOUNT_ACTIVE, true},
    {"outlook", PHASE_RCPT, "421 4.3.2 Service not active\r\n", "closing",
     VERDICT_PROVIDER_TRANSIENT, 451, "4.3.2", ACCOUNT_ACTIVE, true},
    /* providers' codes collide: each row only for its own */
    {"outlook", PHASE_FINAL, "550 5.4.5 other\r\n", "refused", VERDICT_MESSAGE_PERMANENT, 550,
     "5.4.5", ACCOUNT_ACTIVE, false},
    {"gmail", PHASE_FINAL, "550 5.7.30 DKIM failed\r\n", "refused", VERDICT_MESSAGE_PERMANENT, 550,
     "5.7.30", ACCOUNT_ACTIVE, false},
    {"x", PHASE_GREETING, "554 5.3.2 go away\r\n", "setup_refused", VERDICT_PROVIDER_TRANSIENT, 451,
     "4.4.0", ACCOUNT_ACTIVE, true},
};

static void parse(const char *wire, struct smtp_reply *reply)
{
    struct smtp_reply_parser parser;
    size_t used;

    smtp_reply_parser_init(&parser);
    smtp_reply_init(reply);
    assert_int_equal(smtp_reply_parse(&parser, slice_of(wire), &used, reply, NULL), 1);
    smtp_reply_parser_clear(&parser);
}

static void test_corpus(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(corpus); i++) {
        struct smtp_reply reply, told;
        struct verdict verdict;
        char enhanced[32] = "";

        parse(corpus[i].wire, &reply);
        verdict = verdict_of(slice_of(corpus[i].provider), corpus[i].phase, false, &reply);
        check_text(corpus[i].wire, slice_of(verdict.rule), corpus[i].rule);
        check_num(corpus[i].wire, verdict.class_, corpus[i].class_);
        check_num(corpus[i].wire, verdict.state, corpus[i].state);
        check_num(corpus[i].wire, verdict.close, corpus[i].close);
        if (verdict.state != ACCOUNT_ACTIVE)
            check_num(corpus[i].wire, verdict.for_ms >= MINUTE, true);
        smtp_reply_init(&told);
        assert_true(verdict_reply(&verdict, &reply, &told));
        check_num(corpus[i].wire, told.code, corpus[i].code);
        if (told.enhanced.class_)
            snprintf(enhanced, sizeof(enhanced), "%u.%u.%u", told.enhanced.class_,
                     told.enhanced.subject, told.enhanced.detail);
        check_text(corpus[i].wire, slice_of(enhanced), corpus[i].enhanced);
        check_text(corpus[i].wire, slice_of(told.text ? told.text : ""),
                   reply.text ? reply.text : "");
        smtp_reply_clear(&told);
        smtp_reply_clear(&reply);
    }
}

/* Whatever a provider says in a transaction, a client never gets 421 (which
 * would end its connection), a class digit that contradicts the code, or
 * success for a failure. */
static void test_every_code(void **state)
{
    (void)state;
    for (int code = 200; code < 600; code++) {
        for (int phase = 0; phase < PHASES; phase++) {
            struct smtp_reply reply, told;
            struct verdict verdict;

            smtp_reply_init(&reply);
            smtp_reply_init(&told);
            smtp_reply_set(&reply, code, (struct smtp_enhanced){5, 7, 1}, "x");
            verdict = verdict_of(SLICE("gmail"), (enum phase)phase, phase & 1, &reply);
            assert_true(verdict_reply(&verdict, &reply, &told));
            assert_int_not_equal(told.code, 421);
            assert_int_equal(told.enhanced.class_, told.code / 100);
            if (code >= 400)
                assert_true(told.code >= 400);
            if (code >= 400 && code < 500)
                assert_true(told.code < 500);
            smtp_reply_clear(&reply);
            smtp_reply_clear(&told);
        }
    }
}

static void test_bdat_refused(void **state)
{
    struct smtp_reply reply;
    struct verdict verdict;

    (void)state;
    parse("502 5.5.1 Unrecognized command\r\n", &reply);
    verdict = verdict_of(SLICE("x"), PHASE_FINAL, true, &reply);
    assert_true(verdict.bdat_broken);
    assert_int_equal(verdict.code, 451);
    verdict = verdict_of(SLICE("x"), PHASE_FINAL, false, &reply);
    assert_false(verdict.bdat_broken);
    smtp_reply_clear(&reply);
}

static void test_state_replies(void **state)
{
    struct smtp_reply reply;

    (void)state;
    smtp_reply_init(&reply);
    for (int s = 0; s < ACCOUNT_STATES; s++) {
        assert_true(verdict_state_reply((enum account_state)s, "why", &reply));
        /* the mail can be kept: every state can be mended */
        assert_int_equal(reply.code / 100, 4);
        assert_int_equal(reply.enhanced.class_, 4);
        assert_non_null(strstr(reply.text, ": why"));
    }
    smtp_reply_clear(&reply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_corpus),
        cmocka_unit_test(test_every_code),
        cmocka_unit_test(test_bdat_refused),
        cmocka_unit_test(test_state_replies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
