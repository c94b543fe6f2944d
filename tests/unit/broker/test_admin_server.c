/* Requests and streams of the admin API, with handlers of our own: replies that
 * come later, clients that do not read, clients that go.
 *
 * Everything is one thread: the client's end is a socket that we write to and read
 * from between turns of the loop, so each step is complete before the next.
 */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/wipe.h"
#include "broker/admin/request_private.h"
#include "broker/broker.h"
#include "check.h"

#define TURNS 2000
#define GET(path) "GET " path " HTTP/1.1\r\nHost: localhost\r\n\r\n"

struct world {
    struct broker *broker;
    struct setup setup;
    char folder[32];
    int client;
    char got[65536];
    size_t got_len;
};

static struct world *world;

/* What the handlers see. */
static struct admin_request *held;
static size_t wants, written, write_size, write_limit;
static bool was_gone, was_full;
static size_t bodies;

/* --- routes ------------------------------------------------------------------- */

static void hold(struct admin_request *request)
{
    held = request;
}

static void reply_now(struct admin_request *request)
{
    admin_reply(request, 200, json_pack("{s:b}", "success", 1));
}

static void take_body(struct admin_request *request)
{
    bodies++;
    reply_now(request);
}

static void end_stream(void)
{
    struct admin_request *request = held;

    held = NULL;
    admin_stream_end(request);
}

/* Writes until it is told to wait. */
static void want(struct admin_request *request, void *owner)
{
    static char octets[1u << 20];

    assert_ptr_equal(owner, world);
    wants++;
    was_gone = admin_gone(request);
    if (was_gone) {
        end_stream();
        return;
    }
    while (written < write_limit) {
        written += write_size;
        if (!admin_stream_write(request, (struct slice){octets, write_size})) {
            was_full = true;
            return;
        }
    }
}

static void stream(struct admin_request *request)
{
    held = request;
    admin_stream_begin(request, 200, "application/x-ndjson", want, world);
}

static const struct admin_route routes[] = {
    {"GET", "/now", ADMIN_READ, 0, reply_now, "", NULL},
    {"GET", "/hold", ADMIN_READ, 0, hold, "", NULL},
    {"GET", "/stream", ADMIN_READ, 0, stream, "", NULL},
    {"POST", "/body", ADMIN_READ, 64u << 20, take_body, "", NULL},
};

void __wrap_route_find(const char *method, const char *path, struct route_match *match);

void __wrap_route_find(const char *method, const char *path, struct route_match *match)
{
    *match = (struct route_match){NULL};
    for (size_t i = 0; i < COUNT_OF(routes); i++) {
        if (strcmp(routes[i].path, path) == 0 && strcmp(routes[i].method, method) == 0)
            match->route = &routes[i];
    }
}

/* --- the world ------------------------------------------------------------------ */

static void connect_client(void)
{
    struct net_address address;
    struct reason why;
    char text[64];

    snprintf(text, sizeof(text), "unix:%s/bearerd.sock", world->folder);
    assert_true(net_address_parse(text, &address, &why));
    world->client = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(connect(world->client, &address.any, address.len), 0);
}

static int set_up(void **state)
{
    struct reason why = {""};

    (void)state;
    json_set_alloc_funcs(wipe_malloc, wipe_free); /* as main does */
    world = calloc(1, sizeof(*world));
    memcpy(world->folder, "/tmp/bearerd-admin-XXXXXX", 26);
    if (sodium_init() < 0 || !mkdtemp(world->folder))
        return -1;
    world->broker = calloc(1, sizeof(*world->broker));
    world->setup.conf = conf_default();
    world->setup.conf->admin_port = 0;
    world->broker->setup = &world->setup;
    snprintf(world->broker->accounts_path, sizeof(world->broker->accounts_path), "%s/a.json",
             world->folder);
    if (!loop_init(&world->broker->loop, &why))
        return -1;
    log_set_level(LOG_ERROR);
    world->broker->admin = admin_start(world->broker, &why);
    assert_string_equal(why.text, "");
    held = NULL;
    wants = written = bodies = 0;
    write_size = 1000;
    write_limit = SIZE_MAX;
    was_gone = was_full = false;
    connect_client();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (world->client >= 0)
        close(world->client);
    admin_stop(world->broker->admin);
    loop_close(&world->broker->loop);
    admin_free(world->broker->admin);
    conf_free(world->setup.conf);
    free(world->broker);
    rmdir(world->folder);
    free(world);
    return 0;
}

static void turns(void)
{
    for (int i = 0; i < 50; i++)
        uv_run(&world->broker->loop.uv, UV_RUN_NOWAIT);
}

static void say(const char *text)
{
    assert_int_equal(send(world->client, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    turns();
}

/* What is there now; the end of `got`, when it is more. */
static size_t receive(size_t max)
{
    static char octets[32768];
    ssize_t len =
        recv(world->client, octets, max < sizeof(octets) ? max : sizeof(octets), MSG_DONTWAIT);

    if (len <= 0)
        return 0;
    if (world->got_len + (size_t)len >= sizeof(world->got))
        world->got_len = 0;
    memcpy(world->got + world->got_len, octets, (size_t)len);
    world->got_len += (size_t)len;
    world->got[world->got_len] = '\0';
    return (size_t)len;
}

static size_t receive_all(void)
{
    size_t sum = 0, len;

    for (int i = 0; i < TURNS; i++) {
        len = receive(SIZE_MAX);
        sum += len;
        turns();
        if (!len)
            break;
    }
    return sum;
}

static bool is_closed(void)
{
    char octet;

    return recv(world->client, &octet, 1, MSG_DONTWAIT | MSG_PEEK) == 0 ||
           (errno != EAGAIN && errno != EWOULDBLOCK);
}

static void drop_client(void)
{
    close(world->client);
    world->client = -1;
    turns();
}

/* Nothing is to be done before something happens. */
static void check_asleep(void)
{
    assert_int_not_equal(uv_backend_timeout(&world->broker->loop.uv), 0);
}

static size_t requests(void)
{
    return world->broker->admin->requests.count;
}

/* --- replies ---------------------------------------------------------------------- */

static void a_reply_now(void **state)
{
    (void)state;
    say(GET("/now"));
    receive_all();
    assert_non_null(strstr(world->got, "200 OK"));
    assert_non_null(strstr(world->got, "{\"success\":true}\n"));
    assert_int_equal(requests(), 0);
    check_asleep();
}

static void a_reply_later(void **state)
{
    (void)state;
    say(GET("/hold"));
    assert_non_null(held);
    assert_int_equal(receive_all(), 0);
    check_asleep();
    assert_false(admin_gone(held));
    reply_now(held);
    turns();
    receive_all();
    assert_non_null(strstr(world->got, "{\"success\":true}\n"));
    assert_int_equal(requests(), 0);
    say(GET("/now")); /* on the same connection */
    assert_true(receive_all() > 0);
}

static void the_client_goes_before_the_reply(void **state)
{
    (void)state;
    say(GET("/hold"));
    drop_client();
    assert_int_equal(requests(), 1); /* the handler's still */
    assert_true(admin_gone(held));
    check_asleep();
    reply_now(held);
    turns();
    assert_int_equal(requests(), 0);
}

static void requests_outlive_the_server(void **state)
{
    (void)state;
    say(GET("/hold"));
    admin_stop(world->broker->admin);
    assert_true(is_closed());
    assert_int_equal(requests(), 1);
    assert_true(admin_gone(held));
    reply_now(held);
    assert_int_equal(requests(), 0);
}

static void check_gone(const char *what)
{
    receive_all();
    drop_client();
    if (requests())
        fail_msg("%.40s: it is still there", what);
    connect_client();
}

static void requests_that_the_library_refuses(void **state)
{
    static const char *const texts[] = {"GET /now\r\n\r\n", "GET /now HTTP/9.9\r\n\r\n",
                                        "GET /now HTTP/1.1\r\n\r\n", "GET /now HTTP/1.1\r\nHo"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        say(texts[i]);
        check_gone(texts[i]);
    }
}

/* Those whose parameters do not fit into its memory it drops without a word. */
static void requests_that_the_library_drops(void **state)
{
    static char memory[8192];

    (void)state;
    for (size_t count = 100; count < 7000; count += 100) {
        struct text text;

        text_init(&text, memory, sizeof(memory));
        text_add_str(&text, "GET /now?");
        for (size_t i = 0; i < count; i++)
            text_add_char(&text, '&');
        text_add_str(&text, " HTTP/1.1\r\nHost: localhost\r\n\r\n");
        /* Together with the end of input, and before it. */
        assert_int_equal(send(world->client, memory, text.len, MSG_NOSIGNAL), text.len);
        if (count % 200)
            turns();
        check_gone(memory);
    }
}

/* tear_down frees what no handler replied to. */
static void a_handler_that_never_replies(void **state)
{
    (void)state;
    say(GET("/hold"));
    assert_non_null(held);
}

/* --- streams ---------------------------------------------------------------------- */

static void a_stream_waits_for_its_reader(void **state)
{
    size_t before;

    (void)state;
    say(GET("/stream"));
    assert_true(was_full);
    before = written;
    /* What the queue and the kernel hold, and no more. */
    assert_in_range(before, ADMIN_STREAM_WANTED, 2u << 20);
    turns();
    assert_int_equal(written, before);
    check_asleep();
    receive_all();
    assert_true(written > before);
}

static void all_of_a_stream_arrives(void **state)
{
    size_t got = 0;

    (void)state;
    write_limit = 3000000;
    say(GET("/stream"));
    for (int i = 0; i < TURNS && written < write_limit; i++) {
        got += receive(SIZE_MAX);
        turns();
    }
    got += receive_all();
    assert_true(got >= 3000000);
    assert_null(strstr(world->got, "0\r\n\r\n"));
    end_stream();
    turns();
    receive_all();
    assert_memory_equal(world->got + world->got_len - 5, "0\r\n\r\n", 5);
    assert_int_equal(requests(), 0);
    say(GET("/now"));
    assert_true(receive_all() > 0);
}

/* Who has nothing to say is not asked again and again. */
static void a_silent_stream_sleeps(void **state)
{
    (void)state;
    write_limit = 0;
    say(GET("/stream"));
    assert_int_equal(wants, 1);
    turns();
    assert_int_equal(wants, 1);
    check_asleep();
    assert_true(admin_stream_json(held, json_pack("{s:i}", "n", 1)));
    turns();
    assert_int_equal(wants, 2);
    receive_all();
    assert_non_null(strstr(world->got, "{\"n\":1}\n"));
    check_asleep();
    end_stream();
    turns();
    assert_int_equal(requests(), 0);
}

static void the_client_of_a_stream_goes(void **state)
{
    (void)state;
    say(GET("/stream"));
    assert_true(was_full);
    drop_client();
    assert_true(was_gone);
    assert_null(held);
    assert_int_equal(requests(), 0);
}

static void the_client_of_a_silent_stream_goes(void **state)
{
    (void)state;
    write_limit = 0;
    say(GET("/stream"));
    drop_client();
    assert_true(admin_gone(held));
    admin_stream_write(held, SLICE("x\n")); /* shows it */
    turns();
    assert_true(was_gone);
    assert_int_equal(requests(), 0);
}

static void who_writes_on_is_cut_off(void **state)
{
    static char octets[1u << 20];

    (void)state;
    write_limit = 0;
    say(GET("/stream"));
    for (size_t i = 0; i < 80; i++)
        admin_stream_write(held, (struct slice){octets, sizeof(octets)});
    assert_int_equal(held->queue.size, 0); /* not kept either */
    turns();
    assert_true(was_gone);
    assert_int_equal(requests(), 0);
    receive_all();
    assert_true(is_closed());
    assert_int_not_equal(memcmp(world->got + world->got_len - 5, "0\r\n\r\n", 5), 0);
}

static void head_of_a_stream(void **state)
{
    (void)state;
    write_limit = 5000;
    say("HEAD /stream HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_null(held); /* HEAD is not in our table */
}

static void streams_end_with_the_server(void **state)
{
    (void)state;
    say(GET("/stream"));
    assert_non_null(held);
    admin_stop(world->broker->admin);
    assert_true(was_gone);
    assert_null(held);
    assert_int_equal(requests(), 0);
}

/* --- bodies ------------------------------------------------------------------------ */

static int send_body(size_t octets, bool all)
{
    static char piece[1u << 16];
    char head[256];
    int fd;

    connect_client();
    fd = world->client;
    snprintf(head, sizeof(head),
             "POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
             "Content-Length: %zu\r\n\r\n",
             all ? octets : octets + 1);
    say(head);
    while (octets) {
        ssize_t len =
            send(fd, piece, octets < sizeof(piece) ? octets : sizeof(piece), MSG_NOSIGNAL);

        if (len > 0)
            octets -= (size_t)len;
        uv_run(&world->broker->loop.uv, UV_RUN_NOWAIT);
        if (is_closed())
            break;
    }
    turns();
    return fd;
}

/* Two large bodies fit; the third client hears that it must wait, unless one of the
 * others has gone. */
static void bodies_are_bounded_together(void **state)
{
    int first, second, third;

    (void)state;
    close(world->client);
    first = send_body(40u << 20, false);
    second = send_body(40u << 20, false);
    assert_int_equal(world->broker->admin->body_octets, ADMIN_BODIES_MAX);
    third = send_body(5u << 20, true);
    receive_all();
    assert_non_null(strstr(world->got, " 503 "));
    assert_non_null(strstr(world->got, "Retry-After: "));
    assert_int_equal(bodies, 0);
    close(first);
    turns();
    assert_int_equal(world->broker->admin->body_octets, ADMIN_BODIES_MAX / 2);
    close(third);
    third = send_body(5u << 20, true);
    receive_all();
    assert_int_equal(bodies, 1);
    close(second);
    turns();
    assert_int_equal(world->broker->admin->body_octets, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_reply_now),
        TEST(a_reply_later),
        TEST(the_client_goes_before_the_reply),
        TEST(requests_outlive_the_server),
        TEST(requests_that_the_library_refuses),
        TEST(requests_that_the_library_drops),
        TEST(a_handler_that_never_replies),
        TEST(a_stream_waits_for_its_reader),
        TEST(all_of_a_stream_arrives),
        TEST(a_silent_stream_sleeps),
        TEST(the_client_of_a_stream_goes),
        TEST(the_client_of_a_silent_stream_goes),
        TEST(who_writes_on_is_cut_off),
        TEST(head_of_a_stream),
        TEST(streams_end_with_the_server),
        TEST(bodies_are_bounded_together),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
