#include "sim/session.h"

#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/tls.h"
#include "sim/random.h"

/* Commands are judged by their own limits; this bounds what is gathered. */
#define LINE_MAX_OCTETS 24576

static void greet(struct session *session)
{
    if (!fault_strikes(session, PHASE_CONNECT))
        session_reply(session, REPLY_GREETING);
}

void session_error(struct session *session, const char *what)
{
    sim_error(session->sim, session, what);
}

void session_end(struct session *session, enum out_kind kind)
{
    if (session->ended)
        return;
    session->ended = true;
    outbox_end(session, kind);
}

void session_mute(struct session *session)
{
    session->mute = true;
}

#define STALLED_LOOK_MS 250

/* Unread input hides the client's FIN from the connection, so the kernel is
 * asked whether it has come. */
static void on_stalled(struct timer *timer)
{
    struct session *session = container_of(timer, struct session, stalled);
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);

    getsockopt(session->conn->fd, IPPROTO_TCP, TCP_INFO, &info, &len);
    if (info.tcpi_state == TCP_ESTABLISHED)
        loop_timer_set(&session->sim->loop, timer, STALLED_LOOK_MS);
    else
        session_free(session);
}

void session_stop_reading(struct session *session)
{
    session_mute(session);
    conn_pause(session->conn);
    loop_timer_set(&session->sim->loop, &session->stalled, STALLED_LOOK_MS);
}

/* The connection counts as submitting from MAIL until its last final reply has
 * left; a second transaction may begin before that. */
void session_tx_begins(struct session *session)
{
    if (session->submitting++ || !session->user)
        return;
    stats_submitting(&session->user->stats);
    stats_submitting(&session->sim->totals);
}

void session_tx_ends(struct session *session)
{
    if (!session->submitting || --session->submitting || !session->user)
        return;
    session->user->stats.submitting--;
    session->sim->totals.submitting--;
}

void session_logged_in(struct session *session, struct account *user, uint64_t token_expires_ms)
{
    uint64_t now = loop_now(&session->sim->loop);
    struct peer *peer = stats_peer(&user->stats, session->peer);

    session->user = user;
    session->token_expires_ms = token_expires_ms;
    if (peer)
        peer->logins++;
    user->stats.logins++;
    session->sim->totals.logins++;
    window_add(&user->stats.logged_in, now);
    stats_connected(&user->stats);
    stats_connected(&session->sim->totals);
    session_knobs_changed(session);
}

static void forget_user(struct session *session)
{
    if (!session->user)
        return;
    transaction_close(session);
    while (session->submitting)
        session_tx_ends(session);
    session->user->stats.connections--;
    session->sim->totals.connections--;
    session->user = NULL;
}

void session_free(struct session *session)
{
    struct loop *loop = &session->sim->loop;

    outbox_clear(session);
    loop_timer_cancel(loop, &session->idle);
    loop_timer_cancel(loop, &session->age);
    loop_timer_cancel(loop, &session->goodbye);
    loop_timer_cancel(loop, &session->stalled);
    forget_user(session);
    list_remove(&session->sim->sessions, &session->node);
    line_reader_clear(&session->lines);
    transaction_clear(&session->tx);
    conn_close(&session->conn);
    if (session->fd >= 0)
        close(session->fd);
    free(session);
}

/* Without input for too long, or too old: the server says so of its own accord. */
static void say_goodbye(struct session *session, enum reply reply)
{
    if (session->ended)
        return;
    session->flight_us = clock_us();
    session_reply(session, reply);
    session_end(session, OUT_FINISH);
    outbox_release(session);
}

static void on_idle(struct timer *timer)
{
    say_goodbye(container_of(timer, struct session, idle), REPLY_IDLE);
}

static void on_age(struct timer *timer)
{
    say_goodbye(container_of(timer, struct session, age), REPLY_AGE);
}

static void on_goodbye(struct timer *timer)
{
    say_goodbye(container_of(timer, struct session, goodbye), REPLY_GOODBYE);
}

static void restart_idle(struct session *session)
{
    int64_t ms = knob_number(session_scope(session), KNOB_IDLE_CLOSE_MS, 0);

    if (ms)
        loop_timer_set(&session->sim->loop, &session->idle, (uint64_t)ms);
    else if (timer_active(&session->idle))
        loop_timer_cancel(&session->sim->loop, &session->idle);
}

void session_knobs_changed(struct session *session)
{
    int64_t age = knob_number(session_scope(session), KNOB_AGE_CLOSE_MS, 0);

    if (!session->conn || session->ended)
        return;
    restart_idle(session);
    loop_timer_cancel(&session->sim->loop, &session->age);
    if (age) {
        uint64_t old = loop_now(&session->sim->loop) - session->opened_ms;

        loop_timer_set(&session->sim->loop, &session->age,
                       (uint64_t)age > old ? (uint64_t)age - old : 1);
    }
}

static void handle_line(struct session *session, enum line_status status, struct slice line)
{
    if (status == LINE_TOO_LONG) {
        session_error(session, "a line that is too long");
        session_reply(session, REPLY_TOO_LONG);
    } else if (status == LINE_BAD) {
        session_error(session, "a bare CR, bare LF or NUL in a command");
        session_reply(session, REPLY_SYNTAX);
    } else if (session->state == SESSION_COMMAND) {
        command_run(session, line);
    } else {
        auth_line(session, line);
    }
}

static size_t take_line(struct session *session, struct slice bytes)
{
    struct slice line;
    size_t used;
    enum line_status status =
        line_reader_next(&session->lines, bytes, LINE_MAX_OCTETS, &used, &line);

    session->more = used < bytes.len;
    if (status != LINE_MORE)
        handle_line(session, status, line);
    return used;
}

/* RFC 3207 section 4: plaintext behind STARTTLS could be injected. */
static size_t too_early(struct session *session, struct slice bytes)
{
    session_error(session, "plaintext behind STARTTLS");
    return bytes.len;
}

static size_t on_data(struct conn *conn, struct slice bytes)
{
    struct session *session = conn->owner;
    size_t at = 0;

    session->flight_us = clock_us();
    if (!session->greeted)
        session_error(session, "input before the greeting");
    while (at < bytes.len && !session->ended && !session->mute) {
        struct slice rest = {bytes.ptr + at, bytes.len - at};

        if (session->state == SESSION_TLS)
            at += too_early(session, rest);
        else if (session->state == SESSION_DATA || session->state == SESSION_BDAT)
            at += content_take(session, rest);
        else
            at += take_line(session, rest);
    }
    restart_idle(session);
    at = conn->paused ? at : bytes.len;
    outbox_release(session);
    return at;
}

/* Behind STARTTLS everything begins anew (RFC 3207 section 4.2). */
static void secured(struct session *session)
{
    session->tls = true;
    session->helo = false;
    session->state = SESSION_COMMAND;
    session->flight_us = clock_us();
    if (!session->listener->spec.implicit_tls)
        return;
    greet(session);
    outbox_release(session);
}

static void on_event(struct conn *conn, enum conn_event event)
{
    struct session *session = conn->owner;

    switch (event) {
    case CONN_SECURED:
        secured(session);
        break;
    case CONN_DRAINED:
        if (session->after_drained != OUT_BYTES)
            outbox_release(session);
        break;
    case CONN_EOF:
        /* What has left already still goes out; what was to be said later finds
         * no one, and is not counted as told. */
        if (conn_pending(conn))
            conn_finish(&session->conn);
        session_free(session);
        break;
    default:
        session_free(session);
    }
}

static const struct conn_handler handler = {on_data, on_event};

void session_start_tls(struct session *session)
{
    line_reader_clear(&session->lines);
    conn_start_tls(session->conn, tls_server(session->sim->tls));
}

static void on_wake(struct delay_entry *entry)
{
    outbox_release(container_of(entry, struct session, wake));
}

/* The (simulated) TCP connection stands. */
static void open_session(struct session *session)
{
    session->conn = conn_open(&session->sim->loop, session->fd, &handler, session);
    session->fd = -1;
    if (!session->conn) {
        session_free(session);
        return;
    }
    session->wake.fire = on_wake;
    session->opened_ms = loop_now(&session->sim->loop);
    session->flight_us = clock_us();
    session_knobs_changed(session);
    if (session->listener->spec.implicit_tls)
        session_start_tls(session);
    else
        greet(session);
    outbox_release(session);
}

static void on_connected(struct delay_entry *entry)
{
    open_session(container_of(entry, struct session, wake));
}

/* connect() on the loopback takes no time. So the round trip of TCP's
 * handshake, and the one of TLS's, pass before anything is read or said. */
static void simulate_connect(struct session *session)
{
    uint64_t latency = (uint64_t)knob_number(session_scope(session), KNOB_LATENCY_MS, 0);
    uint64_t trips = session->listener->spec.implicit_tls ? 2 : 1;

    if (!latency) {
        open_session(session);
        return;
    }
    session->wake.fire = on_connected;
    delay_set(&session->sim->delay, &session->wake, clock_us() + trips * latency * 1000);
}

static void make_id(struct session *session)
{
    random_text(session->id, 20);
    ascii_lower_in_place(session->id);
    memcpy(session->id + 14, "sm", 2);
}

void session_accepted(struct acceptor *acceptor, int fd, const struct net_address *peer)
{
    const struct listener *listener = acceptor->owner;
    struct session *session = calloc(1, sizeof(*session));

    if (!session) {
        close(fd);
        return;
    }
    session->sim = listener->sim;
    session->listener = listener;
    session->profile = listener->spec.profile;
    session->fd = fd;
    session->number = ++session->sim->connections;
    net_address_host(peer, session->peer, sizeof(session->peer));
    make_id(session);
    timer_init(&session->idle, on_idle);
    timer_init(&session->age, on_age);
    timer_init(&session->goodbye, on_goodbye);
    timer_init(&session->stalled, on_stalled);
    line_reader_init(&session->lines);
    transaction_init(&session->tx);
    list_push_tail(&session->sim->sessions, &session->node);
    simulate_connect(session);
}
