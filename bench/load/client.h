/* One SMTP client: connects, logs in, then sends a message whenever it is told
 * to. client.c: the connection up to the login. exchange.c: messages. */
#pragma once

#include "base/list.h"
#include "load/options.h"
#include "load/users.h"
#include "net/conn.h"
#include "net/dial.h"
#include "smtp/ehlo.h"
#include "smtp/reply.h"

#define ANSWER_MS 600000

struct load;

enum client_state {
    CLIENT_CLOSED,
    CLIENT_DIAL,
    CLIENT_TLS, /* the handshake, of either kind */
    CLIENT_GREETING,
    CLIENT_EHLO,
    CLIENT_STARTTLS,
    CLIENT_AUTH,
    CLIENT_AUTH_TOKEN, /* 334 asked for the token */
    CLIENT_READY,
    CLIENT_MESSAGE,
    CLIENT_RSET,
    CLIENT_QUIT
};

/* The message under way. Its steps: MAIL, one RCPT for each recipient, then
 * BDAT with the content, or DATA and the content. */
struct exchange {
    uint64_t number;
    uint64_t start_us;       /* when it was to start: latency counts from there */
    uint64_t sent, answered; /* steps */
    int refused;             /* the first refusal's code, 0: none */
    struct slice unsent;     /* of the content */
};

struct client {
    struct load *load;
    struct conn *conn;
    struct dial dial;
    struct timer retry;
    struct smtp_reply_parser replies;
    struct smtp_caps caps;
    const struct user *user;
    enum client_state state;
    bool lockstep;     /* the server does not pipeline, or we shall not */
    uint64_t messages; /* on this connection */
    struct exchange ex;
    struct list_node idle; /* load.idle */
};

void client_init(struct client *client, struct load *load);
/* Connects; load_ready follows, or load_lost. */
void client_open(struct client *client);
void client_close(struct client *client); /* at once, nothing is told */
void client_quit(struct client *client);  /* politely; load_gone follows */

/* exchange.c: when the client is ready. load_answered follows, or load_lost. */
void client_send(struct client *client, uint64_t number, uint64_t start_us);
void client_take_reply(struct client *client, const struct smtp_reply *reply);
void client_drained(struct client *client);

/* client.c, for exchange.c */
void client_write(struct client *client, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void client_lost(struct client *client, const char *why);
void client_ready(struct client *client); /* for the next message, or too old */
