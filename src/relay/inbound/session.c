#include "relay/inbound/session_private.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/tls.h"
#include "relay/inbound/addresses.h"
#include "relay/inbound/auth.h"
#include "relay/inbound/transaction.h"

#define HANDSHAKE_MS 30000
#define REPLY_BYTES 12288 /* a whole provider's reply with codes on each line */

/* Keep in step with the enums. */
const char *const session_state_names[SESSION_STATES] = {
    "handshake", "fresh", "greeted", "auth",    "ready",   "mail",
    "data",      "bdat",  "chunks",  "verdict", "discard", "ended",
};

const char *const session_wait_names[WAITS] = {
    "none", "lookup", "password", "delay", "memory", "rcpt", "final", "output",
};

static const struct {
    const char *name;
    bool close; /* there is nobody to say goodbye to */
} ends[ENDS] = {
    [END_QUIT] = {"quit", false},    [END_EOF] = {"eof", false},
    [END_FAILED] = {"failed", true}, [END_TIMEOUT] = {"timeout", false},
    [END_DRAIN] = {"drain", false},  [END_SHUTDOWN] = {"shutdown", true},
    [END_ABUSE] = {"abuse", false},  [END_LOGIN] = {"login", false},
};

#define S(state) (1u << SESSION_##state)
#define REST (S(FRESH) | S(GREETED) | S(READY))

/* Where each state may go; to ENDED from any. */
static const unsigned moves[SESSION_STATES] = {
    [SESSION_HANDSHAKE] = S(FRESH),
    [SESSION_FRESH] = S(GREETED) | S(HANDSHAKE) | S(DISCARD),
    [SESSION_GREETED] = S(AUTH) | S(FRESH) | S(DISCARD),
    [SESSION_AUTH] = S(GREETED) | S(READY),
    [SESSION_READY] = S(MAIL) | S(FRESH) | S(DISCARD),
    [SESSION_MAIL] = S(DATA) | S(BDAT) | S(READY),
    [SESSION_DATA] = S(VERDICT) | S(READY),
    [SESSION_BDAT] = S(CHUNKS) | S(VERDICT) | S(READY),
    [SESSION_CHUNKS] = S(BDAT) | S(READY),
    [SESSION_VERDICT] = S(READY),
    [SESSION_DISCARD] = REST,
};

void session_move(struct session *session, enum session_state to)
{
    if (session->state == to)
        return;
    assert(to == SESSION_ENDED || moves[session->state] & 1u << to);
    log_event(LOG_TRACE, "session_state", log_u("session", session->serial),
              log_s("from", session_state_names[session->state]),
              log_s("to", session_state_names[to]));
    session->state = to;
}

void session_rest(struct session *session)
{
    enum session_state to = SESSION_FRESH;

    if (session->state == SESSION_ENDED)
        return;
    assert(!session->transaction && !session->auth);
    if (session->login)
        to = SESSION_READY;
    else if (session->greeted)
        to = SESSION_GREETED;
    session_move(session, to);
}

/* How long the client may take for what comes next. */
static void arm_timeout(struct session *session)
{
    const struct conf *conf = session_conf(session);
    uint64_t ms = conf->command_timeout_ms;

    if (session->state == SESSION_ENDED || session->wait)
        return;
    if (session->state == SESSION_HANDSHAKE)
        ms = HANDSHAKE_MS;
    else if (session->transaction)
        ms = transaction_patience(session->transaction, conf);
    session->timeout_stale = false;
    conn_set_timeout(session->conn, ms);
}

void session_wait(struct session *session, enum session_wait wait, uint64_t ms)
{
    assert(wait != WAIT_NONE && session->state != SESSION_ENDED);
    session->wait = wait;
    conn_pause(session->conn);
    conn_set_timeout(session->conn, ms);
}

void session_go_on(struct session *session)
{
    session->wait = WAIT_NONE;
    if (session->conn)
        conn_let_out(session->conn);
    if (session->state == SESSION_ENDED)
        return;
    conn_resume(session->conn);
    arm_timeout(session);
}

void session_reply(struct session *session, int code, struct smtp_enhanced enhanced,
                   struct slice text)
{
    char wire[REPLY_BYTES];
    size_t len;

    if (session->state == SESSION_ENDED)
        return;
    len = smtp_reply_format(code, enhanced, text, wire, sizeof(wire));
    conn_write(session->conn, wire, len);
}

void session_say(struct session *session, enum answer answer)
{
    const struct answer_row *row = &answers[answer];

    session_reply(session, row->code, row->enhanced, slice_of(row->text));
}

void session_violation(struct session *session, const char *kind)
{
    stats_add(&session->worker->stats->protocol_errors_total, 1);
    log_event(LOG_WARN, "client_protocol_error", log_u("session", session->serial),
              log_s("client", session->client),
              log_s("account", session->login ? session->login->id : NULL), log_s("kind", kind));
}

static void count_error(struct session *session, struct smtp_enhanced enhanced)
{
    uint32_t most = session_conf(session)->max_errors;

    if (session->state == SESSION_ENDED)
        return;
    if (enhanced.subject == 5) /* X.5.Z is protocol status (RFC 3463 section 3.6) */
        stats_add(&session->worker->stats->protocol_errors_total, 1);
    if (++session->errors < most || !most)
        return;
    session_violation(session, "too_many_errors");
    session_end_saying(session, ANSWER_TOO_MANY_ERRORS, END_ABUSE);
}

void session_refuse(struct session *session, enum answer answer)
{
    session_say(session, answer);
    count_error(session, answers[answer].enhanced);
}

void session_refuse_text(struct session *session, int code, struct smtp_enhanced enhanced,
                         const char *text)
{
    session_reply(session, code, enhanced, slice_of(text));
    count_error(session, enhanced);
}

void session_forget(struct session *session)
{
    transaction_reset(session);
    session->greeted = false;
    login_unref(session->login);
    session->login = NULL;
    line_reader_clear(&session->line);
    session_rest(session);
}

void session_end(struct session *session, enum session_end why)
{
    if (session->state == SESSION_ENDED)
        return;
    log_event(LOG_DEBUG, "client_disconnected", log_u("session", session->serial),
              log_s("client", session->client), log_s("why", ends[why].name),
              log_s("error", why == END_FAILED ? conn_error(session->conn) : NULL),
              log_s("state", session_state_names[session->state]),
              log_s("wait", session_wait_names[session->wait]),
              log_u("bytes_in", session->conn->bytes_in),
              log_u("bytes_out", session->conn->bytes_out));
    session_move(session, SESSION_ENDED);
    session_go_on(session);
    auth_free(session);
    transaction_reset(session);
    if (ends[why].close)
        conn_close(&session->conn);
    else
        conn_finish(&session->conn);
}

void session_end_saying(struct session *session, enum answer answer, enum session_end why)
{
    session_say(session, answer);
    session_end(session, why);
}

static void session_free(struct session *session)
{
    list_remove(&session->worker->sessions, &session->worker_node);
    stats_sub(&session->worker->stats->client_sessions, 1);
    atomic_fetch_sub(&session->worker->relay->clients, 1);
    client_address_leave(&session->address);
    login_unref(session->login);
    line_reader_clear(&session->line);
    free(session);
}

/* Nothing is under way: the service may end here without harm. */
static bool is_idle(const struct session *session)
{
    return !session->wait && !session->transaction && session->state != SESSION_HANDSHAKE &&
           session->state != SESSION_DISCARD && session->state != SESSION_ENDED;
}

static bool is_removed(const struct session *session)
{
    return session->login && atomic_load(&session->login->removed);
}

void session_end_of_login(struct session *session)
{
    stats_add(&session->worker->stats->client_ended_total, 1);
    log_event(LOG_INFO, "client_login_ended", log_u("session", session->serial),
              log_s("client", session->client), log_s("account", session->login->id),
              log_s("state", session_state_names[session->state]));
    session_end_saying(session, ANSWER_LOGIN_CHANGED, END_LOGIN);
}

void session_leave(struct session *session)
{
    if (is_idle(session) && session->worker->draining)
        session_end_saying(session, ANSWER_SHUTTING_DOWN, END_DRAIN);
    else if (is_idle(session) && is_removed(session))
        session_end_of_login(session); /* behind the verdict that it waited for */
    if (session->state == SESSION_ENDED)
        session_free(session);
    else if (session->timeout_stale)
        arm_timeout(session);
}

/* --- events --- */

static size_t on_data(struct conn *conn, struct slice bytes)
{
    struct session *session = conn->owner;
    size_t used = session_input(session, bytes);

    session_leave(session);
    return used;
}

static void greet(struct session *session)
{
    char text[300];
    struct text line;

    text_init(&line, text, sizeof(text));
    text_addf(&line, "%s ESMTP service ready", session->worker->settings->hostname);
    session_reply(session, 220, (struct smtp_enhanced){0}, slice_of(text));
    session->quiet = true;
}

static void on_secured(struct session *session)
{
    session_move(session, SESSION_FRESH);
    session->timeout_stale = true;
    if (session->tls == CONF_TLS_IMPLICIT)
        greet(session);
}

/* Our replies have left. */
static void on_drained(struct session *session)
{
    if (session->wait == WAIT_OUTPUT)
        session_go_on(session);
    if (!session->wait)
        session->quiet = false;
}

static void on_failed(struct session *session)
{
    if (session->state == SESSION_HANDSHAKE)
        log_event(LOG_INFO, "client_tls_failed", log_s("client", session->client),
                  log_s("error", conn_error(session->conn)));
    session_end(session, END_FAILED);
}

static void on_idle_timeout(struct session *session)
{
    if (session->state == SESSION_HANDSHAKE) {
        session_end(session, END_TIMEOUT);
    } else if (session->transaction &&
               transaction_is_slow(session->transaction, session_conf(session))) {
        session_violation(session, "slow_content");
        session_end_saying(session, ANSWER_TOO_SLOW, END_ABUSE);
    } else {
        session_end_saying(session, ANSWER_IDLE_TOO_LONG, END_TIMEOUT);
    }
}

static void on_timeout(struct session *session)
{
    switch (session->wait) {
    case WAIT_NONE:
        on_idle_timeout(session);
        break;
    case WAIT_LOOKUP:
    case WAIT_PASSWORD:
    case WAIT_DELAY:
        auth_timeout(session);
        break;
    case WAIT_MEMORY:
        transaction_memory_timeout(session);
        break;
    case WAIT_OUTPUT:
        session_end(session, END_TIMEOUT);
        break;
    case WAIT_FINAL:
        conn_let_out(session->conn);
        break;
    case WAIT_RCPT:
    case WAITS:
        break; /* the owner of the job bounds these */
    }
}

static void on_event(struct conn *conn, enum conn_event event)
{
    struct session *session = conn->owner;

    switch (event) {
    case CONN_SECURED:
        on_secured(session);
        break;
    case CONN_DRAINED:
        on_drained(session);
        break;
    case CONN_EOF:
        session_end(session, END_EOF);
        break;
    case CONN_FAILED:
        on_failed(session);
        break;
    case CONN_TIMEOUT:
        on_timeout(session);
        break;
    }
    session_leave(session);
}

static const struct conn_handler handler = {on_data, on_event};

/* --- accepting --- */

/* Octets ahead of the greeting are an attack or no SMTP client (EGRESS: a
 * request of another protocol, sent through a browser). Those that arrive
 * before the greeting has left are caught by `quiet`. */
static bool spoke_first(int fd)
{
    char octet;

    return recv(fd, &octet, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

static void begin(struct session *session, int fd)
{
    bool early = session->tls != CONF_TLS_IMPLICIT && spoke_first(fd);

    session->conn = conn_open(&session->worker->loop, fd, &handler, session);
    if (!session->conn) {
        session_move(session, SESSION_ENDED);
        return;
    }
    log_event(LOG_DEBUG, "client_connected", log_u("session", session->serial),
              log_s("client", session->client), log_b("trusted", session->trusted));
    session->timeout_stale = true;
    if (session->tls == CONF_TLS_IMPLICIT) {
        conn_start_tls(session->conn, tls_server(session->worker->settings->server_tls));
        return;
    }
    session_move(session, SESSION_FRESH);
    if (!early) {
        greet(session);
        return;
    }
    session_violation(session, "early_input");
    session_end_saying(session, ANSWER_EARLY_INPUT, END_ABUSE);
}

/* No session: a flood of connections must cost as little as it can. */
static void turn_away(struct worker_listener *listener, int fd, const char *client,
                      enum answer answer)
{
    const struct answer_row *row = &answers[answer];
    char wire[256];
    size_t len =
        smtp_reply_format(row->code, row->enhanced, slice_of(row->text), wire, sizeof(wire));

    if (listener->tls != CONF_TLS_IMPLICIT && send(fd, wire, len, MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
        shutdown(fd, SHUT_WR);
    close(fd);
    stats_add(&listener->worker->stats->client_refused_total, 1);
    log_event(LOG_DEBUG, "client_refused", log_s("client", client), log_s("reply", row->text));
}

/* Whether the client may come in; counts it when so. */
static bool admit(struct worker *worker, struct session *session, const struct net_address *peer,
                  enum answer *refusal)
{
    static const enum answer refusals[] = {
        [CLIENT_TOO_MANY] = ANSWER_TOO_MANY_FROM_YOU,
        [CLIENT_BARRED] = ANSWER_TOO_MANY_FAILURES,
        [CLIENT_NO_MEMORY] = ANSWER_TOO_BUSY,
    };
    const struct conf *conf = worker_conf(worker);
    enum client_admission admission = CLIENT_ADMITTED;

    *refusal = worker->draining ? ANSWER_SHUTTING_DOWN : ANSWER_TOO_BUSY;
    if (worker->draining || !session)
        return false;
    if (atomic_fetch_add(&worker->relay->clients, 1) >= conf->max_connections)
        goto refuse;
    if (!session->trusted)
        admission = client_address_enter(peer, conf, session_now(session), &session->address);
    if (admission == CLIENT_ADMITTED)
        return true;
    *refusal = refusals[admission];
refuse:
    atomic_fetch_sub(&worker->relay->clients, 1);
    return false;
}

static struct session *session_new(struct worker_listener *listener, const struct net_address *peer)
{
    struct session *session = calloc(1, sizeof(*session));

    if (!session)
        return NULL;
    session->worker = listener->worker;
    session->tls = listener->tls;
    session->trusted = settings_trusts(listener->worker->settings, peer);
    line_reader_init(&session->line);
    net_address_host(peer, session->client, sizeof(session->client));
    return session;
}

void session_accept(struct worker_listener *listener, int fd, const struct net_address *peer)
{
    struct worker *worker = listener->worker;
    struct session *session = session_new(listener, peer);
    enum answer refusal;

    if (!admit(worker, session, peer, &refusal)) {
        turn_away(listener, fd, session ? session->client : NULL, refusal);
        free(session);
        return;
    }
    /* Unique in the process, so that its lines in the log can be found. */
    session->serial = ++worker->session_serial * RELAY_WORKERS_MAX + worker->index;
    list_push_tail(&worker->sessions, &session->worker_node);
    stats_add(&worker->stats->client_connections_total, 1);
    stats_add(&worker->stats->client_sessions, 1);
    begin(session, fd);
    session_leave(session);
}

/* --- all sessions of a worker --- */

void session_drain_all(struct worker *worker)
{
    worker->draining = true;
    list_foreach_safe (&worker->sessions, node)
        session_leave(container_of(node, struct session, worker_node));
}

void session_close_all(struct worker *worker)
{
    list_foreach_safe (&worker->sessions, node) {
        struct session *session = container_of(node, struct session, worker_node);

        session_end(session, END_SHUTDOWN);
        session_leave(session);
    }
}

void session_end_removed(struct worker *worker)
{
    list_foreach_safe (&worker->sessions, node) {
        struct session *session = container_of(node, struct session, worker_node);

        /* A message that was handed over gets its verdict first. */
        if (!is_removed(session) || session->state == SESSION_VERDICT ||
            session->state == SESSION_ENDED)
            continue;
        session_end_of_login(session);
        session_leave(session);
    }
}
