#include "relay/inbound/commands.h"

#include "relay/inbound/auth.h"

#define S(state) (1u << SESSION_##state)
#define ANY_LINE (S(FRESH) | S(GREETED) | S(READY) | S(MAIL) | S(CHUNKS))
#define LOGGED_IN (S(READY) | S(MAIL) | S(CHUNKS))

enum command_flags {
    QUIET = 1, /* the client waits for the answer before it sends more */
    MAIL = 2,  /* belongs to sending mail, so it is no idle chatter */
};

static const struct command {
    const char *name;
    command_handler *run;
    unsigned states; /* in which it is allowed */
    unsigned flags;
} commands[SMTP_VERBS] = {
    [SMTP_EHLO] = {"EHLO", cmd_ehlo, ANY_LINE, QUIET},
    [SMTP_HELO] = {"HELO", cmd_helo, ANY_LINE, QUIET},
    [SMTP_STARTTLS] = {"STARTTLS", cmd_starttls, S(GREETED) | S(READY), 0},
    [SMTP_AUTH] = {"AUTH", cmd_auth, S(GREETED) | LOGGED_IN, QUIET},
    [SMTP_MAIL] = {"MAIL", cmd_mail, S(READY), MAIL},
    [SMTP_RCPT] = {"RCPT", cmd_rcpt, S(MAIL), MAIL},
    [SMTP_DATA] = {"DATA", cmd_data, S(MAIL) | S(CHUNKS), MAIL | QUIET},
    /* Refuses itself, because its octets follow in any case. */
    [SMTP_BDAT] = {"BDAT", cmd_bdat, ANY_LINE, MAIL},
    [SMTP_RSET] = {"RSET", cmd_rset, ANY_LINE, 0},
    [SMTP_NOOP] = {"NOOP", cmd_noop, ANY_LINE, 0},
    [SMTP_VRFY] = {"VRFY", cmd_vrfy, ANY_LINE, 0},
    [SMTP_EXPN] = {"EXPN", cmd_expn, ANY_LINE, 0},
    [SMTP_HELP] = {"HELP", cmd_help, ANY_LINE, 0},
    [SMTP_QUIT] = {"QUIT", cmd_quit, ANY_LINE, 0},
};

enum answer command_refusal(const struct session *session)
{
    switch (session->state) {
    case SESSION_FRESH:
        return ANSWER_EHLO_FIRST;
    case SESSION_GREETED:
        return session_offers_tls(session) && !auth_allowed(session) ? ANSWER_TLS_FIRST
                                                                     : ANSWER_LOGIN_FIRST;
    case SESSION_READY:
        return ANSWER_MAIL_FIRST;
    case SESSION_CHUNKS:
        return ANSWER_IN_CHUNKS;
    default:
        return ANSWER_IN_TRANSACTION;
    }
}

bool command_is_bare(struct session *session, struct slice rest)
{
    if (rest.len)
        session_refuse(session, ANSWER_NO_ARGUMENT);
    return rest.len == 0;
}

/* A client that pipelines sends RCPT and DATA before it knows that MAIL was
 * refused: it must be told so, but has made no error. */
static void refuse(struct session *session, const struct command *command)
{
    enum answer answer = command_refusal(session);

    if (session->mail_refused && session->state == SESSION_READY && command->flags & MAIL)
        session_say(session, answer);
    else
        session_refuse(session, answer);
}

/* Requests of other protocols, sent here by a browser or a proxy that was told
 * to, end at their first line (cross-protocol scripting). */
static bool is_other_protocol(struct slice line)
{
    static const char *const words[] = {"GET ",     "POST ",   "PUT ",     "HEAD ",
                                        "OPTIONS ", "DELETE ", "CONNECT ", "PATCH "};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (slice_starts_nocase(line, slice_of(words[i])))
            return true;
    }
    return false;
}

static void unknown(struct session *session, struct slice line)
{
    if (!is_other_protocol(line)) {
        session_refuse(session, ANSWER_UNKNOWN_COMMAND);
        return;
    }
    session_violation(session, "other_protocol");
    session_end_saying(session, ANSWER_NOT_SMTP, END_ABUSE);
}

/* False when the session has chattered too long and is over. */
static bool count_idle_command(struct session *session, unsigned flags)
{
    uint32_t most = session_conf(session)->max_commands_without_mail;

    if (flags & MAIL || !most || ++session->idle_commands <= most)
        return true;
    session_violation(session, "too_many_commands");
    session_end_saying(session, ANSWER_TOO_MANY_IDLE, END_ABUSE);
    return false;
}

/* Arguments are for whoever debugs a client; those of AUTH are secret. */
static void log_command(struct session *session, enum smtp_verb verb, struct slice rest)
{
    bool open = verb != SMTP_AUTH && verb != SMTP_UNKNOWN;

    log_event(LOG_DEBUG, "command", log_u("session", session->serial),
              log_s("verb", smtp_verb_names[verb]), log_sl("args", open ? rest : SLICE_NONE));
}

static bool fits(struct session *session, enum smtp_verb verb, struct slice line)
{
    if (verb == SMTP_AUTH || line.len + 2 <= COMMAND_LINE_MAX)
        return true;
    session_refuse(session, ANSWER_LINE_TOO_LONG);
    return false;
}

void command_run(struct session *session, struct slice line)
{
    struct slice rest;
    enum smtp_verb verb = smtp_command_split(line, &rest);
    const struct command *command = &commands[verb];

    if (session->worker->draining && !session->transaction) {
        session_end_saying(session, ANSWER_SHUTTING_DOWN, END_DRAIN);
        return;
    }
    log_command(session, verb, rest);
    if (!fits(session, verb, line) || !count_idle_command(session, command->flags))
        return;
    if (command->flags & QUIET)
        session->quiet = true;
    if (!command->run)
        unknown(session, line);
    else if (!(command->states & 1u << session->state))
        refuse(session, command);
    else
        command->run(session, rest);
}
