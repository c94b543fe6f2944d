/* The verbs, in the order and with the checks of a submission server. */
#include <arpa/inet.h>
#include <fnmatch.h>
#include <stdio.h>

#include "base/clock.h"
#include "sim/session.h"
#include "smtp/command.h"

#define COMMAND_MAX 2048 /* octets of any line but AUTH's */

static bool is_bare_number(struct slice name)
{
    unsigned char binary[16];
    char text[64];

    return slice_copy(name, text, sizeof(text)) &&
           (inet_pton(AF_INET, text, binary) == 1 || inet_pton(AF_INET6, text, binary) == 1);
}

static bool name_is_junk(struct session *session, struct slice name)
{
    if (!knob_on(session_scope(session), KNOB_EHLO_STRICT))
        return false;
    return slice_equal_nocase(name, SLICE("localhost")) || is_bare_number(name) ||
           !memchr(name.ptr, name.ptr[0] == '[' ? ':' : '.', name.len);
}

static bool helo_refused(struct session *session, struct slice rest)
{
    struct slice name;

    if (fault_strikes(session, PHASE_EHLO))
        return true;
    if (!smtp_parse_helo(rest, &name, NULL)) {
        session_reply(session, REPLY_EHLO_EMPTY);
        session_end(session, OUT_FINISH);
        return true;
    }
    if (name_is_junk(session, name)) {
        session_reply(session, REPLY_EHLO_STRICT);
        return true;
    }
    return false;
}

static void do_helo(struct session *session, bool extended, struct slice rest)
{
    if (helo_refused(session, rest))
        return;
    session->helo = true;
    transaction_reset(session);
    if (extended)
        session_reply_ehlo(session);
    else
        session_reply(session, REPLY_HELO);
}

static void do_starttls(struct session *session)
{
    struct knob_scope scope = session_scope(session);

    if (knob_on(scope, KNOB_NO_STARTTLS)) {
        session_reply(session, REPLY_UNKNOWN);
    } else if (session->tls) {
        session_reply(session, REPLY_STARTTLS_AGAIN);
    } else if (session->more) {
        session_reply(session, REPLY_STARTTLS_AHEAD);
        session_end(session, OUT_FINISH);
    } else if (!fault_strikes(session, PHASE_STARTTLS)) {
        /* The handshake's round trip; see simulate_connect. */
        session->extra_us += (uint64_t)knob_number(scope, KNOB_LATENCY_MS, 0) * 1000;
        session_reply(session, REPLY_STARTTLS);
        session->state = SESSION_TLS;
        outbox_end(session, OUT_TLS);
    }
}

static bool over_rate(struct session *session)
{
    uint64_t limit =
        session_limit(session, KNOB_RATE_PER_MINUTE, session->profile->rate_per_minute);
    uint64_t now = loop_now(&session->sim->loop);

    /* What is under way counts too, or several connections together would get
     * more through than the limit. */
    return limit &&
           window_count(&session->user->stats.messages, now) + session->user->stats.open >= limit;
}

static bool over_quota_at_mail(struct session *session)
{
    const char *at = session->profile->quota_at_mail ? "mail" : "final";
    uint64_t limit = session_limit(session, KNOB_DAILY_QUOTA, session->profile->daily_quota);

    return limit && session->user->stats.accepted >= limit &&
           strcmp(knob_text(session_scope(session), KNOB_QUOTA_AT, at), "mail") == 0;
}

static bool token_over(struct session *session)
{
    return knob_on(session_scope(session), KNOB_TOKEN_BOUND) && session->user &&
           clock_wall_ms() >= session->token_expires_ms;
}

/* What must hold before any MAIL; says the reply when it does not. */
static bool mail_in_order(struct session *session)
{
    uint64_t most;

    if (!session->helo)
        session_reply(session, REPLY_HELO_FIRST);
    else if (!session->tls)
        session_reply(session, REPLY_TLS_FIRST);
    else if (!session->user)
        session_reply(session, REPLY_AUTH_FIRST);
    else if (session->tx.open)
        session_reply(session, REPLY_MAIL_AGAIN);
    else if (most = (uint64_t)knob_number(session_scope(session), KNOB_MESSAGES_MAX, 0),
             most && session->messages >= most)
        session_reply(session, REPLY_MESSAGES_MAX);
    else if (over_rate(session))
        session_reply(session, REPLY_RATE);
    else if (over_quota_at_mail(session))
        session_reply(session, REPLY_QUOTA);
    else
        return true;
    return false;
}

static bool with_dsn(struct session *session)
{
    return session->profile->dsn && !knob_on(session_scope(session), KNOB_NO_DSN);
}

/* A parameter that was not offered to this client. */
static bool not_offered(struct session *session, const struct smtp_mail *mail)
{
    struct knob_scope scope = session_scope(session);

    if (mail->utf8 && knob_on(scope, KNOB_NO_SMTPUTF8))
        return true;
    if (mail->body == SMTP_BODY_BINARYMIME)
        return !session->profile->binarymime || knob_on(scope, KNOB_NO_CHUNKING);
    return mail->body != SMTP_BODY_UNSET && knob_on(scope, KNOB_NO_8BITMIME);
}

static bool mail_well_formed(struct session *session, struct slice rest, struct smtp_mail *mail)
{
    enum smtp_syntax syntax = smtp_parse_mail(rest, with_dsn(session), mail, NULL);
    uint64_t limit = (uint64_t)knob_number(session_scope(session), KNOB_SIZE_LIMIT,
                                           (int64_t)session->profile->size_limit);

    if (syntax == SMTP_SYNTAX_ADDRESS || (!syntax && mail->sender.utf8 && !mail->utf8)) {
        session_reply(session, REPLY_MAIL_ADDRESS);
    } else if (syntax == SMTP_SYNTAX_PARAM_UNKNOWN || (!syntax && not_offered(session, mail))) {
        session_error(session, "MAIL with a parameter that is not offered");
        session_reply(session, REPLY_PARAM);
    } else if (syntax) {
        session_error(session, "bad syntax in MAIL");
        session_reply(session, REPLY_SYNTAX);
    } else if (mail->has_size && mail->size > limit) {
        session_reply(session, REPLY_TOO_BIG);
    } else {
        return true;
    }
    return false;
}

static void do_mail(struct session *session, struct slice rest)
{
    struct smtp_mail mail;

    if (!mail_in_order(session) || !mail_well_formed(session, rest, &mail))
        return;
    if (fault_strikes(session, PHASE_MAIL))
        return;
    transaction_add_address(&session->tx, mail.sender.mailbox);
    session->tx.open = true;
    session->user->stats.open++;
    session->tx.utf8 = mail.utf8;
    session_tx_begins(session);
    session_reply(session, REPLY_MAIL_OK);
}

/* Recipients whose address says how they are answered. */
static const struct {
    struct slice prefix;
    enum reply reply;
} special_rcpts[] = {
    {{"unknown", 7}, REPLY_RCPT_UNKNOWN},
    {{"defer", 5}, REPLY_RCPT_DEFER},
    {{"toomany", 7}, REPLY_RCPT_MAX},
    {{"blocked", 7}, REPLY_RCPT_BLOCKED},
};

static bool special_rcpt(struct session *session, struct slice mailbox)
{
    for (size_t i = 0; i < sizeof(special_rcpts) / sizeof(*special_rcpts); i++) {
        if (slice_starts_nocase(mailbox, special_rcpts[i].prefix)) {
            session_reply(session, special_rcpts[i].reply);
            return true;
        }
    }
    return false;
}

/* One "pattern=reply" of the knob rcpt_reject. */
static bool pattern_matches(struct slice entry, struct slice mailbox, char *reply, size_t cap)
{
    const char *equals = memchr(entry.ptr, '=', entry.len);
    char pattern[256], address[ADDRESS_MAX + 1];

    if (!equals ||
        !slice_copy((struct slice){entry.ptr, (size_t)(equals - entry.ptr)}, pattern,
                    sizeof(pattern)) ||
        !slice_copy(mailbox, address, sizeof(address)))
        return false;
    slice_copy((struct slice){equals + 1, entry.len - (size_t)(equals + 1 - entry.ptr)}, reply,
               cap);
    return fnmatch(pattern, address, FNM_CASEFOLD) == 0;
}

static bool rejected_rcpt(struct session *session, struct slice mailbox)
{
    const char *at = knob_text(session_scope(session), KNOB_RCPT_REJECT, "");
    char reply[512];

    while (*at) {
        struct slice entry = {at, strcspn(at, "|")};

        if (pattern_matches(entry, mailbox, reply, sizeof(reply))) {
            session_reply_text(session, reply);
            return true;
        }
        at += entry.len + (at[entry.len] == '|');
    }
    return false;
}

static bool rcpt_well_formed(struct session *session, struct slice rest, struct smtp_rcpt *rcpt)
{
    enum smtp_syntax syntax = smtp_parse_rcpt(rest, with_dsn(session), rcpt, NULL);

    if (syntax == SMTP_SYNTAX_ADDRESS || (!syntax && rcpt->recipient.utf8 && !session->tx.utf8)) {
        session_reply(session, REPLY_RCPT_ADDRESS);
    } else if (syntax) {
        session_error(session, "bad syntax in RCPT");
        session_reply(session, syntax == SMTP_SYNTAX_PARAM_UNKNOWN ? REPLY_PARAM : REPLY_SYNTAX);
    } else {
        return true;
    }
    return false;
}

static void do_rcpt(struct session *session, struct slice rest)
{
    unsigned most =
        (unsigned)knob_number(session_scope(session), KNOB_RCPT_MAX, session->profile->rcpt_max);
    struct smtp_rcpt rcpt;

    if (!session->tx.open)
        session_reply(session, REPLY_MAIL_FIRST);
    else if (!rcpt_well_formed(session, rest, &rcpt))
        return;
    else if (most && session->tx.rcpts >= most)
        session_reply(session, REPLY_RCPT_MAX);
    else if (!fault_strikes(session, PHASE_RCPT) &&
             !rejected_rcpt(session, rcpt.recipient.mailbox) &&
             !special_rcpt(session, rcpt.recipient.mailbox)) {
        transaction_add_address(&session->tx, rcpt.recipient.mailbox);
        session->tx.rcpts++;
        session_reply(session, REPLY_RCPT_OK);
    }
}

static void do_data(struct session *session)
{
    if (!session->tx.open || session->tx.failed)
        session_reply(session, REPLY_MAIL_FIRST);
    else if (session->tx.chunked)
        session_reply(session, REPLY_DATA_IN_BDAT);
    else if (!session->tx.rcpts)
        session_reply(session, REPLY_RCPT_FIRST);
    else if (!fault_strikes(session, PHASE_DATA))
        content_begin_data(session);
}

static const char *chunk_refusal(struct session *session)
{
    const char *const *replies = session->profile->replies;

    if (!session->tx.open || session->tx.failed)
        return replies[REPLY_MAIL_FIRST];
    if (!session->tx.rcpts)
        return replies[REPLY_RCPT_FIRST];
    return fault_reply(session, PHASE_BDAT);
}

/* A chunk's octets follow in any case; the reply comes behind them. */
static void do_bdat(struct session *session, struct slice rest)
{
    enum chunk_mode mode = CHUNK_TAKE;
    const char *refusal;
    uint64_t size;
    bool last;

    if (knob_on(session_scope(session), KNOB_NO_CHUNKING)) {
        session_error(session, "BDAT, which is not offered");
        session_reply(session, REPLY_UNKNOWN);
        return;
    }
    if (!smtp_parse_bdat(rest, &size, &last, NULL)) {
        session_error(session, "bad syntax in BDAT");
        session_reply(session, REPLY_SYNTAX);
        return;
    }
    refusal = chunk_refusal(session);
    if (refusal) {
        slice_copy(slice_of(refusal), session->tx.refusal, sizeof(session->tx.refusal));
        mode = CHUNK_REFUSE;
    } else if (fault_acts(session, PHASE_BDAT)) {
        mode = CHUNK_SILENT;
    }
    content_begin_chunk(session, size, last, mode);
}

static void do_rset(struct session *session)
{
    if (fault_strikes(session, PHASE_RSET))
        return;
    transaction_reset(session);
    session_reply(session, REPLY_RSET);
}

static void do_quit(struct session *session)
{
    if (fault_strikes(session, PHASE_QUIT))
        return;
    session_reply(session, REPLY_QUIT);
    session_end(session, OUT_FINISH);
}

static void do_unknown(struct session *session, struct slice line)
{
    const char *space = memchr(line.ptr, ' ', line.len);
    struct slice verb = {line.ptr, space ? (size_t)(space - line.ptr) : line.len};

    slice_copy(verb, session->verb, sizeof(session->verb));
    session_error(session, "an unknown command");
    session_reply(session, REPLY_UNKNOWN);
}

/* RFC 2920 section 3.1: these must be the last of a flight. */
static bool ends_flight(enum smtp_verb verb)
{
    return verb == SMTP_EHLO || verb == SMTP_HELO || verb == SMTP_STARTTLS || verb == SMTP_AUTH ||
           verb == SMTP_DATA || verb == SMTP_QUIT;
}

static void check_flight(struct session *session, enum smtp_verb verb)
{
    char what[64];

    if (!session->more || verb == SMTP_BDAT)
        return;
    if (!ends_flight(verb) && !knob_on(session_scope(session), KNOB_NO_PIPELINING))
        return;
    snprintf(what, sizeof(what), "input behind %s in one flight", smtp_verb_names[verb]);
    session_error(session, what);
}

static void count(struct session *session, enum smtp_verb verb)
{
    session->sim->totals.verbs[verb]++;
    if (session->user)
        session->user->stats.verbs[verb]++;
}

static void run_verb(struct session *session, enum smtp_verb verb, struct slice line,
                     struct slice rest)
{
    switch (verb) {
    case SMTP_EHLO:
    case SMTP_HELO:
        do_helo(session, verb == SMTP_EHLO, rest);
        break;
    case SMTP_STARTTLS:
        do_starttls(session);
        break;
    case SMTP_AUTH:
        auth_begin(session, line, rest);
        break;
    case SMTP_MAIL:
        do_mail(session, rest);
        break;
    case SMTP_RCPT:
        do_rcpt(session, rest);
        break;
    case SMTP_DATA:
        do_data(session);
        break;
    case SMTP_BDAT:
        do_bdat(session, rest);
        break;
    case SMTP_RSET:
        do_rset(session);
        break;
    case SMTP_NOOP:
        if (!fault_strikes(session, PHASE_NOOP))
            session_reply(session, REPLY_NOOP);
        break;
    case SMTP_VRFY:
        session_reply(session, REPLY_VRFY);
        break;
    case SMTP_HELP:
        session_reply(session, REPLY_HELP);
        break;
    case SMTP_QUIT:
        do_quit(session);
        break;
    default:
        do_unknown(session, line);
    }
}

void command_run(struct session *session, struct slice line)
{
    struct slice rest;
    enum smtp_verb verb = smtp_command_split(line, &rest);

    count(session, verb);
    check_flight(session, verb);
    if (verb != SMTP_AUTH && line.len + 2 > COMMAND_MAX) {
        session_error(session, "a command that is too long");
        session_reply(session, REPLY_TOO_LONG);
    } else if (token_over(session)) {
        session_reply(session, REPLY_TOKEN_OVER);
    } else {
        run_verb(session, verb, line, rest);
    }
}
