/* Clients that say anything, at any moment, in any pieces, and vanish: no
 * order of events may break a session's rules, which its assertions check. */
#include "relay/dialogue.h"

#include <sys/socket.h>

#define CLIENTS 4
#define STEPS 4000
#define ROUNDS 12

static const char *const words[] = {
    "EHLO c\r\n",
    "HELO c\r\n",
    AUTH_OPEN,
    "AUTH PLAIN AHVzZXJAeABzZWNyZXQ=\r\n",
    "AUTH PLAIN AHVzZXJAeAB3cm9uZw==\r\n",
    "AUTH PLAIN AG5vYm9keUB4AHA=\r\n",
    "AUTH LOGIN\r\n",
    "b3BlbkB4\r\n",
    "*\r\n",
    "STARTTLS\r\n",
    "MAIL FROM:<a@x>\r\n",
    "MAIL FROM:<> SIZE=999999\r\n",
    "RCPT TO:<b@x>\r\n",
    "RCPT TO:<bad@x>\r\n",
    "RCPT TO:<mixed@x>\r\n",
    "RCPT TO:<lost@x>\r\n",
    "RCPT TO:<hold@x>\r\n",
    "RCPT TO:<>\r\n",
    "DATA\r\n",
    "x\r\n.\r\n",
    ".\r\n",
    "a\nb\r\n.\r\n",
    "BDAT 3\r\nabc",
    "BDAT 0\r\n",
    "BDAT 2 LAST\r\n\r\n",
    "BDAT 0 LAST\r\n",
    "BDAT 300000 LAST\r\n",
    "BDAT x\r\n",
    "RSET\r\n",
    "NOOP\r\n",
    "NOOP\n",
    "QUIT\r\n",
    "XYZZY\r\n",
};

static struct client clients[CLIENTS];
static uint64_t random_state;

static size_t pick(size_t below)
{
    return (size_t)(next_random(&random_state) % below);
}

/* A word whole, a part of one, or a plausible mail transaction. */
static void say_something(struct client *client)
{
    struct slice word = slice_of(words[pick(COUNT_OF(words))]);

    if (pick(8) == 0)
        word.len = 1 + pick(word.len);
    else if (pick(4) == 0)
        word = SLICE("MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nRCPT TO:<mixed@x>\r\nBDAT 2 LAST\r\nhi");
    /* Not client_send: a session that waits does not read. */
    send(client->fd, word.ptr, word.len, MSG_NOSIGNAL);
}

static void come_back(struct client *client)
{
    static const char *const addresses[] = {"192.0.2.1:1", "192.0.2.2:1", "[2001:db8::1]:1"};

    client_close(client);
    world.trusted = pick(3) != 0;
    client_open(client, pick(2) ? CONF_TLS_STARTTLS : CONF_TLS_NONE, addresses[pick(3)],
                pick(50) ? SLICE("") : SLICE("X"));
    if (pick(4)) {
        send(client->fd, "EHLO c\r\n", 8, MSG_NOSIGNAL);
        world_settle();
        send(client->fd, AUTH_OPEN, strlen(AUTH_OPEN), MSG_NOSIGNAL);
    }
}

static void change_world(void)
{
    switch (pick(6)) {
    case 0:
        world.mute = !world.mute;
        break;
    case 1:
        world.hold_cancelled = !world.hold_cancelled;
        break;
    case 2:
        world_set_account("open@x", false, 1 + pick(2));
        break;
    case 3:
        world.conf.max_message_size = pick(2) ? 200000 : 4;
        break;
    default:
        break;
    }
}

static void take_step(void)
{
    struct client *client = &clients[pick(CLIENTS)];
    size_t kind = pick(100);

    if (client->eof || kind == 0)
        come_back(client);
    else if (kind == 1)
        shutdown(client->fd, SHUT_WR);
    else if (kind == 2)
        change_world();
    else if (kind < 10 && world.held)
        owner_release();
    else
        say_something(client);
    if (pick(3))
        world_settle();
    client_read(client);
    client_forget(client);
}

static void play(uint64_t seed, bool drain)
{
    random_state = seed;
    world_open();
    world.conf.max_errors = 6;
    world.conf.auth_requires_tls = false;
    for (size_t i = 0; i < CLIENTS; i++)
        client_open(&clients[i], CONF_TLS_NONE, "192.0.2.1:1", SLICE(""));
    for (int i = 0; i < STEPS; i++)
        take_step();
    world.mute = false;
    if (drain) {
        session_drain_all(&world.worker);
        world_settle();
    }
    for (size_t i = 0; i < CLIENTS; i++)
        client_close(&clients[i]);
    while (world.held) {
        owner_release();
        world_settle();
    }
    world_run_ms(30); /* failed logins are answered late */
    assert_true(list_empty(&world.worker.sessions));
    assert_true(world.worker.stats->messages_delivered_total > 0);
    world_close();
}

static void test_chaos(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= ROUNDS; seed++)
        play(seed * 7919, seed % 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chaos),
    };

    log_set_level((enum log_level) - 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
