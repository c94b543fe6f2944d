#include "net/conn_pair.h"

#include <signal.h>
#include <sys/socket.h>

#include "check.h"
#include "net/certificate.h"

#define PATIENCE_MS 5000

struct loop loop;
SSL_CTX *server_tls, *client_tls;

static struct certificate certificate;

void end_take(struct end *end, const char *bytes, size_t len)
{
    if (end->got_len + len > end->got_cap) {
        end->got_cap = (end->got_len + len) * 2;
        end->got = realloc(end->got, end->got_cap);
        assert_non_null(end->got);
    }
    memcpy(end->got + end->got_len, bytes, len);
    end->got_len += len;
}

static size_t on_data(struct conn *conn, struct slice bytes)
{
    struct end *end = conn->owner;
    size_t len = end->take && end->take < bytes.len ? end->take : bytes.len;

    end->calls++;
    end_take(end, bytes.ptr, len);
    if (end->take)
        conn_pause(conn);
    if (end->on_data)
        end->on_data(end);
    return len;
}

void on_event(struct conn *conn, enum conn_event event)
{
    struct end *end = conn->owner;

    end->events[event]++;
    if (end->on_event)
        end->on_event(end, event);
    else if (event == CONN_FAILED)
        conn_close(&end->conn);
}

static const struct conn_handler handler = {on_data, on_event};

void turns(unsigned count)
{
    while (count--)
        uv_run(&loop.uv, UV_RUN_NOWAIT);
}

bool wait_for(const unsigned *event)
{
    uint64_t until;

    uv_update_time(&loop.uv);
    until = loop_now(&loop) + PATIENCE_MS;
    while (!*event && loop_now(&loop) < until)
        uv_run(&loop.uv, UV_RUN_NOWAIT);
    return *event > 0;
}

void wait_for_octets(struct end *end, size_t len)
{
    uint64_t until;

    uv_update_time(&loop.uv);
    until = loop_now(&loop) + PATIENCE_MS;
    while (end->got_len < len && loop_now(&loop) < until) {
        uv_run(&loop.uv, UV_RUN_NOWAIT);
        conn_resume(end->conn);
        if (end->peer && end->peer->conn)
            conn_resume(end->peer->conn);
    }
    check_num("octets", (long long)end->got_len, (long long)len);
}

static void make_pair(int fds[2], int buffer)
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    for (int i = 0; i < 2 && buffer; i++) {
        setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
        setsockopt(fds[i], SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
    }
}

void open_end(struct end *end, int fd)
{
    *end = (struct end){0};
    end->conn = conn_open(&loop, fd, &handler, end);
    assert_non_null(end->conn);
}

/* One end and the peer's bare descriptor. */
int open_one(struct end *end)
{
    int fds[2];

    make_pair(fds, 0);
    open_end(end, fds[0]);
    return fds[1];
}

void open_two(struct end *a, struct end *b, int buffer)
{
    int fds[2];

    make_pair(fds, buffer);
    open_end(a, fds[0]);
    open_end(b, fds[1]);
    a->peer = b;
    b->peer = a;
}

void close_end(struct end *end)
{
    conn_close(&end->conn);
    free(end->got);
    turns(2);
}

void secure(struct end *client, struct end *server, struct tls_peer *peer)
{
    conn_start_tls(client->conn, tls_client(client_tls, "provider.test", peer));
    conn_start_tls(server->conn, tls_server(server_tls));
    assert_true(wait_for(&client->events[CONN_SECURED]));
    assert_true(wait_for(&server->events[CONN_SECURED]));
}

void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

void check_got(const char *row, struct end *end, const char *wanted)
{
    check_slice(row, (struct slice){end->got, end->got_len}, slice_of(wanted));
}

void close_on_event(struct end *end, enum conn_event event)
{
    (void)event;
    conn_close(&end->conn);
}

int pair_set_up(void **state)
{
    struct reason why;

    (void)state;
    signal(SIGPIPE, SIG_IGN);
    certificate_make(&certificate);
    server_tls =
        tls_server_context(slice_of(certificate.cert_pem), slice_of(certificate.key_pem), &why);
    client_tls = tls_client_context(slice_of(certificate.cert_pem), &why);
    return server_tls && client_tls && loop_init(&loop, &why) ? 0 : -1;
}

int pair_tear_down(void **state)
{
    (void)state;
    SSL_CTX_free(server_tls);
    SSL_CTX_free(client_tls);
    loop_close(&loop); /* asserts that every chunk is back */
    return 0;
}
