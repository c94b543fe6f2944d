/* Connections: input and pauses, poking, the end, much at once. */
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/conn_pair.h"

/* --- input --- */

/* What a credential passed through does not keep it. */
static void test_secret_is_wiped(void **state)
{
    const char *secret = "AUTH XOAUTH2 c2VjcmV0";
    struct chunk *chunk;
    struct end end;
    int fd = open_one(&end);
    char got[64];

    (void)state;
    conn_write_secret(end.conn, secret, strlen(secret));
    chunk = end.conn->out.head;
    turns(2);
    assert_int_equal(recv(fd, got, sizeof(got), 0), strlen(secret));
    assert_ptr_equal(loop.chunks.spare, chunk);
    assert_null(memmem(chunk->data, strlen(secret), "AUTH", 4));
    assert_false(end.conn->out.secret);
    close(fd);
    close_end(&end);
}

static void test_held_output_leaves_with_the_next(void **state)
{
    struct end end;
    int fd = open_one(&end);
    char got[16] = "";

    (void)state;
    conn_write(end.conn, "one ", 4);
    conn_hold(end.conn);
    turns(3);
    assert_int_equal(recv(fd, got, sizeof(got), MSG_DONTWAIT), -1);
    conn_let_out(end.conn);
    conn_write(end.conn, "two", 3);
    turns(2);
    assert_int_equal(recv(fd, got, sizeof(got), MSG_DONTWAIT), 7);
    assert_string_equal(got, "one two");
    conn_write(end.conn, "x", 1);
    turns(2);
    assert_int_equal(recv(fd, got, sizeof(got), MSG_DONTWAIT), 1);
    close(fd);
    close_end(&end);
}

static void test_order_across_pauses(void **state)
{
    struct end end;
    int fd = open_one(&end);
    char sent[70000], number[16];
    size_t len = 0;

    (void)state;
    for (unsigned i = 0; len + 8 < sizeof(sent); i++) {
        snprintf(number, sizeof(number), "%u,", i);
        memcpy(sent + len, number, strlen(number));
        len += strlen(number);
    }
    end.take = 997;
    for (size_t at = 0; end.got_len < len;) {
        ssize_t n = at < len ? send(fd, sent + at, len - at, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;

        at += n > 0 ? (size_t)n : 0;
        turns(1);
        if (end.conn->paused)
            conn_resume(end.conn);
    }
    check_num("length", (long long)end.got_len, (long long)len);
    assert_memory_equal(end.got, sent, len);
    check_num("counted", (long long)end.conn->bytes_in, (long long)len);
    close(fd);
    close_end(&end);
}

/* Paused, it reads a little ahead and then leaves it to the kernel. */
static void test_kept_input_is_bounded(void **state)
{
    static char sent[4096];
    struct end end;
    int fd = open_one(&end);
    size_t total = 0;

    (void)state;
    conn_pause(end.conn);
    for (;;) {
        ssize_t n = send(fd, sent, sizeof(sent), MSG_NOSIGNAL | MSG_DONTWAIT);
        size_t before = end.conn->kept.size;

        total += n > 0 ? (size_t)n : 0;
        turns(2);
        if (n < 0 && end.conn->kept.size == before)
            break;
    }
    assert_true(end.conn->kept.size <= 32768);
    assert_int_equal(end.calls, 0);
    conn_resume(end.conn);
    wait_for_octets(&end, total);
    close(fd);
    close_end(&end);
}

static void test_eof_while_paused(void **state)
{
    struct end end;
    int fd = open_one(&end);

    (void)state;
    conn_pause(end.conn);
    say(fd, "last words");
    shutdown(fd, SHUT_WR);
    turns(5);
    assert_int_equal(end.events[CONN_EOF], 0);
    conn_resume(end.conn);
    turns(3);
    check_got("before the end", &end, "last words");
    assert_int_equal(end.events[CONN_EOF], 1);
    turns(5);
    assert_int_equal(end.events[CONN_EOF], 1);
    close(fd);
    close_end(&end);
}

/* A half-closed peer that then resets: the end is told, and nothing spins. */
static void test_reset_behind_eof(void **state)
{
    static char much[1 << 20];
    struct end end;
    int fd = open_one(&end);
    unsigned before;

    (void)state;
    conn_write(end.conn, much, sizeof(much));
    shutdown(fd, SHUT_WR);
    assert_true(wait_for(&end.events[CONN_EOF]));
    close(fd);
    turns(5);
    assert_int_equal(end.events[CONN_FAILED], 1);
    before = end.calls;
    turns(5);
    assert_int_equal(end.calls, before);
    close_end(&end);
}

static void test_finish_towards_a_peer_that_resets(void **state)
{
    static char much[1 << 20];
    struct end end;
    int fd = open_one(&end);

    (void)state;
    conn_write(end.conn, much, sizeof(much));
    shutdown(fd, SHUT_WR);
    assert_true(wait_for(&end.events[CONN_EOF]));
    conn_finish(&end.conn);
    turns(2);
    close(fd);
    turns(5);
    check_num("left open", (long long)loop.connections.count, 0);
    close_end(&end);
}

/* The provider says why, closes, and our write fails: the reason is read. */
static void early_refusal(bool tls)
{
    static char much[4 << 20];
    struct end us, them;

    open_two(&us, &them, 4096);
    if (tls)
        secure(&us, &them, NULL);
    turns(5);
    conn_pause(them.conn);
    conn_write(them.conn, "552 too big\r\n", 13);
    conn_flush(them.conn);
    conn_write(us.conn, much, sizeof(much));
    conn_close(&them.conn);
    assert_true(wait_for(&us.events[CONN_FAILED]) || us.events[CONN_EOF]);
    check_got("last words", &us, "552 too big\r\n");
    close_end(&us);
    close_end(&them);
}

static void test_early_refusal_is_read(void **state)
{
    (void)state;
    early_refusal(false);
    early_refusal(true);
}

/* The same where nothing but the failing write can notice it. */
static void test_last_words_behind_a_failed_write(void **state)
{
    struct end end;
    int fd = open_one(&end);

    (void)state;
    say(fd, "552 too big\r\n");
    close(fd);
    conn_write(end.conn, "more", 4);
    conn_flush(end.conn); /* before the loop has seen that there is input */
    check_got("last words", &end, "552 too big\r\n");
    assert_int_equal(end.events[CONN_FAILED], 1);
    assert_int_equal(end.events[CONN_EOF], 0);
    assert_null(end.conn);
    close_end(&end);
}

/* --- poking --- */

static struct end *poked;

static size_t first_line_then_pause(struct conn *conn, struct slice bytes)
{
    struct end *end = conn->owner;
    const char *lf = memchr(bytes.ptr, '\n', bytes.len);
    size_t len = lf ? (size_t)(lf - bytes.ptr) + 1 : bytes.len;

    end_take(end, bytes.ptr, len);
    conn_pause(conn);
    if (poked && poked->conn)
        conn_poke(poked->conn);
    return len;
}

static const struct conn_handler line_handler = {first_line_then_pause, on_event};

/* A client's message is complete and more commands lie behind it in the same
 * read; the idle provider's connection that is looked at just then has a
 * goodbye. One's octets must not become the other's. */
static void test_poke_inside_another_ones_input(void **state)
{
    struct end client, provider;
    int client_fd = open_one(&client), provider_fd = open_one(&provider);

    (void)state;
    client.conn->handler = &line_handler;
    poked = &provider;
    uv_poll_stop(&provider.conn->poll); /* not seen by the loop yet */
    say(provider_fd, "421 goodbye, and quite a long one\n");
    say(client_fd, ".\nQUIT\nRSET\n");
    for (int i = 0; i < 10; i++) {
        turns(1);
        conn_resume(client.conn);
    }
    check_got("client", &client, ".\nQUIT\nRSET\n");
    check_got("provider", &provider, "421 goodbye, and quite a long one\n");
    poked = NULL;
    close(client_fd);
    close(provider_fd);
    close_end(&client);
    close_end(&provider);
}

static void test_poke_inside_kept_input(void **state)
{
    struct end client, provider;
    int client_fd = open_one(&client), provider_fd = open_one(&provider);

    (void)state;
    client.conn->handler = &line_handler;
    poked = &provider;
    say(client_fd, ".\nQUIT\n");
    turns(1);
    check_got("first line", &client, ".\n");
    say(client_fd, "RSET\nNOOP\n");
    turns(1);
    uv_poll_stop(&provider.conn->poll);
    say(provider_fd, "421 goodbye, and quite a long one\n");
    for (int i = 0; i < 10; i++) {
        conn_resume(client.conn);
        turns(1);
    }
    check_got("client", &client, ".\nQUIT\nRSET\nNOOP\n");
    check_got("provider", &provider, "421 goodbye, and quite a long one\n");
    poked = NULL;
    close(client_fd);
    close(provider_fd);
    close_end(&client);
    close_end(&provider);
}

static void test_poke_sees_data_end_and_nothing(void **state)
{
    struct end end;
    int fd = open_one(&end);

    (void)state;
    conn_poke(end.conn);
    assert_int_equal(end.calls, 0);
    say(fd, "421 bye\r\n");
    conn_poke(end.conn);
    check_got("poked", &end, "421 bye\r\n");
    close(fd);
    conn_poke(end.conn);
    assert_int_equal(end.events[CONN_EOF], 1);
    close_end(&end);
}

/* --- the end --- */

static void finish_with_reply(struct end *end)
{
    conn_write(end->conn, "221 bye\r\n", 9);
    conn_finish(&end->conn);
}

static void read_all(int fd, const char *wanted)
{
    char got[256];
    size_t len = 0;
    ssize_t n;

    while ((n = recv(fd, got + len, sizeof(got) - len, MSG_DONTWAIT)) > 0)
        len += (size_t)n;
    check_slice("read", (struct slice){got, len}, slice_of(wanted));
    assert_int_equal(n, 0); /* an end, not a reset */
}

/* Unread input must not turn our FIN into a reset. Over TCP, where it would. */
static void tcp_pair(int fds[2])
{
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);

    assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(listener, 1), 0);
    getsockname(listener, (struct sockaddr *)&address, &len);
    fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fds[1], (struct sockaddr *)&address, len), 0);
    fds[0] = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(fds[0] >= 0);
    fcntl(fds[1], F_SETFL, O_NONBLOCK);
    close(listener);
}

static void test_finish_delivers_the_last_reply(void **state)
{
    static char unread[100000];
    struct end end;
    int fds[2];

    (void)state;
    tcp_pair(fds);
    open_end(&end, fds[0]);
    end.take = 4; /* of what comes first; the rest stays unread */
    end.on_data = finish_with_reply;
    say(fds[1], "QUIT\r\nmore\r\n");
    send(fds[1], unread, sizeof(unread), MSG_NOSIGNAL);
    turns(10);
    assert_null(end.conn);
    read_all(fds[1], "221 bye\r\n");
    check_num("waits for the peer", (long long)loop.connections.count, 1);
    close(fds[1]);
    turns(5);
    check_num("left open", (long long)loop.connections.count, 0);
    close_end(&end);
}

/* A peer that does not read is told all the same. */
static void test_abort(void **state)
{
    static char much[8 << 20];
    struct end end;
    char octet;
    int fds[2];

    (void)state;
    tcp_pair(fds);
    open_end(&end, fds[0]);
    conn_write(end.conn, much, sizeof(much));
    turns(3);
    assert_true(conn_pending(end.conn) > 0);
    conn_abort(&end.conn);
    turns(1);
    usleep(20000);
    while (recv(fds[1], much, sizeof(much), 0) > 0)
        ;
    assert_int_equal(errno, ECONNRESET);
    close(fds[1]);
    /* With nothing left to send it is an end like any other. */
    tcp_pair(fds);
    open_end(&end, fds[0]);
    conn_abort(&end.conn);
    turns(1);
    usleep(20000);
    assert_int_equal(recv(fds[1], &octet, 1, 0), 0);
    close(fds[1]);
    close_end(&end);
}

static void test_finish_discards_only_so_much(void **state)
{
    static char flood[65536];
    struct end end;
    int fd = open_one(&end);

    (void)state;
    conn_write(end.conn, "421 enough\r\n", 12);
    conn_finish(&end.conn);
    for (int i = 0; i < 200 && loop.connections.count; i++) {
        send(fd, flood, sizeof(flood), MSG_NOSIGNAL | MSG_DONTWAIT);
        turns(1);
    }
    check_num("left open", (long long)loop.connections.count, 0);
    close(fd);
    close_end(&end);
}

static void close_self(struct end *end)
{
    conn_close(&end->conn);
}

static void close_both(struct end *end)
{
    conn_close(&end->peer->conn);
    conn_close(&end->conn);
}

/* After close no callback comes, whatever was on its way. */
static void test_close_inside_callbacks(void **state)
{
    static void (*const ways[])(struct end *) = {close_self, close_both, finish_with_reply};
    struct end a, b;

    (void)state;
    for (size_t i = 0; i < 2 * COUNT_OF(ways); i++) {
        open_two(&a, &b, 0);
        if (i >= COUNT_OF(ways))
            secure(&a, &b, NULL);
        a.on_data = ways[i % COUNT_OF(ways)];
        a.take = i & 1 ? 1 : 0;
        conn_write(b.conn, "one", 3);
        conn_flush(b.conn);
        conn_write(b.conn, "two", 3);
        turns(6);
        assert_null(a.conn);
        assert_int_equal(a.calls, 1);
        close_end(&a);
        close_end(&b);
    }
}

static void test_close_inside_events(void **state)
{
    struct end end;
    int fd;

    (void)state;
    for (int what = 0; what < 3; what++) {
        fd = open_one(&end);
        end.on_event = close_on_event;
        if (what == 0)
            close(fd);
        else if (what == 1)
            conn_write(end.conn, "x", 1);
        else
            conn_set_timeout(end.conn, 1);
        for (int i = 0; i < 1000 && end.conn; i++) {
            turns(1);
            usleep(100);
        }
        assert_null(end.conn);
        if (what)
            close(fd);
        close_end(&end);
    }
}

/* --- much --- */

static void fill(char *bytes, size_t len, uint64_t seed)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)next_random(&seed);
}

static void both_ways(bool tls, size_t take)
{
    size_t len = 1 << 20;
    char *one = malloc(len), *two = malloc(len);
    struct end a, b;

    fill(one, len, 1);
    fill(two, len, 2);
    open_two(&a, &b, 2048);
    if (tls)
        secure(&a, &b, NULL);
    a.take = b.take = take;
    conn_write(a.conn, one, len);
    conn_write(b.conn, two, len);
    wait_for_octets(&a, len);
    wait_for_octets(&b, len);
    assert_memory_equal(a.got, two, len);
    assert_memory_equal(b.got, one, len);
    assert_true(a.events[CONN_DRAINED] >= 1);
    check_num("pending", (long long)conn_pending(a.conn), 0);
    close_end(&a);
    close_end(&b);
    free(one);
    free(two);
}

static void test_much_both_ways(void **state)
{
    (void)state;
    both_ways(false, 0);
    both_ways(true, 0);
    both_ways(false, 1000);
    both_ways(true, 1000);
}

/* Who always has more to send gives the others their turn. */
static void send_more(struct end *end, enum conn_event event)
{
    static char piece[1000];

    if (event == CONN_DRAINED)
        conn_write(end->conn, piece, sizeof(piece));
}

static void test_endless_sender_yields(void **state)
{
    struct end a, b;
    unsigned before;

    (void)state;
    open_two(&a, &b, 0);
    a.on_event = send_more;
    conn_write(a.conn, "x", 1);
    turns(3);
    before = a.events[CONN_DRAINED];
    turns(10);
    assert_true(a.events[CONN_DRAINED] >= before + 5);
    assert_true(a.events[CONN_DRAINED] <= before + 40);
    close_end(&a);
    close_end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_secret_is_wiped),
        cmocka_unit_test(test_held_output_leaves_with_the_next),
        cmocka_unit_test(test_order_across_pauses),
        cmocka_unit_test(test_kept_input_is_bounded),
        cmocka_unit_test(test_eof_while_paused),
        cmocka_unit_test(test_reset_behind_eof),
        cmocka_unit_test(test_finish_towards_a_peer_that_resets),
        cmocka_unit_test(test_early_refusal_is_read),
        cmocka_unit_test(test_last_words_behind_a_failed_write),
        cmocka_unit_test(test_poke_inside_another_ones_input),
        cmocka_unit_test(test_poke_inside_kept_input),
        cmocka_unit_test(test_poke_sees_data_end_and_nothing),
        cmocka_unit_test(test_finish_delivers_the_last_reply),
        cmocka_unit_test(test_finish_discards_only_so_much),
        cmocka_unit_test(test_abort),
        cmocka_unit_test(test_close_inside_callbacks),
        cmocka_unit_test(test_close_inside_events),
        cmocka_unit_test(test_much_both_ways),
        cmocka_unit_test(test_endless_sender_yields),
    };

    return cmocka_run_group_tests(tests, pair_set_up, pair_tear_down);
}
