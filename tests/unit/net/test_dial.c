/* Connecting on loopback: what fails, in which order, and when it is told. */
#include "check.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/dial.h"

#define PATIENCE_MS 5000

static struct loop loop;
static struct dial dial;
static unsigned dones;
static int done_fd;
static char done_why[512];
static bool dial_again;

static struct net_address address_of(const char *text)
{
    struct net_address address;
    struct reason why;

    if (!net_address_parse(text, &address, &why))
        fail_msg("%s: %s", text, why.text);
    return address;
}

static struct net_address local_address(int fd)
{
    struct net_address address = {.len = sizeof(address.v4)};

    getsockname(fd, &address.any, &address.len);
    return address;
}

static int listener(int backlog)
{
    struct net_address any = address_of("127.0.0.1:0");
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, &any.any, any.len), 0);
    if (backlog >= 0)
        assert_int_equal(listen(fd, backlog), 0);
    return fd;
}

static void on_done(struct dial *which, int fd, const struct reason *why)
{
    assert_ptr_equal(which, &dial);
    dones++;
    done_fd = fd;
    slice_copy(slice_of(fd < 0 ? why->text : ""), done_why, sizeof(done_why));
    if (dial_again) {
        struct net_address again = which->addresses[0];

        dial_again = false;
        dial_start(which, &again, 1, NULL, 1000, on_done);
    }
}

static void run(unsigned wanted)
{
    uint64_t until;

    uv_update_time(&loop.uv);
    until = loop_now(&loop) + PATIENCE_MS;
    while (dones < wanted && loop_now(&loop) < until)
        uv_run(&loop.uv, UV_RUN_NOWAIT);
    check_num("answers", dones, wanted);
    for (int i = 0; i < 3; i++)
        uv_run(&loop.uv, UV_RUN_NOWAIT);
    check_num("no more answers", dones, wanted);
}

static void start(const struct net_address *addresses, size_t count,
                  const struct net_address *source, uint64_t attempt_ms)
{
    dones = 0;
    done_fd = -2;
    uv_update_time(&loop.uv);
    dial_start(&dial, addresses, count, source, attempt_ms, on_done);
    check_num("from inside", dones, 0);
}

static void test_connects(void **state)
{
    int at = listener(1);
    struct net_address address = local_address(at);

    (void)state;
    start(&address, 1, NULL, 1000);
    run(1);
    assert_true(done_fd >= 0);
    assert_true(fcntl(done_fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(done_fd, F_GETFD) & FD_CLOEXEC);
    close(done_fd);
    close(at);
}

static void test_refused(void **state)
{
    int at = listener(-1); /* bound, not listening: refused for sure */
    struct net_address address = local_address(at);
    char text[NET_ADDRESS_TEXT];

    (void)state;
    start(&address, 1, NULL, 1000);
    run(1);
    assert_int_equal(done_fd, -1);
    net_address_format(&address, text, sizeof(text));
    assert_non_null(strstr(done_why, text));
    assert_non_null(strstr(done_why, "refused"));
    close(at);
}

static void test_no_address(void **state)
{
    (void)state;
    start(NULL, 0, NULL, 1000);
    run(1);
    assert_int_equal(done_fd, -1);
    check_text("why", slice_of(done_why), "no address to connect to");
}

static void test_second_address_works(void **state)
{
    int closed = listener(-1), open = listener(1);
    struct net_address addresses[2] = {local_address(closed), local_address(open)};

    (void)state;
    start(addresses, 2, NULL, 1000);
    run(1);
    assert_true(done_fd >= 0);
    close(done_fd);
    close(closed);
    close(open);
}

/* A listener with a full backlog drops what comes: that is a time-out. */
static int fill_backlog(const struct net_address *address, int *fds, int max)
{
    int count = 0;

    for (; count < max; count++) {
        fds[count] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        connect(fds[count], &address->any, address->len);
    }
    usleep(20000);
    return count;
}

static void test_timeout_then_next(void **state)
{
    int mute = listener(0), open = listener(1), fds[8];
    struct net_address addresses[2] = {local_address(mute), local_address(open)};
    int count = fill_backlog(&addresses[0], fds, 8);
    uint64_t began;

    (void)state;
    start(addresses, 1, NULL, 100);
    began = loop_now(&loop);
    run(1);
    assert_int_equal(done_fd, -1);
    assert_non_null(strstr(done_why, "timed out"));
    assert_true(loop_now(&loop) - began >= 100);
    start(addresses, 2, NULL, 100);
    run(1);
    assert_true(done_fd >= 0);
    close(done_fd);
    while (count)
        close(fds[--count]);
    close(mute);
    close(open);
}

static void test_cancel(void **state)
{
    int at = listener(1), refusing = listener(-1);
    struct net_address good = local_address(at), bad = local_address(refusing);

    (void)state;
    start(&good, 1, NULL, 1000);
    dial_cancel(&dial);
    run(0);
    start(NULL, 0, NULL, 1000); /* its answer is only deferred */
    dial_cancel(&dial);
    run(0);
    start(&bad, 1, NULL, 1000);
    dial_cancel(&dial);
    dial_cancel(&dial);
    run(0);
    start(&good, 1, NULL, 1000); /* and it can be used again */
    run(1);
    close(done_fd);
    close(at);
    close(refusing);
}

static void test_again_from_the_callback(void **state)
{
    int at = listener(4);
    struct net_address address = local_address(at);
    int first;

    (void)state;
    dial_again = true;
    start(&address, 1, NULL, 1000);
    while (!dones)
        uv_run(&loop.uv, UV_RUN_NOWAIT);
    first = done_fd;
    run(2);
    assert_true(first >= 0 && done_fd >= 0 && first != done_fd);
    close(first);
    close(done_fd);
    close(at);
}

static void test_source_address(void **state)
{
    int at = listener(2);
    struct net_address address = local_address(at), other = address_of("[::1]:25");
    struct net_address source = address_of("127.0.0.9:0"), from;
    char text[NET_ADDRESS_TEXT];

    (void)state;
    start(&address, 1, &source, 1000);
    run(1);
    from = local_address(done_fd);
    net_address_host(&from, text, sizeof(text));
    check_text("source", slice_of(text), "127.0.0.9");
    close(done_fd);
    /* Never from another address than the one that was asked for. */
    start(&other, 1, &source, 1000);
    run(1);
    assert_int_equal(done_fd, -1);
    assert_non_null(strstr(done_why, "from 127.0.0.9 to [::1]:25"));
    source = address_of("192.0.2.1:0");
    start(&address, 1, &source, 1000);
    run(1);
    assert_int_equal(done_fd, -1);
    assert_non_null(strstr(done_why, "from 192.0.2.1 to 127.0.0.1:"));
    close(at);
}

static int set_up(void **state)
{
    struct reason why;

    (void)state;
    if (!loop_init(&loop, &why))
        return -1;
    dial_init(&dial, &loop, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    loop_close(&loop);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connects),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_no_address),
        cmocka_unit_test(test_second_address_works),
        cmocka_unit_test(test_timeout_then_next),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_again_from_the_callback),
        cmocka_unit_test(test_source_address),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
