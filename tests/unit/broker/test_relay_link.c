/* The channel to a relay that somebody has taken over. */
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "broker/relay_link.h"

static struct loop loop;
static struct relay_link *channel;
static int relay; /* its end */
static size_t messages, broken, stop_after, close_after;
static char why_broken[128];
static struct timer patience;

static void on_message(void *owner, const struct ipc_message *message)
{
    assert_ptr_equal(owner, &loop);
    check_num("type", message->type, IPC_LOOKUP);
    messages++;
    if (messages == close_after)
        relay_link_close(&channel);
    if (messages == stop_after)
        loop_stop(&loop);
}

static void on_broken(void *owner, const char *why)
{
    (void)owner;
    broken++;
    slice_copy(slice_of(why), why_broken, sizeof(why_broken));
    loop_stop(&loop);
}

static const struct relay_link_events events = {on_message, on_broken};

static void on_patience(struct timer *timer)
{
    (void)timer;
    loop_stop(&loop);
}

/* Until something stops the loop, or so many milliseconds. */
static void run(uint64_t ms)
{
    timer_init(&patience, on_patience);
    loop_timer_set(&loop, &patience, ms);
    loop_run(&loop);
    loop_timer_cancel(&loop, &patience);
}

static int set_up(void **state)
{
    struct reason why;
    int ends[2];

    (void)state;
    messages = broken = stop_after = close_after = 0;
    why_broken[0] = '\0';
    assert_true(loop_init(&loop, &why));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    relay = ends[1];
    channel = relay_link_open(&loop, ends[0], &events, &loop);
    return channel ? 0 : 1;
}

static int tear_down(void **state)
{
    (void)state;
    relay_link_close(&channel);
    close(relay);
    loop_close(&loop);
    return 0;
}

static unsigned char *lookup(size_t *len)
{
    struct ipc_message message = {.type = IPC_LOOKUP, .u.lookup = {7, SLICE("a@example.com")}};

    return ipc_encode(&message, len);
}

static void write_lookups(size_t count)
{
    size_t len, at = 0;
    unsigned char *frame = lookup(&len), *all = malloc(count * len);

    assert_true(frame && all);
    for (size_t i = 0; i < count; i++)
        memcpy(all + i * len, frame, len);
    while (at < count * len) {
        ssize_t n = write(relay, all + at, count * len - at);

        if (n > 0)
            at += (size_t)n;
        else
            run(10); /* let the other end read */
    }
    free(frame);
    free(all);
}

static void test_messages_arrive(void **state)
{
    (void)state;
    stop_after = 3;
    write_lookups(3);
    run(5000);
    check_num("messages", (long long)messages, 3);
    check_num("broken", (long long)broken, 0);
}

static void test_octet_by_octet(void **state)
{
    size_t len;
    unsigned char *frame = lookup(&len);

    (void)state;
    for (size_t i = 0; i < len; i++) {
        assert_int_equal(write(relay, frame + i, 1), 1);
        run(1);
    }
    stop_after = 1;
    if (!messages)
        run(5000);
    check_num("messages", (long long)messages, 1);
    free(frame);
}

static void test_garbage_breaks_the_link(void **state)
{
    (void)state;
    assert_int_equal(write(relay, "\xff\xff\xff\xff", 4), 4);
    run(5000);
    check_num("broken", (long long)broken, 1);
    assert_non_null(strstr(why_broken, "protocol"));
}

static void test_the_end_of_the_relay_breaks_the_link(void **state)
{
    (void)state;
    write_lookups(2);
    shutdown(relay, SHUT_RDWR);
    run(5000);
    check_num("messages", (long long)messages, 2);
    check_num("broken", (long long)broken, 1);
}

static void test_closing_from_inside(void **state)
{
    (void)state;
    close_after = stop_after = 2;
    write_lookups(5);
    run(5000);
    run(50);
    check_num("messages", (long long)messages, 2);
    check_num("broken", (long long)broken, 0);
}

/* 30,000 messages at 5,000 in 100 ms: none is lost, and the loop has time for
 * others. */
static void test_a_flood_is_read_slowly(void **state)
{
    uint64_t began = clock_ms();

    (void)state;
    stop_after = 30000;
    write_lookups(30000);
    if (messages < 30000)
        run(20000);
    check_num("messages", (long long)messages, 30000);
    assert_true(clock_ms() - began >= 450);
}

static void test_a_relay_that_does_not_read(void **state)
{
    static char text[IPC_TEXT_MAX];
    struct ipc_message message = {.type = IPC_STATE};

    (void)state;
    memset(text, 'x', sizeof(text));
    message.u.state.id = SLICE("id");
    message.u.state.text = (struct slice){text, sizeof(text)};
    for (size_t i = 0; i < (66u << 20) / sizeof(text); i++)
        relay_link_send(channel, &message);
    run(5000);
    check_num("broken", (long long)broken, 1);
    assert_non_null(strstr(why_broken, "does not read"));
}

static void test_what_is_sent_arrives(void **state)
{
    struct ipc_message message = {.type = IPC_TOKEN}, got;
    struct ipc_reader reader;
    char octets[4096];
    size_t used;
    ssize_t n;

    (void)state;
    message.u.token = (struct ipc_token){SLICE("id"), SLICE("token"), 1, 2, 3};
    relay_link_send(channel, &message);
    run(50);
    n = read(relay, octets, sizeof(octets));
    assert_true(n > 0);
    ipc_reader_init(&reader);
    check_num("frames",
              ipc_reader_next(&reader, (struct slice){octets, (size_t)n}, &used, &got, NULL), 1);
    check_slice("token", got.u.token.token, SLICE("token"));
    ipc_reader_clear(&reader);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_messages_arrive),
        TEST(test_octet_by_octet),
        TEST(test_garbage_breaks_the_link),
        TEST(test_the_end_of_the_relay_breaks_the_link),
        TEST(test_closing_from_inside),
        TEST(test_a_flood_is_read_slowly),
        TEST(test_a_relay_that_does_not_read),
        TEST(test_what_is_sent_arrives),
    };

    log_threshold = -1; /* it complains, as it should */
    return cmocka_run_group_tests_name("broker/relay_link", tests, NULL, NULL);
}
