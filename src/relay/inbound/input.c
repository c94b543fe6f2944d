/* What the client sends, octet by octet: lines, content, chunks. Each taker
 * consumes up to the end of one thing; the loop goes on until the input is used
 * up or something has to be waited for. */
#include "net/tls.h"
#include "relay/inbound/auth.h"
#include "relay/inbound/commands.h"
#include "relay/inbound/session_private.h"
#include "relay/inbound/transaction.h"
#include "smtp/sasl.h"

/* A line without an end is not worth more of our time than this. */
#define ENDLESS_LINE 65536
/* A client that sends commands and does not read the replies is not read. */
#define OUTPUT_MAX 16384

static void bad_line(struct session *session)
{
    auth_free(session);
    if (session->state == SESSION_AUTH)
        session_rest(session);
    session_violation(session, "bare_newline");
    if (++session->bad_lines > 1)
        session_end_saying(session, ANSWER_BARE_AGAIN, END_ABUSE);
    else
        session_refuse(session, ANSWER_BARE_NEWLINE);
}

static void long_line(struct session *session)
{
    bool in_auth = session->state == SESSION_AUTH;

    auth_free(session);
    if (in_auth)
        session_rest(session);
    session_refuse(session, in_auth ? ANSWER_AUTH_TOO_LONG : ANSWER_LINE_TOO_LONG);
}

/* Only who is not logged in can have a line as long as AUTH's. */
static size_t line_limit(const struct session *session)
{
    return session->login ? COMMAND_LINE_MAX : SASL_LINE_MAX;
}

static void whole_line(struct session *session, enum line_status status, struct slice line)
{
    session->timeout_stale = true;
    if (status == LINE_BAD)
        bad_line(session);
    else if (status == LINE_TOO_LONG)
        long_line(session);
    else if (session->state == SESSION_AUTH)
        auth_line(session, line);
    else
        command_run(session, line);
}

static size_t take_line(struct session *session, struct slice bytes)
{
    struct slice line;
    size_t used;
    enum line_status status =
        line_reader_next(&session->line, bytes, line_limit(session), &used, &line);

    if (status != LINE_MORE) {
        whole_line(session, status, line);
    } else if (session->line.dropped > ENDLESS_LINE) {
        session_violation(session, "endless_line");
        session_end_saying(session, ANSWER_LINE_TOO_LONG, END_ABUSE);
    }
    if (session->line.given) /* an idle session holds no memory, and no password */
        line_reader_clear(&session->line);
    return used;
}

static size_t take_discard(struct session *session, struct slice bytes)
{
    size_t used = bytes.len < session->discard_left ? bytes.len : (size_t)session->discard_left;

    session->timeout_stale = true;
    session->discard_left -= used;
    if (!session->discard_left) {
        session_rest(session);
        transaction_refuse_chunk(session, session->discard_answer, 0);
    }
    return used;
}

static size_t take(struct session *session, struct slice bytes)
{
    switch (session->state) {
    case SESSION_DATA:
        return transaction_take_data(session, bytes);
    case SESSION_BDAT:
        return transaction_take_chunk(session, bytes);
    case SESSION_DISCARD:
        return take_discard(session, bytes);
    default:
        return take_line(session, bytes);
    }
}

/* RFC 2920 section 3.1: behind EHLO, AUTH, STARTTLS and DATA a client waits for
 * the answer. One that does not may be two: an attacker's octets and ours. */
static void early_input(struct session *session)
{
    session_violation(session, "early_input");
    session_end_saying(session, ANSWER_EARLY_INPUT, END_ABUSE);
}

/* False when what is left of the input must wait, or is nobody's any more. */
static bool may_take(struct session *session)
{
    if (session->wait || session->state == SESSION_ENDED || session->state == SESSION_HANDSHAKE)
        return false;
    if (session->quiet)
        early_input(session);
    else if (conn_pending(session->conn) > OUTPUT_MAX)
        session_wait(session, WAIT_OUTPUT, session_conf(session)->command_timeout_ms);
    else
        return true;
    return false;
}

size_t session_input(struct session *session, struct slice bytes)
{
    size_t used = 0;

    while (used < bytes.len && may_take(session))
        used += take(session, (struct slice){bytes.ptr + used, bytes.len - used});
    if (session->wait)
        return used;
    if (used < bytes.len && session->state == SESSION_HANDSHAKE)
        session_violation(session, "plaintext_behind_starttls");
    return bytes.len; /* what is left is dropped: the session is over, or TLS begins */
}
