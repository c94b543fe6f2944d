#include "load/sink.h"

#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/conn.h"
#include "net/listen.h"
#include "smtp/command.h"
#include "smtp/dot.h"
#include "smtp/line.h"

#define COMMAND_OCTETS 16384

struct sink {
    struct loop loop;
    struct acceptor acceptor;
    struct list sessions;
    uint64_t messages;
    char *scratch; /* decoded content, of one read, that nobody wants */
};

enum sink_state { SINK_COMMAND, SINK_AUTH, SINK_DATA, SINK_BDAT };

struct session {
    struct sink *sink;
    struct conn *conn;
    struct list_node node;
    enum sink_state state;
    struct line_reader lines;
    struct dot_decoder dots;
    uint64_t left; /* of a BDAT chunk */
    bool last;
};

static void session_free(struct session *session)
{
    list_remove(&session->sink->sessions, &session->node);
    line_reader_clear(&session->lines);
    conn_close(&session->conn);
    free(session);
}

static void reply(struct session *session, const char *text)
{
    conn_write(session->conn, text, strlen(text));
}

static void stored(struct session *session)
{
    session->sink->messages++;
    session->state = SINK_COMMAND;
    reply(session, "250 2.0.0 Ok\r\n");
}

static void begin_bdat(struct session *session, struct slice rest)
{
    if (!smtp_parse_bdat(rest, &session->left, &session->last, NULL)) {
        reply(session, "501 5.5.4 Syntax\r\n");
        return;
    }
    session->state = SINK_BDAT;
}

static void run_command(struct session *session, struct slice line)
{
    struct slice rest;

    switch (smtp_command_split(line, &rest)) {
    case SMTP_EHLO:
        reply(session, "250-sink.example\r\n250-PIPELINING\r\n250-SIZE\r\n250-8BITMIME\r\n"
                       "250-AUTH PLAIN\r\n250-ENHANCEDSTATUSCODES\r\n250 CHUNKING\r\n");
        break;
    case SMTP_AUTH:
        if (!memchr(rest.ptr, ' ', rest.len)) {
            session->state = SINK_AUTH;
            reply(session, "334 \r\n");
        } else {
            reply(session, "235 2.7.0 Ok\r\n");
        }
        break;
    case SMTP_DATA:
        session->state = SINK_DATA;
        dot_decoder_init(&session->dots, false);
        reply(session, "354 Go ahead\r\n");
        break;
    case SMTP_BDAT:
        begin_bdat(session, rest);
        break;
    case SMTP_MAIL:
        reply(session, "250 2.1.0 Ok\r\n");
        break;
    case SMTP_RCPT:
        reply(session, "250 2.1.5 Ok\r\n");
        break;
    case SMTP_QUIT:
        reply(session, "221 2.0.0 Bye\r\n");
        break;
    default:
        reply(session, "250 2.0.0 Ok\r\n");
    }
}

static size_t take_line(struct session *session, struct slice bytes)
{
    struct slice line;
    size_t used;
    enum line_status status =
        line_reader_next(&session->lines, bytes, COMMAND_OCTETS, &used, &line);

    if (status == LINE_MORE)
        return used;
    if (status != LINE_OK) {
        reply(session, "500 5.5.2 Syntax\r\n");
    } else if (session->state == SINK_AUTH) {
        session->state = SINK_COMMAND;
        reply(session, "235 2.7.0 Ok\r\n");
    } else {
        run_command(session, line);
    }
    return used;
}

static size_t take_data(struct session *session, struct slice bytes)
{
    size_t used;

    dot_decode(&session->dots, bytes, &used, session->sink->scratch);
    if (session->dots.state == DOT_END)
        stored(session);
    return used;
}

static size_t take_chunk(struct session *session, struct slice bytes)
{
    size_t used = session->left < bytes.len ? (size_t)session->left : bytes.len;

    session->left -= used;
    if (session->left)
        return used;
    if (session->last) {
        stored(session);
    } else {
        session->state = SINK_COMMAND;
        reply(session, "250 2.0.0 Ok\r\n");
    }
    return used;
}

static size_t on_data(struct conn *conn, struct slice bytes)
{
    struct session *session = conn->owner;
    size_t at = 0;

    while (at < bytes.len) {
        struct slice rest = {bytes.ptr + at, bytes.len - at};

        if (session->state == SINK_DATA)
            at += take_data(session, rest);
        else if (session->state == SINK_BDAT && session->left)
            at += take_chunk(session, rest);
        else
            at += take_line(session, rest);
        if (session->state == SINK_BDAT && !session->left)
            take_chunk(session, SLICE(""));
    }
    return bytes.len;
}

static void on_event(struct conn *conn, enum conn_event event)
{
    if (event != CONN_DRAINED)
        session_free(conn->owner);
}

static const struct conn_handler handler = {on_data, on_event};

static void on_accepted(struct acceptor *acceptor, int fd, const struct net_address *peer)
{
    struct sink *sink = acceptor->owner;
    struct session *session = calloc(1, sizeof(*session));

    (void)peer;
    if (!session) {
        close(fd);
        return;
    }
    session->sink = sink;
    line_reader_init(&session->lines);
    list_push_tail(&sink->sessions, &session->node);
    session->conn = conn_open(&sink->loop, fd, &handler, session);
    if (session->conn)
        reply(session, "220 sink.example ESMTP\r\n");
    else
        session_free(session);
}

static bool say_ready(int fd, struct reason *why)
{
    struct net_address address = {.len = sizeof(address.local)};
    char text[NET_ADDRESS_TEXT];

    if (getsockname(fd, &address.any, &address.len) != 0)
        return reason_set(why, "cannot tell the address of the sink");
    net_address_format(&address, text, sizeof(text));
    printf("ready %s\n", text);
    fflush(stdout);
    return true;
}

static void on_signal(uv_signal_t *signal, int number)
{
    (void)number;
    uv_close((uv_handle_t *)signal, NULL);
    loop_stop(signal->data);
}

static void watch_signals(struct sink *sink, uv_signal_t signals[2])
{
    static const int numbers[] = {SIGTERM, SIGINT};

    for (int i = 0; i < 2; i++) {
        uv_signal_init(&sink->loop.uv, &signals[i]);
        signals[i].data = &sink->loop;
        uv_signal_start(&signals[i], on_signal, numbers[i]);
    }
}

bool sink_run(const char *address, struct reason *why)
{
    static struct sink sink;
    uv_signal_t signals[2];
    struct net_address where;
    int fd;

    list_init(&sink.sessions);
    sink.scratch = malloc(DOT_DECODE_MAX(LOOP_SCRATCH_BYTES));
    if (!sink.scratch || !loop_init(&sink.loop, why) || !net_address_parse(address, &where, why))
        return false;
    fd = listen_open(&where, false, 4096, 0600, why);
    if (fd < 0 || !acceptor_start(&sink.acceptor, &sink.loop, fd, on_accepted, &sink, why) ||
        !say_ready(fd, why))
        return false;
    watch_signals(&sink, signals);
    loop_run(&sink.loop);
    fprintf(stderr, "%llu messages\n", (unsigned long long)sink.messages);
    return true;
}
