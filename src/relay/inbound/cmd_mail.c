/* MAIL and RCPT (RFC 5321 sections 4.1.1.2 and 4.1.1.3). */
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "relay/inbound/commands.h"
#include "relay/inbound/transaction.h"
#include "relay/verdict.h"

static uint64_t until_of(struct login *login)
{
    uint64_t until;

    pthread_mutex_lock(&login->lock);
    until = login->until_wall_ms;
    pthread_mutex_unlock(&login->lock);
    return until;
}

static void add_time(struct text *text, uint64_t wall_ms)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm parts;
    char stamp[32];

    if (gmtime_r(&seconds, &parts) && strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", &parts))
        text_addf(text, " (until %s)", stamp);
}

/* False: over a limit for longer than a message may wait. */
static bool account_has_room(struct session *session)
{
    struct smtp_reply reply;
    bool refused;

    smtp_reply_init(&reply);
    refused = login_is_refused(session->login, session_now(session), &reply);
    if (refused) {
        stats_add(&session->worker->stats->refused_at_mail_total, 1);
        session_reply(session, reply.code, reply.enhanced,
                      (struct slice){reply.text, reply.text_len});
    }
    smtp_reply_clear(&reply);
    return !refused;
}

/* False when the account cannot send now; the client knows why, and until
 * when, before it sends any content. */
static bool account_can_send(struct session *session)
{
    char memory[IPC_TEXT_MAX + 64], why[IPC_TEXT_MAX + 1] = "";
    enum account_state state = login_state(session->login, clock_wall_ms(), why, sizeof(why));
    uint64_t until = until_of(session->login);
    struct smtp_reply reply;
    struct text text;

    if (state == ACCOUNT_ACTIVE)
        return account_has_room(session);
    text_init(&text, memory, sizeof(memory));
    text_add_str(&text, why);
    if (until)
        add_time(&text, until);
    smtp_reply_init(&reply);
    if (verdict_state_reply(state, memory, &reply))
        session_reply(session, reply.code, reply.enhanced,
                      (struct slice){reply.text, reply.text_len});
    else
        session_say(session, ANSWER_NO_STORAGE);
    smtp_reply_clear(&reply);
    return false;
}

/* The code of a syntax error; an address fault says whose address it was. */
static void refuse_syntax(struct session *session, enum smtp_syntax syntax, unsigned short detail,
                          const char *why)
{
    struct smtp_enhanced enhanced = {5, 5, 4};
    int code = 501;

    if (syntax == SMTP_SYNTAX_ADDRESS)
        enhanced = (struct smtp_enhanced){5, 1, detail};
    else if (syntax == SMTP_SYNTAX_PARAM_UNKNOWN)
        code = 555;
    session_refuse_text(session, code, enhanced, why);
}

/* What the session's offers forbid though the syntax is right. */
static bool mail_is_allowed(struct session *session, const struct smtp_mail *mail)
{
    if (mail->has_size && mail->size > session_conf(session)->max_message_size)
        session_say(session, ANSWER_TOO_BIG);
    else if (mail->body == SMTP_BODY_BINARYMIME)
        session_refuse(session, ANSWER_NO_BINARYMIME);
    else if (mail->sender.utf8 && !mail->utf8)
        session_refuse(session, ANSWER_NEEDS_UTF8);
    else
        return account_can_send(session);
    return false;
}

void cmd_mail(struct session *session, struct slice rest)
{
    struct smtp_mail mail;
    struct reason why;
    enum smtp_syntax syntax;

    if (atomic_load(&session->login->removed)) { /* the sweep is on its way */
        session_end_of_login(session);
        return;
    }
    session->mail_refused = true; /* until it is not */
    syntax = smtp_parse_mail(rest, false, &mail, &why);
    if (syntax) {
        refuse_syntax(session, syntax, 7, why.text);
    } else if (!mail_is_allowed(session, &mail)) {
        return;
    } else if (!transaction_begin(session, &mail)) {
        session_say(session, ANSWER_NO_STORAGE);
    } else {
        session->mail_refused = false;
        session->idle_commands = 0;
        session_say(session, ANSWER_SENDER_OK);
    }
}

/* --- RCPT --- */

static void refuse_rcpt(struct session *session, enum answer answer)
{
    session->transaction->refused++;
    if (answers[answer].code < 500)
        session_say(session, answer);
    else
        session_refuse(session, answer);
}

static uint32_t max_recipients(const struct session *session)
{
    uint32_t all = session_conf(session)->max_recipients;
    uint32_t own = atomic_load(&session->transaction->login->max_recipients);

    return own < all ? own : all;
}

void cmd_rcpt(struct session *session, struct slice rest)
{
    struct transaction *transaction = session->transaction;
    struct smtp_rcpt rcpt;
    struct reason why;
    enum smtp_syntax syntax = smtp_parse_rcpt(rest, false, &rcpt, &why);

    if (syntax) {
        transaction->refused++;
        refuse_syntax(session, syntax, 3, why.text);
    } else if (rcpt.recipient.utf8 && !transaction->job.envelope.utf8) {
        refuse_rcpt(session, ANSWER_NEEDS_UTF8);
    } else if (transaction->job.envelope.count >= max_recipients(session)) {
        refuse_rcpt(session, ANSWER_TOO_MANY_RCPTS);
    } else {
        transaction_rcpt(session, &rcpt);
    }
}
