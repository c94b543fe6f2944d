#include "load/client.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "load/load.h"
#include "net/tls.h"
#include "smtp/sasl.h"

#define DIAL_MS 10000
#define RETRY_MS 100

void client_write(struct client *client, const char *format, ...)
{
    char line[1024];
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    if (len > 0 && (size_t)len < sizeof(line))
        conn_write(client->conn, line, (size_t)len);
}

static void forget_connection(struct client *client)
{
    smtp_reply_parser_clear(&client->replies);
    if (client->conn && client->conn->ssl)
        tls_forget_peer(client->conn->ssl);
    conn_close(&client->conn);
    client->state = CLIENT_CLOSED;
}

void client_close(struct client *client)
{
    dial_cancel(&client->dial);
    loop_timer_cancel(&client->load->loop, &client->retry);
    if (list_node_linked(&client->idle))
        list_remove(&client->load->idle, &client->idle);
    forget_connection(client);
}

/* An early end; another connection follows after a pause. */
void client_lost(struct client *client, const char *why)
{
    bool in_message = client->state == CLIENT_MESSAGE;

    client_close(client);
    if (load_lost(client->load, client, in_message, why))
        loop_timer_set(&client->load->loop, &client->retry, RETRY_MS);
}

static void say_ehlo(struct client *client)
{
    client_write(client, "EHLO %s\r\n", client->load->options->helo);
    client->state = CLIENT_EHLO;
}

static void start_tls(struct client *client)
{
    struct load *load = client->load;

    client->state = CLIENT_TLS;
    conn_start_tls(client->conn, tls_client(load->tls, load->options->tls_name, &load->peer));
}

/* Behind the handshake the server greets (implicit TLS) or waits for EHLO. */
static void secured(struct client *client)
{
    struct load *load = client->load;

    load_note_tls(load, client->conn->ssl);
    if (load->options->tls == LOAD_TLS_IMPLICIT)
        client->state = CLIENT_GREETING;
    else
        say_ehlo(client);
}

static void write_secret(struct client *client, const char *command, const char *base64)
{
    conn_write(client->conn, command, strlen(command));
    conn_write(client->conn, base64, strlen(base64));
    conn_write(client->conn, "\r\n", 2);
}

static size_t encode_plain(const struct user *user, char *out)
{
    char message[1024];
    int len = snprintf(message, sizeof(message), "%c%s%c%s", 0, user->name, 0, user->secret);

    return len > 0 && (size_t)len < sizeof(message) ? base64_encode(message, (size_t)len, out) : 0;
}

/* base64 of the only message that the mechanism's client sends. */
static bool encode_login(const struct client *client, char *out, size_t cap)
{
    const struct load_options *options = client->load->options;
    struct slice name = slice_of(client->user->name), secret = slice_of(client->user->secret);

    if (options->auth == LOAD_AUTH_PLAIN)
        return encode_plain(client->user, out) > 0;
    if (options->auth == LOAD_AUTH_XOAUTH2)
        return sasl_xoauth2_encode(name, secret, out, cap) > 0;
    return sasl_oauthbearer_encode(name, slice_of(options->tls_name), client->load->port, secret,
                                   out, cap) > 0;
}

static void log_in(struct client *client, bool asked)
{
    static const char *const commands[] = {"", "AUTH PLAIN", "AUTH XOAUTH2", "AUTH OAUTHBEARER"};
    const char *command = commands[client->load->options->auth];
    char base64[SASL_OAUTH_MAX];

    if (!encode_login(client, base64, sizeof(base64))) {
        client_lost(client, "the login message does not fit");
    } else if (asked) {
        write_secret(client, "", base64);
        client->state = CLIENT_AUTH;
    } else if (strlen(command) + 1 + strlen(base64) + 2 <= SASL_INLINE_MAX) {
        client_write(client, "%s ", command);
        write_secret(client, "", base64);
        client->state = CLIENT_AUTH;
    } else {
        client_write(client, "%s\r\n", command);
        client->state = CLIENT_AUTH_TOKEN;
    }
}

void client_ready(struct client *client)
{
    uint64_t most = client->load->options->per_connection;

    client->state = CLIENT_READY;
    if (most && client->messages >= most)
        client_quit(client);
    else
        load_ready(client->load, client);
}

static void ehlo_answered(struct client *client, const struct smtp_reply *reply)
{
    const struct load_options *options = client->load->options;

    smtp_caps_parse(reply, &client->caps);
    client->lockstep =
        options->flight == LOAD_FLIGHT_LOCKSTEP || !(client->caps.caps & SMTP_CAP_PIPELINING);
    if (options->tls == LOAD_TLS_STARTTLS && client->conn->tls == CONN_PLAIN) {
        client_write(client, "STARTTLS\r\n");
        client->state = CLIENT_STARTTLS;
    } else if (options->flight == LOAD_FLIGHT_BDAT && !(client->caps.caps & SMTP_CAP_CHUNKING)) {
        client_lost(client, "the server does not offer CHUNKING");
    } else if (options->auth != LOAD_AUTH_NONE) {
        log_in(client, false);
    } else {
        client_ready(client);
    }
}

/* Whether the reply lets the dialogue up to the login go on. */
static bool as_expected(const struct client *client, int code)
{
    switch (client->state) {
    case CLIENT_GREETING:
    case CLIENT_STARTTLS:
        return code == 220;
    case CLIENT_EHLO:
        return code == 250;
    case CLIENT_AUTH:
        return code == 235;
    case CLIENT_AUTH_TOKEN:
        return code == 334;
    default:
        return code != 421;
    }
}

static void refused(struct client *client, const struct smtp_reply *reply)
{
    char text[200], why[256];

    smtp_reply_oneline(reply, text, sizeof(text));
    snprintf(why, sizeof(why), "%d %s", reply->code, text);
    client_lost(client, why);
}

static void gone(struct client *client)
{
    forget_connection(client);
    load_gone(client->load, client);
}

static void take_reply(struct client *client, const struct smtp_reply *reply)
{
    if (!as_expected(client, reply->code)) {
        refused(client, reply);
        return;
    }
    switch (client->state) {
    case CLIENT_GREETING:
        say_ehlo(client);
        break;
    case CLIENT_EHLO:
        ehlo_answered(client, reply);
        break;
    case CLIENT_STARTTLS:
        start_tls(client);
        break;
    case CLIENT_AUTH:
    case CLIENT_RSET:
        client_ready(client);
        break;
    case CLIENT_AUTH_TOKEN:
        log_in(client, true);
        break;
    case CLIENT_MESSAGE:
        client_take_reply(client, reply);
        break;
    case CLIENT_QUIT:
        gone(client);
        break;
    default:
        client_lost(client, "a reply that nobody asked for");
    }
}

static size_t on_data(struct conn *conn, struct slice bytes)
{
    struct client *client = conn->owner;
    size_t at = 0;

    while (at < bytes.len && client->conn == conn) {
        struct slice rest = {bytes.ptr + at, bytes.len - at};
        struct smtp_reply reply;
        struct reason why;
        size_t used;
        int found = smtp_reply_parse(&client->replies, rest, &used, &reply, &why);

        at += used;
        if (found < 0)
            client_lost(client, why.text);
        if (found <= 0)
            continue;
        take_reply(client, &reply);
        smtp_reply_clear(&reply);
    }
    return bytes.len;
}

static void ended(struct client *client, const char *why)
{
    if (client->state == CLIENT_QUIT)
        gone(client); /* some servers do not say goodbye */
    else
        client_lost(client, why);
}

static void on_event(struct conn *conn, enum conn_event event)
{
    struct client *client = conn->owner;

    switch (event) {
    case CONN_SECURED:
        secured(client);
        break;
    case CONN_DRAINED:
        if (client->state == CLIENT_MESSAGE)
            client_drained(client);
        break;
    case CONN_EOF:
        ended(client, "closed by the server");
        break;
    case CONN_FAILED:
        ended(client, conn_error(conn));
        break;
    case CONN_TIMEOUT:
        client_lost(client, "no answer in time");
        break;
    }
}

static const struct conn_handler handler = {on_data, on_event};

static void on_dialled(struct dial *dial, int fd, const struct reason *why)
{
    struct client *client = dial->owner;

    if (fd >= 0)
        client->conn = conn_open(&client->load->loop, fd, &handler, client);
    if (!client->conn) {
        client_lost(client, why->text);
        return;
    }
    conn_set_timeout(client->conn, ANSWER_MS);
    client->state = CLIENT_GREETING;
    if (client->load->options->tls == LOAD_TLS_IMPLICIT)
        start_tls(client);
}

void client_open(struct client *client)
{
    struct load *load = client->load;

    client->user = load_next_user(load);
    client->messages = 0;
    client->state = CLIENT_DIAL;
    dial_start(&client->dial, &load->server, 1, NULL, DIAL_MS, on_dialled);
}

static void on_retry(struct timer *timer)
{
    client_open(container_of(timer, struct client, retry));
}

void client_quit(struct client *client)
{
    client_write(client, "QUIT\r\n");
    client->state = CLIENT_QUIT;
}

void client_init(struct client *client, struct load *load)
{
    *client = (struct client){.load = load};
    dial_init(&client->dial, &load->loop, client);
    timer_init(&client->retry, on_retry);
    smtp_reply_parser_init(&client->replies);
}
