/* How one message travels: which steps go out together, and what the replies
 * make of it. */
#include "base/clock.h"
#include "load/client.h"
#include "load/load.h"

#define PIECE_BYTES 65536u  /* of large content, at a time */
#define QUEUE_BYTES 262144u /* more than that is not queued */

enum step { STEP_MAIL, STEP_RCPT, STEP_DATA, STEP_BDAT, STEP_CONTENT };

static enum step step_at(const struct client *client, uint64_t at)
{
    const struct load_options *options = client->load->options;

    if (at == 0)
        return STEP_MAIL;
    if (at <= options->rcpts)
        return STEP_RCPT;
    if (options->flight == LOAD_FLIGHT_BDAT)
        return STEP_BDAT;
    return at == options->rcpts + 1 ? STEP_DATA : STEP_CONTENT;
}

static bool is_last(const struct client *client, uint64_t at)
{
    enum step step = step_at(client, at);

    return step == STEP_BDAT || step == STEP_CONTENT;
}

/* Content waits for the 354; the rest goes out together where that is allowed. */
static bool may_send(const struct client *client, uint64_t at)
{
    if (client->lockstep || step_at(client, at) == STEP_CONTENT)
        return client->ex.answered == at;
    return true;
}

static void feed_content(struct client *client)
{
    struct slice *unsent = &client->ex.unsent;

    while (unsent->len && conn_pending(client->conn) < QUEUE_BYTES) {
        size_t len = unsent->len < PIECE_BYTES ? unsent->len : PIECE_BYTES;

        conn_write(client->conn, unsent->ptr, len);
        unsent->ptr += len;
        unsent->len -= len;
    }
}

static void write_mail(struct client *client)
{
    const struct message *message = &client->load->message;
    bool utter = client->caps.caps & SMTP_CAP_SIZE;
    char line[512];
    struct text text;

    text_init(&text, line, sizeof(line));
    text_add_str(&text, "MAIL FROM:<");
    text_add_str(&text, client->user->name);
    text_add_str(&text, utter ? "> SIZE=" : ">");
    if (utter)
        text_add_u64(&text, message->content.len);
    text_add_str(&text, "\r\n");
    conn_write(client->conn, line, text.len);
}

/* Each recipient is different, so that the other end can tell messages apart. */
static void write_rcpt(struct client *client, uint64_t at)
{
    char line[128];
    struct text text;

    text_init(&text, line, sizeof(line));
    text_add_str(&text, "RCPT TO:<m");
    text_add_u64(&text, client->ex.number);
    text_add_str(&text, ".");
    text_add_u64(&text, at);
    text_add_str(&text, "@sink.example>\r\n");
    conn_write(client->conn, line, text.len);
}

static void write_bdat(struct client *client)
{
    struct slice content = client->load->message.content;
    char line[64];
    struct text text;

    text_init(&text, line, sizeof(line));
    text_add_str(&text, "BDAT ");
    text_add_u64(&text, content.len);
    text_add_str(&text, " LAST\r\n");
    conn_write(client->conn, line, text.len);
    client->ex.unsent = content;
    feed_content(client);
}

static void write_step(struct client *client, uint64_t at)
{
    switch (step_at(client, at)) {
    case STEP_MAIL:
        write_mail(client);
        break;
    case STEP_RCPT:
        write_rcpt(client, at);
        break;
    case STEP_DATA:
        conn_write(client->conn, "DATA\r\n", 6);
        break;
    case STEP_BDAT:
        write_bdat(client);
        break;
    case STEP_CONTENT:
        client->ex.unsent = client->load->message.dotted;
        feed_content(client);
        break;
    }
}

static void go_on(struct client *client)
{
    struct exchange *ex = &client->ex;

    while ((ex->sent == 0 || !is_last(client, ex->sent - 1)) && may_send(client, ex->sent))
        write_step(client, ex->sent++);
}

void client_send(struct client *client, uint64_t number, uint64_t start_us)
{
    client->ex = (struct exchange){.number = number, .start_us = start_us};
    client->state = CLIENT_MESSAGE;
    conn_set_timeout(client->conn, ANSWER_MS);
    go_on(client);
}

void client_drained(struct client *client)
{
    feed_content(client);
}

/* Some of several recipients may have been refused: what counts then is the
 * last reply. When that is a refusal too, the first one says why. */
static void finish(struct client *client, int code)
{
    struct exchange *ex = &client->ex;
    bool accepted = code / 100 == 2;

    client->messages++;
    client->state = CLIENT_READY; /* the message is accounted for */
    load_answered(client->load, accepted ? code : ex->refused, clock_us() - ex->start_us);
    if (ex->unsent.len || code == 421) {
        client_lost(client, "the server ends the connection");
    } else if (!accepted) {
        /* Whatever the server still thinks is open ends here. */
        client_write(client, "RSET\r\n");
        client->state = CLIENT_RSET;
    } else {
        client_ready(client);
    }
}

void client_take_reply(struct client *client, const struct smtp_reply *reply)
{
    struct exchange *ex = &client->ex;
    uint64_t at = ex->answered++;
    enum step step = step_at(client, at);
    bool good = step == STEP_DATA ? reply->code == 354 : reply->code / 100 == 2;

    if (at >= ex->sent) {
        client_lost(client, "a reply that nobody asked for");
        return;
    }
    if (!good && !ex->refused)
        ex->refused = reply->code;
    if (is_last(client, at) || reply->code == 421 ||
        (!good && (client->lockstep || step == STEP_DATA)))
        finish(client, reply->code);
    else
        go_on(client);
}
