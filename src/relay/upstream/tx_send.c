/* The flight plan, and everything that goes out. */
#include "relay/upstream/tx.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "relay/upstream/capacity.h"
#include "relay/upstream/client.h"
#include "relay/upstream/pool.h"
#include "relay/upstream/tx_private.h"

#define ONE_FLIGHT_MAX (1u << 20)     /* a larger body waits for the envelope's replies */
#define FEED_BYTES 16384              /* read at once: one TLS record */
#define FEED_HIGH_WATER (256u * 1024) /* octets queued towards the kernel */
#define COMMAND_BYTES 2048

static void write_text(struct upstream_tx *tx, const struct text *text)
{
    assert(!text->cut);
    client_write(tx->client, text->at, text->len);
}

static void send_mail(struct upstream_tx *tx)
{
    const struct envelope *envelope = &tx->job->envelope;
    unsigned caps = tx->client->caps.caps;
    char memory[COMMAND_BYTES];
    struct text line;

    text_init(&line, memory, sizeof(memory));
    text_add_str(&line, "MAIL FROM:<");
    text_add_str(&line, envelope->sender);
    text_add_char(&line, '>');
    /* In live mode neither size nor content is known yet. */
    if ((caps & SMTP_CAP_SIZE) && !tx->live) {
        text_add_str(&line, " SIZE=");
        text_add_u64(&line, tx->job->body.size);
    }
    if ((caps & SMTP_CAP_8BITMIME) &&
        (tx->job->body.has_8bit || envelope->body == SMTP_BODY_8BITMIME || tx->live))
        text_add_str(&line, " BODY=8BITMIME");
    if (envelope->utf8 && (caps & SMTP_CAP_SMTPUTF8))
        text_add_str(&line, " SMTPUTF8");
    text_add_str(&line, "\r\n");
    write_text(tx, &line);
}

void tx_send_rcpt(struct upstream_tx *tx)
{
    char memory[COMMAND_BYTES];
    struct text line;

    text_init(&line, memory, sizeof(memory));
    text_add_str(&line, "RCPT TO:<");
    text_add_str(&line, tx->job->envelope.rcpts[tx->rcpts_sent].address);
    text_add_str(&line, ">\r\n");
    write_text(tx, &line);
    tx->rcpts_sent++;
}

void tx_wait_reply(struct upstream_tx *tx)
{
    client_set_timeout(tx->client, tx_conf(tx)->upstream_command_ms);
}

static bool feed_run(struct upstream_tx *tx, const unsigned char *run, size_t len)
{
    char encoded[DOT_ENCODE_MAX(FEED_BYTES)];

    if (tx->bdat)
        return client_write(tx->client, (const char *)run, len);
    len = dot_encode(&tx->dots, (struct slice){(const char *)run, len}, encoded);
    return client_write(tx->client, encoded, len);
}

/* The last octet is with the kernel: from here on nothing is sent again. */
bool tx_is_committed(const struct upstream_tx *tx)
{
    return tx->content_queued && (!tx->client || !conn_pending(tx->client->conn));
}

static void note_commit(struct upstream_tx *tx)
{
    if (tx->committed_us)
        return;
    tx->committed_us = clock_us();
    client_set_timeout(tx->client, tx_conf(tx)->upstream_final_ms);
}

/* Queues content up to the high-water mark. */
static void feed(struct upstream_tx *tx)
{
    unsigned char scratch[FEED_BYTES];
    const unsigned char *run;

    while (!tx->content_queued && conn_pending(tx->client->conn) < FEED_HIGH_WATER) {
        ptrdiff_t len = body_read(&tx->reader, &run, scratch, FEED_BYTES);

        if (len < 0) {
            tx->job->attempts = ATTEMPTS_MAX; /* no connection would help */
            tx_lose(tx, "the message's temporary file cannot be read");
            return;
        }
        if (len > 0) {
            if (!feed_run(tx, run, (size_t)len))
                return; /* CONN_FAILED follows */
            continue;
        }
        if (!tx->bdat) {
            struct slice end = dot_encode_end(&tx->dots);

            client_write(tx->client, end.ptr, end.len);
        }
        tx->content_queued = true;
        if (tx_is_committed(tx)) /* the end added nothing to what had left already */
            note_commit(tx);
    }
}

void tx_begin_content(struct upstream_tx *tx)
{
    tx->content_begun = true;
    tx->content_us = clock_us();
    tx->job->bdat = tx->bdat;
    body_reader_init(&tx->reader, &tx->job->body);
    dot_encoder_init(&tx->dots);
    tx->state = TX_CONTENT;
    tx_wait_reply(tx);
    feed(tx);
}

static void send_bdat(struct upstream_tx *tx)
{
    char memory[64];
    struct text line;

    text_init(&line, memory, sizeof(memory));
    text_add_str(&line, "BDAT ");
    text_add_u64(&line, tx->job->body.size);
    text_add_str(&line, " LAST\r\n");
    write_text(tx, &line);
    tx_begin_content(tx);
}

static void send_data(struct upstream_tx *tx)
{
    client_write(tx->client, "DATA\r\n", 6);
    tx->data_sent = true;
    tx->state = TX_DATA;
    tx_wait_reply(tx);
}

void tx_send_content(struct upstream_tx *tx)
{
    if (tx->bdat)
        send_bdat(tx);
    else
        send_data(tx);
}

void tx_drained(struct upstream_tx *tx)
{
    if (!tx->content_begun)
        return;
    if (!tx->content_queued) {
        tx_wait_reply(tx); /* progress: the clock starts again */
        feed(tx);
    } else {
        note_commit(tx);
    }
}

static bool bdat_wanted(const struct upstream_tx *tx)
{
    if (tx->account->bdat == CONF_OFF || !(tx->client->caps.caps & SMTP_CAP_CHUNKING))
        return false;
    return tx->account->bdat == CONF_ON || endpoint_bdat_works(tx->client->endpoint);
}

/* Idle for long: the peer may be dead without our knowing, so the content
 * waits until it has answered the envelope. */
static bool needs_probe(const struct upstream_tx *tx, uint64_t idle_since)
{
    uint64_t now = loop_now(&tx->account->worker->loop);

    return now - idle_since > tx_conf(tx)->probe_after_ms;
}

/* What this server cannot carry is refused before a byte is sent. */
bool tx_refuse_locally(struct upstream_tx *tx)
{
    const struct smtp_caps *caps = &tx->client->caps;
    const struct job *job = tx->job;
    struct client *client = tx->client;
    const char *text = NULL;
    struct smtp_enhanced enhanced = {5, 6, 3};

    if (job->want != JOB_RCPT && (caps->caps & SMTP_CAP_SIZE) && caps->size &&
        job->body.size > caps->size) {
        enhanced = (struct smtp_enhanced){5, 3, 4};
        text = "the message is larger than the provider takes";
    } else if (job->body.has_8bit && !(caps->caps & SMTP_CAP_8BITMIME)) {
        text = "the content has 8-bit octets and the provider has no 8BITMIME";
    } else if (job->envelope.utf8 && !(caps->caps & SMTP_CAP_SMTPUTF8)) {
        enhanced = (struct smtp_enhanced){5, 6, 7};
        text = "the message needs SMTPUTF8 and the provider does not have it";
    }
    if (!text)
        return false;
    client_release(client, tx->mail_done || tx->rcpts_sent);
    tx_finish_text(tx, OUTCOME_REJECTED, enhanced.subject == 3 ? 552 : 554, enhanced, text);
    return true;
}

void tx_dry_run(struct upstream_tx *tx)
{
    struct client *client = tx->client;

    if (tx->live && tx->job->want == JOB_RCPT) {
        struct recipient *rcpt = tx_newest_rcpt(tx);

        rcpt->accepted = true;
        smtp_reply_set(&rcpt->reply, 250, (struct smtp_enhanced){2, 1, 5}, "OK (dry run)");
        tx_hand_back(tx, TX_LIVE);
        return;
    }
    client_release(client, tx->mail_done);
    tx_finish_text(tx, OUTCOME_DRY_RUN, 250, (struct smtp_enhanced){2, 0, 0},
                   "OK (dry run: authenticated, nothing was sent)");
}

static void send_envelope(struct upstream_tx *tx, bool pipelining)
{
    tx->state = TX_ENVELOPE;
    tx_wait_reply(tx);
    send_mail(tx);
    while (pipelining && tx->rcpts_sent < tx->job->envelope.count)
        tx_send_rcpt(tx);
}

static void begin_running(struct upstream_tx *tx, struct client *client)
{
    struct account *account = tx->account;

    loop_timer_cancel(&account->worker->loop, &tx->wait_timer);
    list_push_tail(&account->running, &tx->run_node);
    capacity_begin(tx);
    account->table->running++;
    stats_add(&account->worker->stats->messages_running, 1);
    tx->client = client;
    tx->state = TX_ENVELOPE;
    tx->started_us = clock_us();
    tx->job->attempts++;
    client_lend(client, tx);
    tx->job->conn = client->serial;
    tx->job->conn_use = client->uses;
    tx->bdat = bdat_wanted(tx);
}

void tx_start(struct upstream_tx *tx, struct client *client)
{
    bool pipelining = client->caps.caps & SMTP_CAP_PIPELINING, one_flight;
    uint64_t idle_since = client->used_ms;

    begin_running(tx, client);
    if (tx_conf(tx)->dry_run) {
        tx_dry_run(tx);
        return;
    }
    if (tx_refuse_locally(tx))
        return;
    /* Content goes out with the envelope only for one recipient: with more, a
     * refusal of one must be known before the others get the message. */
    one_flight = pipelining && !tx->live && tx->job->envelope.count == 1 &&
                 tx->job->body.size <= ONE_FLIGHT_MAX && !needs_probe(tx, idle_since);
    send_envelope(tx, pipelining);
    if (one_flight)
        tx_send_content(tx);
}
