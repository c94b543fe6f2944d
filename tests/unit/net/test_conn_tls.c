/* TLS on a connection: the handshake, what came in plaintext before it, sessions
 * that are resumed, records read ahead, the end. */
#include "check.h"

#include <sys/socket.h>

#include "net/certificate.h"
#include "net/conn_pair.h"

/* --- the handshake --- */

static void test_handshake_and_transfer(void **state)
{
    struct end client, server;

    (void)state;
    open_two(&client, &server, 0);
    secure(&client, &server, NULL);
    conn_write(client.conn, "EHLO\r\n", 6);
    wait_for_octets(&server, 6);
    conn_write(server.conn, "250 hello\r\n", 11);
    wait_for_octets(&client, 11);
    assert_int_equal(client.conn->tls, CONN_TLS);
    close_end(&client);
    close_end(&server);
}

static void handshake_fails(const char *host, SSL_CTX *context, const char *why)
{
    struct end client, server;

    open_two(&client, &server, 0);
    client.on_event = NULL;
    conn_start_tls(client.conn, tls_client(context, host, NULL));
    conn_start_tls(server.conn, tls_server(server_tls));
    client.on_event = close_on_event;
    assert_true(wait_for(&client.events[CONN_FAILED]));
    assert_int_equal(client.events[CONN_SECURED], 0);
    (void)why;
    close_end(&client);
    close_end(&server);
}

static void test_certificate_must_be_right(void **state)
{
    struct certificate other;
    struct reason why;
    SSL_CTX *distrusting;

    (void)state;
    certificate_make(&other);
    distrusting = tls_client_context(slice_of(other.cert_pem), &why);
    handshake_fails("other.test", client_tls, "name");
    handshake_fails("127.0.0.2", client_tls, "address");
    handshake_fails("provider.test", distrusting, "trust");
    SSL_CTX_free(distrusting);
}

static void begin_tls(struct end *end)
{
    if (end->calls > 1)
        return;
    conn_write(end->conn, "220 go\r\n", 8);
    conn_start_tls(end->conn, tls_server(server_tls));
}

static size_t starttls_data(struct conn *conn, struct slice bytes)
{
    struct end *end = conn->owner;
    const char *lf = memchr(bytes.ptr, '\n', bytes.len);
    size_t len = lf ? (size_t)(lf - bytes.ptr) + 1 : bytes.len;

    end->calls++;
    end_take(end, bytes.ptr, len);
    begin_tls(end);
    return conn->tls == CONN_HANDSHAKE ? len : bytes.len;
}

static const struct conn_handler starttls_handler = {starttls_data, on_event};

static void finish_handshake(struct end *server, int fd)
{
    struct end client;
    char line[16];

    assert_int_equal(recv(fd, line, 8, 0), 8);
    assert_memory_equal(line, "220 go\r\n", 8);
    open_end(&client, fd);
    conn_start_tls(client.conn, tls_client(client_tls, "provider.test", NULL));
    assert_true(wait_for(&server->events[CONN_SECURED]));
    assert_true(wait_for(&client.events[CONN_SECURED]));
    conn_write(client.conn, "EHLO\n", 5);
    wait_for_octets(server, strlen("STARTTLS\nEHLO\n"));
    check_got("nothing in between", server, "STARTTLS\nEHLO\n");
    close_end(&client);
}

/* What came in plaintext behind STARTTLS, in the same read or kept in several
 * chunks while paused, is never read as if it had come through TLS. */
static void test_plaintext_before_tls_is_dropped(void **state)
{
    static char much[40000];
    struct end server;
    int fd;

    (void)state;
    for (int how = 0; how < 3; how++) {
        fd = open_one(&server);
        server.conn->handler = &starttls_handler;
        if (how)
            conn_pause(server.conn);
        memset(much, 'x', sizeof(much));
        say(fd, "STARTTLS\nMAIL FROM:<evil>\nRCPT\n");
        if (how == 2)
            send(fd, much, 10000, MSG_NOSIGNAL);
        turns(3);
        if (how)
            conn_resume(server.conn);
        turns(3);
        check_got("first", &server, "STARTTLS\n");
        finish_handshake(&server, fd);
        close_end(&server);
    }
}

/* --- sessions --- */

static void test_resumption(void **state)
{
    struct tls_peer peer;
    unsigned resumed = 0;

    (void)state;
    tls_peer_init(&peer);
    for (int i = 0; i < 4; i++) {
        struct end client, server;

        open_two(&client, &server, 0);
        secure(&client, &server, &peer);
        conn_write(server.conn, "hello", 5); /* tickets come before it */
        wait_for_octets(&client, 5);
        resumed += (unsigned)SSL_session_reused(client.conn->ssl);
        close_end(&client);
        close_end(&server);
    }
    assert_int_equal(resumed, 3);
    assert_true(peer.count >= 1 && peer.count <= TLS_SESSIONS_PER_PEER);
    tls_peer_clear(&peer);
}

/* A ticket that comes when its peer is gone goes nowhere. */
static void test_forgotten_peer(void **state)
{
    struct tls_peer *peer = malloc(sizeof(*peer));
    struct end client, server;

    (void)state;
    tls_peer_init(peer);
    open_two(&client, &server, 0);
    conn_start_tls(client.conn, tls_client(client_tls, "provider.test", peer));
    conn_start_tls(server.conn, tls_server(server_tls));
    tls_forget_peer(client.conn->ssl);
    tls_peer_clear(peer);
    free(peer);
    assert_true(wait_for(&server.events[CONN_SECURED]));
    conn_write(server.conn, "hello", 5);
    wait_for_octets(&client, 5);
    close_end(&client);
    close_end(&server);
}

/* --- records --- */

/* OpenSSL has read a second record ahead, of which the kernel knows nothing. */
static void poke_self(struct end *end)
{
    if (end->calls == 1)
        conn_poke(end->conn);
    end->events[0] += end->calls == 2; /* seen from inside the first call */
}

static void test_poke_sees_a_record_read_ahead(void **state)
{
    struct end us, them;

    (void)state;
    open_two(&us, &them, 0);
    secure(&us, &them, NULL);
    turns(5);
    us.events[0] = 0;
    us.on_data = poke_self;
    conn_write(them.conn, "250 ok\r\n", 8);
    conn_flush(them.conn); /* two records, one read */
    conn_write(them.conn, "421 bye\r\n", 9);
    conn_flush(them.conn);
    turns(3);
    check_got("both", &us, "250 ok\r\n421 bye\r\n");
    assert_int_equal(us.calls, 2);
    close_end(&us);
    close_end(&them);
}

static void test_finish_while_tls(void **state)
{
    struct end a, b;

    (void)state;
    open_two(&a, &b, 0);
    secure(&a, &b, NULL);
    conn_write(b.conn, "221 bye\r\n", 9);
    conn_finish(&b.conn);
    assert_true(wait_for(&a.events[CONN_EOF]));
    check_got("before close_notify", &a, "221 bye\r\n");
    close_end(&a);
    close_end(&b);
    check_num("left open", (long long)loop.connections.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handshake_and_transfer),
        cmocka_unit_test(test_certificate_must_be_right),
        cmocka_unit_test(test_plaintext_before_tls_is_dropped),
        cmocka_unit_test(test_resumption),
        cmocka_unit_test(test_forgotten_peer),
        cmocka_unit_test(test_poke_sees_a_record_read_ahead),
        cmocka_unit_test(test_finish_while_tls),
    };

    return cmocka_run_group_tests(tests, pair_set_up, pair_tear_down);
}
