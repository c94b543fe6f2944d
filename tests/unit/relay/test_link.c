/* A whole relay in a thread, whose broker is this file: what an administrator's
 * messages do. */
#include "check.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "ipc/ipc.h"
#include "net/certificate.h"
#include "relay/relay.h"

#define WORKERS 3
#define CLIENTS 12 /* enough for each worker to have one, nearly always */
#define PATIENCE_MS 15000
#define LOGIN_ENDED "421 4.7.0 The account was removed or changed, log in again\r\n"

static int broker_fd, relay_ipc_fd, stats_fd, listener_fd;
static uint16_t port;
static pthread_t thread;
static struct ipc_reader reader;
static char octets[65536];
static struct slice rest;
static const struct stats_area *counters;

static void *run_relay(void *unused)
{
    (void)unused;
    return (void *)(intptr_t)relay_main(relay_ipc_fd, stats_fd);
}

/* --- the broker --- */

static void say(const struct ipc_message *message)
{
    size_t len, at = 0;
    unsigned char *frame = ipc_encode(message, &len);

    assert_non_null(frame);
    while (at < len) {
        ssize_t n = write(broker_fd, frame + at, len - at);

        assert_true(n > 0);
        at += (size_t)n;
    }
    free(frame);
}

static void fill(void)
{
    struct pollfd ready = {.fd = broker_fd, .events = POLLIN};
    ssize_t n;

    assert_int_equal(poll(&ready, 1, PATIENCE_MS), 1);
    n = read(broker_fd, octets, sizeof(octets));
    assert_true(n > 0);
    rest = (struct slice){octets, (size_t)n};
}

/* The next message that is not about mail. */
static const struct ipc_message *hear(void)
{
    static struct ipc_message message;
    struct reason why;
    size_t used;
    int rc;

    for (;;) {
        rc = ipc_reader_next(&reader, rest, &used, &message, &why);
        assert_true(rc >= 0);
        rest.ptr += used;
        rest.len -= used;
        if (rc == 0)
            fill();
        else if (message.type != IPC_TOKEN_WANTED && message.type != IPC_OBSERVED)
            return &message;
    }
}

static void send_config(void)
{
    static struct certificate certificate;
    struct ipc_message message = {.type = IPC_CONFIG};
    struct conf *conf = conf_default();
    size_t len;
    char *options;

    if (!certificate.cert_pem[0])
        certificate_make(&certificate);
    conf->workers = WORKERS;
    conf->log_level = LOG_ERROR;
    conf->queue_wait_ms = 50;
    options = conf_write(conf, &len);
    message.u.config =
        (struct ipc_config){{options, len}, slice_of(certificate.cert_pem), SLICE(""), SLICE("")};
    say(&message);
    free(options);
    conf_free(conf);
}

static void open_listener(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(address);

    listener_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener_fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(listener_fd, 100), 0);
    getsockname(listener_fd, (struct sockaddr *)&address, &len);
    port = ntohs(address.sin_port);
    say(&(struct ipc_message){
        .type = IPC_LISTENER,
        .u.listener = {(uint32_t)listener_fd, UINT32_MAX, CONF_TLS_NONE, SLICE("test")}});
}

static void put(const char *id, uint64_t generation)
{
    say(&(struct ipc_message){.type = IPC_ACCOUNT_PUT,
                              .u.account = {.id = slice_of(id),
                                            .login = slice_of(id),
                                            .sasl_user = slice_of(id),
                                            .provider = SLICE("gmail"),
                                            .host = SLICE("127.0.0.1"),
                                            .port = 1,
                                            .generation = generation,
                                            .max_connections = 2,
                                            .max_age_ms = 1000,
                                            .idle_ms = 1000}});
}

static int set_up(void **state)
{
    int ends[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    broker_fd = ends[0];
    relay_ipc_fd = ends[1];
    stats_fd = memfd_create("stats", MFD_CLOEXEC);
    assert_int_equal(ftruncate(stats_fd, sizeof(struct stats_area)), 0);
    counters = mmap(NULL, sizeof(*counters), PROT_READ, MAP_SHARED, stats_fd, 0);
    ipc_reader_init(&reader);
    rest = SLICE_NONE;
    assert_int_equal(pthread_create(&thread, NULL, run_relay, NULL), 0);
    send_config();
    open_listener();
    say(&(struct ipc_message){.type = IPC_START});
    check_num("ready", hear()->type, IPC_READY);
    return 0;
}

static int tear_down(void **state)
{
    void *status;

    (void)state;
    say(&(struct ipc_message){.type = IPC_DRAIN});
    check_num("drained", hear()->type, IPC_DRAINED);
    pthread_join(thread, &status);
    check_num("status", (intptr_t)status, 0);
    ipc_reader_clear(&reader);
    close(broker_fd);
    munmap((void *)(uintptr_t)counters, sizeof(*counters));
    return 0;
}

/* --- clients --- */

static int client_open(void)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* Reads up to `last` at the end of what came. */
static void client_expect(int fd, const char *last)
{
    char text[4096];
    size_t len = 0, want = strlen(last);

    while (len < want || memcmp(text + len - want, last, want) != 0) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        ssize_t n;

        assert_int_equal(poll(&ready, 1, PATIENCE_MS), 1);
        n = read(fd, text + len, sizeof(text) - len);
        if (n <= 0)
            fail_msg("got \"%.*s\", wanted \"%s\"", (int)len, text, last);
        len += (size_t)n;
    }
}

static void client_say(int fd, const char *line, const char *last)
{
    assert_int_equal(write(fd, line, strlen(line)), strlen(line));
    client_expect(fd, last);
}

static int client_login(const char *auth)
{
    int fd = client_open();

    client_expect(fd, "ready\r\n");
    client_say(fd, "EHLO c\r\n", "LOGIN\r\n");
    client_say(fd, auth, "successful\r\n");
    return fd;
}

#define AUTH_A "AUTH PLAIN AGFAeABw\r\n"
#define AUTH_B "AUTH PLAIN AGJAeABw\r\n"

static uint64_t sessions(void)
{
    struct stats sum = {0};

    stats_sum(counters, &sum);
    return sum.client_sessions;
}

/* Messages are taken in order: behind this answer, all that was said is known. */
static void wait_until_known(void)
{
    say(&(struct ipc_message){.type = IPC_PROBE, .u.probe = {1, SLICE("nobody")}});
    check_num("known", hear()->type, IPC_PROBE_DONE);
}

/* --- tests --- */

static void check_sessions_end(const struct ipc_message *last_word)
{
    int fds[CLIENTS], other;
    char octet;

    put("a@x", 1);
    put("b@x", 1);
    wait_until_known();
    other = client_login(AUTH_B);
    for (int i = 0; i < CLIENTS; i++)
        fds[i] = client_login(AUTH_A);
    check_num("sessions", (long long)sessions(), CLIENTS + 1);
    for (int i = 0; i < CLIENTS / 2; i++)
        client_say(fds[i], "MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\n",
                   "354 End data with "
                   "<CR><LF>.<CR><LF>\r\n");
    put("a@x", 1); /* nothing has changed */
    client_say(fds[0], "text\r\n.\r\nNOOP\r\n", "250 2.0.0 OK\r\n");
    say(last_word);
    for (int i = 0; i < CLIENTS; i++) {
        client_expect(fds[i], LOGIN_ENDED);
        shutdown(fds[i], SHUT_WR);
        check_num("end", read(fds[i], &octet, 1), 0);
        close(fds[i]);
    }
    client_say(other, "NOOP\r\n", "250 2.0.0 OK\r\n");
    check_num("sessions", (long long)sessions(), 1);
    close(other);
}

static void test_sessions_of_a_removed_account(void **state)
{
    (void)state;
    check_sessions_end(&(struct ipc_message){.type = IPC_ACCOUNT_REMOVE,
                                             .u.account_remove = {SLICE("a@x"), SLICE("a@x")}});
}

static void test_sessions_of_a_changed_account(void **state)
{
    (void)state;
    check_sessions_end(&(struct ipc_message){.type = IPC_ACCOUNT_PUT,
                                             .u.account = {.id = SLICE("a@x"),
                                                           .login = SLICE("a@x"),
                                                           .sasl_user = SLICE("a@x"),
                                                           .provider = SLICE("gmail"),
                                                           .host = SLICE("127.0.0.1"),
                                                           .port = 1,
                                                           .generation = 1,
                                                           .has_password = 1}});
}

static void test_snapshot(void **state)
{
    const struct ipc_message *message;
    char id[32];

    (void)state;
    for (unsigned i = 0; i < 50; i++) {
        snprintf(id, sizeof(id), "u%02u@x", (i * 37) % 50);
        put(id, 1);
    }
    say(&(struct ipc_message){.type = IPC_SNAPSHOT,
                              .u.snapshot = {4, SLICE(""), SLICE("u09@x"), 20}});
    for (unsigned i = 10; i < 30; i++) {
        message = hear();
        check_num("row", message->type, IPC_POOL);
        snprintf(id, sizeof(id), "u%02u@x", i);
        check_text("id", message->u.pool.id, id);
    }
    message = hear();
    check_num("done", message->type, IPC_SNAPSHOT_DONE);
    check_num("more", message->u.snapshot_done.more, 1);
}

static void test_probe(void **state)
{
    const struct ipc_message *message;

    (void)state;
    say(&(struct ipc_message){.type = IPC_PROBE, .u.probe = {5, SLICE("a@x")}});
    message = hear();
    check_num("type", message->type, IPC_PROBE_DONE);
    check_num("request", (long long)message->u.probe_done.request, 5);
    check_num("ok", message->u.probe_done.ok, 0);
    put("a@x", 1);
    say(&(struct ipc_message){.type = IPC_PROBE, .u.probe = {6, SLICE("a@x")}});
    message = hear();
    check_num("type", message->type, IPC_PROBE_DONE);
    check_num("ok", message->u.probe_done.ok, 0); /* nobody gives it a token */
}

static void test_log_level(void **state)
{
    (void)state;
    check_num("level", __atomic_load_n(&log_threshold, __ATOMIC_RELAXED), LOG_ERROR);
    say(&(struct ipc_message){.type = IPC_LOG_LEVEL, .u.log_level = {LOG_WARN}});
    say(&(struct ipc_message){.type = IPC_PROBE, .u.probe = {5, SLICE("nobody")}});
    check_num("behind it", hear()->type, IPC_PROBE_DONE);
    check_num("level", __atomic_load_n(&log_threshold, __ATOMIC_RELAXED), LOG_WARN);
    send_config();
    say(&(struct ipc_message){.type = IPC_PROBE, .u.probe = {6, SLICE("nobody")}});
    check_num("behind it", hear()->type, IPC_PROBE_DONE);
    check_num("level", __atomic_load_n(&log_threshold, __ATOMIC_RELAXED), LOG_ERROR);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_sessions_of_a_removed_account),
        TEST(test_sessions_of_a_changed_account),
        TEST(test_snapshot),
        TEST(test_probe),
        TEST(test_log_level),
    };

    return cmocka_run_group_tests_name("relay/link", tests, NULL, NULL);
}
