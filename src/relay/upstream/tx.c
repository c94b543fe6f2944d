#include "relay/upstream/tx.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "relay/upstream/client.h"
#include "relay/upstream/pool.h"

#define ATTEMPTS_MAX 3                /* one, and two silent retries */
#define ONE_FLIGHT_MAX (1u << 20)     /* a larger body waits for the envelope's replies */
#define FEED_BYTES 16384              /* read at once: one TLS record */
#define FEED_HIGH_WATER (256u * 1024) /* octets queued towards the kernel */
#define LIVE_HOLD_MS 60000            /* a slow client may hold a connection so long */
#define COMMAND_BYTES 2048

static const struct conf *conf_of(const struct upstream_tx *tx)
{
    return worker_conf(tx->account->worker);
}

/* --- life --------------------------------------------------------------- */

static void on_wait_timeout(struct timer *timer)
{
    struct upstream_tx *tx = container_of(timer, struct upstream_tx, wait_timer);
    struct account *account = tx->account;
    struct smtp_reply reply;

    /* The original's answer where an account has all it may have at work. */
    smtp_reply_init(&reply);
    if (account->last_failure.code && account->dial_failures)
        smtp_reply_copy(&reply, &account->last_failure);
    else if (!account_token_valid(account) && !pool_connections(account))
        smtp_reply_set(&reply, 454, (struct smtp_enhanced){4, 7, 0},
                       "no access token for this account yet");
    else
        smtp_reply_set(&reply, 451, (struct smtp_enhanced){4, 4, 5},
                       "account busy: all its connections are at work");
    tx_fail_waiting(tx, &reply);
    smtp_reply_clear(&reply);
}

struct upstream_tx *tx_new(struct account *account, struct job *job)
{
    struct upstream_tx *tx = calloc(1, sizeof(*tx));

    if (!tx)
        return NULL;
    tx->job = job;
    tx->account = account;
    tx->live = job->want == JOB_RCPT;
    smtp_reply_init(&tx->refusal);
    timer_init(&tx->wait_timer, on_wait_timeout);
    loop_timer_set(&account->worker->loop, &tx->wait_timer, conf_of(tx)->queue_wait_ms);
    account->jobs++;
    account->table->jobs++;
    job->tx = tx;
    return tx;
}

static void leave_lists(struct upstream_tx *tx)
{
    struct account *account = tx->account;

    loop_timer_cancel(&account->worker->loop, &tx->wait_timer);
    if (!list_node_linked(&tx->wait_node))
        return;
    if (tx->state == TX_WAITING) {
        list_remove(&account->waiting, &tx->wait_node);
    } else {
        list_remove(&account->running, &tx->wait_node);
        account->table->running--;
    }
}

static void tx_free(struct upstream_tx *tx)
{
    struct account *account = tx->account;

    leave_lists(tx);
    account->jobs--;
    account->table->jobs--;
    tx->job->tx = NULL;
    smtp_reply_clear(&tx->refusal);
    free(tx);
}

static void note_times(struct upstream_tx *tx)
{
    struct job *job = tx->job;
    uint64_t now = clock_us();

    if (!tx->started_us) {
        job->time.wait = now - job->time.submitted;
        return;
    }
    job->time.wait = tx->live ? 0 : tx->started_us - job->time.submitted;
    job->time.envelope = (tx->envelope_us ? tx->envelope_us : now) - tx->started_us;
    if (tx->committed_us && tx->content_us)
        job->time.body = tx->committed_us - tx->content_us;
    if (tx->committed_us)
        job->time.final = now - tx->committed_us;
}

void tx_finish(struct upstream_tx *tx, enum job_outcome outcome, struct smtp_reply *client_reply)
{
    struct account *account = tx->account;
    struct job *job = tx->job;

    note_times(tx);
    job->outcome = outcome;
    if (client_reply)
        smtp_reply_move(&job->reply, client_reply);
    tx_free(tx);
    account->jobs++;
    job_return(job);
    account->jobs--;
    account_maybe_free(account);
}

static void finish_text(struct upstream_tx *tx, enum job_outcome outcome, int code,
                        struct smtp_enhanced enhanced, const char *text)
{
    struct smtp_reply reply;

    smtp_reply_init(&reply);
    smtp_reply_set(&reply, code, enhanced, text);
    tx_finish(tx, outcome, &reply);
    smtp_reply_clear(&reply);
}

/* Live mode: the job goes back to its origin and the transaction stays. */
static void hand_back_live(struct upstream_tx *tx, enum tx_state state)
{
    tx->state = state;
    tx->job->outcome = OUTCOME_NONE;
    if (state == TX_LIVE)
        client_set_timeout(tx->client, LIVE_HOLD_MS);
    job_return(tx->job);
}

static struct recipient *newest_rcpt(struct upstream_tx *tx)
{
    return &tx->job->envelope.rcpts[tx->job->envelope.count - 1];
}

void tx_fail_waiting(struct upstream_tx *tx, const struct smtp_reply *reply)
{
    struct smtp_reply copy;

    if (tx->live) { /* the first RCPT was not answered yet */
        smtp_reply_copy(&newest_rcpt(tx)->reply, reply);
        leave_lists(tx);
        hand_back_live(tx, TX_LOST);
        return;
    }
    smtp_reply_init(&copy);
    smtp_reply_copy(&copy, reply);
    tx_finish(tx, reply->code >= 500 ? OUTCOME_REJECTED : OUTCOME_DEFERRED, &copy);
    smtp_reply_clear(&copy);
}

/* --- sending ------------------------------------------------------------ */

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

static void send_rcpt(struct upstream_tx *tx)
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

static void wait_reply(struct upstream_tx *tx)
{
    client_set_timeout(tx->client, conf_of(tx)->upstream_command_ms);
}

static void lose(struct upstream_tx *tx, const char *why);
static void lose_unknown(struct upstream_tx *tx, const char *why);

static bool feed_run(struct upstream_tx *tx, const unsigned char *run, size_t len)
{
    char encoded[DOT_ENCODE_MAX(FEED_BYTES)];

    if (tx->bdat)
        return client_write(tx->client, (const char *)run, len);
    len = dot_encode(&tx->dots, (struct slice){(const char *)run, len}, encoded);
    return client_write(tx->client, encoded, len);
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
            lose(tx, "the message's temporary file cannot be read");
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
    }
}

static void begin_content(struct upstream_tx *tx)
{
    tx->content_begun = true;
    tx->content_us = clock_us();
    tx->job->bdat = tx->bdat;
    body_reader_init(&tx->reader, &tx->job->body);
    dot_encoder_init(&tx->dots);
    tx->state = TX_CONTENT;
    wait_reply(tx);
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
    begin_content(tx);
}

static void send_data(struct upstream_tx *tx)
{
    client_write(tx->client, "DATA\r\n", 6);
    tx->data_sent = true;
    tx->state = TX_DATA;
    wait_reply(tx);
}

static void send_content(struct upstream_tx *tx)
{
    if (tx->bdat)
        send_bdat(tx);
    else
        send_data(tx);
}

/* The last octet is with the kernel: from here on nothing is sent again. */
static bool is_committed(const struct upstream_tx *tx)
{
    return tx->content_queued && (!tx->client || !conn_pending(tx->client->conn));
}

void tx_drained(struct upstream_tx *tx)
{
    if (!tx->content_begun)
        return;
    if (!tx->content_queued) {
        wait_reply(tx); /* progress: the clock starts again */
        feed(tx);
        return;
    }
    if (!tx->committed_us) {
        tx->committed_us = clock_us();
        client_set_timeout(tx->client, conf_of(tx)->upstream_final_ms);
    }
}

/* --- the plan ----------------------------------------------------------- */

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

    return now - idle_since > conf_of(tx)->probe_after_ms;
}

/* What this server cannot carry is refused before a byte is sent. */
static bool refuse_locally(struct upstream_tx *tx)
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
    finish_text(tx, OUTCOME_REJECTED, enhanced.subject == 3 ? 552 : 554, enhanced, text);
    return true;
}

static void finish_dry_run(struct upstream_tx *tx)
{
    struct client *client = tx->client;

    if (tx->live && tx->job->want == JOB_RCPT) {
        struct recipient *rcpt = newest_rcpt(tx);

        rcpt->accepted = true;
        smtp_reply_set(&rcpt->reply, 250, (struct smtp_enhanced){2, 1, 5}, "OK (dry run)");
        hand_back_live(tx, TX_LIVE);
        return;
    }
    client_release(client, false);
    finish_text(tx, OUTCOME_DRY_RUN, 250, (struct smtp_enhanced){2, 0, 0},
                "OK (dry run: authenticated, nothing was sent)");
}

static void send_envelope(struct upstream_tx *tx, bool pipelining)
{
    tx->state = TX_ENVELOPE;
    wait_reply(tx);
    send_mail(tx);
    while (pipelining && tx->rcpts_sent < tx->job->envelope.count)
        send_rcpt(tx);
}

static void begin_running(struct upstream_tx *tx, struct client *client)
{
    struct account *account = tx->account;

    loop_timer_cancel(&account->worker->loop, &tx->wait_timer);
    list_push_tail(&account->running, &tx->wait_node);
    account->table->running++;
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
    if (conf_of(tx)->dry_run) {
        finish_dry_run(tx);
        return;
    }
    if (refuse_locally(tx))
        return;
    /* Content goes out with the envelope only for one recipient: with more, a
     * refusal of one must be known before the others get the message. */
    one_flight = pipelining && !tx->live && tx->job->envelope.count == 1 &&
                 tx->job->body.size <= ONE_FLIGHT_MAX && !needs_probe(tx, idle_since);
    send_envelope(tx, pipelining);
    if (one_flight)
        send_content(tx);
}

/* --- replies ------------------------------------------------------------ */

static struct verdict judge(const struct upstream_tx *tx, enum phase phase,
                            const struct smtp_reply *reply)
{
    return verdict_of(slice_of(tx->account->provider), phase, tx->bdat, reply);
}

static void start_over(struct upstream_tx *tx);

/* The connection, not the message, was refused (a goodbye, a lost login), and
 * no content has left: a fresh connection may try, unnoticed. */
static bool may_start_over(const struct upstream_tx *tx, const struct verdict *verdict)
{
    return verdict->class_ == VERDICT_CONNECTION_DEAD && !tx->content_begun && !tx->live &&
           tx->job->attempts < ATTEMPTS_MAX && !atomic_load(&tx->job->cancelled);
}

/* Ends a transaction that the provider refused, by the reply that decides.
 * `in_step`: every command has its reply, so the connection can go on. */
static void finish_refused(struct upstream_tx *tx, enum phase phase, struct smtp_reply *reply,
                           bool in_step)
{
    struct verdict verdict = judge(tx, phase, reply);
    struct account *account = tx->account;
    struct client *client = tx->client;
    struct smtp_reply told;

    if (may_start_over(tx, &verdict)) {
        account->jobs++;
        client->tx = NULL;
        tx->client = NULL;
        client_close(client, verdict.rule);
        start_over(tx);
        account->jobs--;
        pool_room(account);
        return;
    }
    smtp_reply_init(&told);
    verdict_reply(&verdict, reply, &told);
    account_apply(account, &verdict, reply);
    smtp_reply_copy(&tx->job->provider, reply);
    account->jobs++;
    tx->client = NULL;
    client->tx = NULL;
    if (in_step && !verdict.close)
        client_release(client, true);
    else if (in_step)
        client_quit(client, verdict.rule);
    else
        client_close(client, verdict.rule);
    tx_finish(tx, told.code >= 500 ? OUTCOME_REJECTED : OUTCOME_DEFERRED, &told);
    account->jobs--;
    smtp_reply_clear(&told);
    pool_room(account);
}

static void finish_delivered(struct upstream_tx *tx, struct smtp_reply *reply)
{
    struct account *account = tx->account;
    struct client *client = tx->client;

    tx->client->endpoint->bdat_losses = 0;
    tx->client = NULL;
    smtp_reply_copy(&tx->job->provider, reply);
    account->jobs++;
    tx_finish(tx, OUTCOME_DELIVERED, reply);
    account->jobs--;
    client_release(client, false);
}

/* Some recipients were accepted and some refused: nothing is sent. */
static void finish_mixed(struct upstream_tx *tx)
{
    struct account *account = tx->account;
    struct client *client = tx->client;

    smtp_reply_copy(&tx->job->provider, &tx->refusal);
    tx->job->mixed = true;
    tx->client = NULL;
    account->jobs++;
    finish_text(tx, OUTCOME_DEFERRED, 451, (struct smtp_enhanced){4, 3, 0},
                "the recipients' verdicts differ and nothing was sent; send it again, and the "
                "provider answers each recipient itself");
    client_release(client, true);
    account->jobs--;
    account_maybe_free(account);
}

static void note_refusal(struct upstream_tx *tx, enum phase phase, struct smtp_reply *reply)
{
    if (!tx->refusal.code) {
        smtp_reply_move(&tx->refusal, reply);
        tx->refusal_phase = phase;
    } else if (tx->refusal.code != reply->code ||
               memcmp(&tx->refusal.enhanced, &reply->enhanced, sizeof(reply->enhanced)) != 0) {
        tx->refusals_differ = true;
    }
}

static size_t accepted_rcpts(const struct upstream_tx *tx)
{
    size_t accepted = 0;

    for (size_t i = 0; i < tx->rcpts_done; i++)
        accepted += tx->job->envelope.rcpts[i].accepted;
    return accepted;
}

/* Every envelope command that was sent has its reply. */
static void envelope_done(struct upstream_tx *tx)
{
    size_t count = tx->job->envelope.count;

    if (tx->envelope_us == 0)
        tx->envelope_us = clock_us();
    if (tx->content_begun || tx->data_sent)
        return; /* one flight: what follows has its own reply */
    if (accepted_rcpts(tx) == count)
        send_content(tx);
    else if (tx->refusal.code && (!tx->mail_ok || (!accepted_rcpts(tx) && !tx->refusals_differ)))
        finish_refused(tx, tx->refusal_phase, &tx->refusal, true);
    else if (tx->refusal.code)
        finish_mixed(tx);
}

/* Live mode: the provider's word on the newest recipient goes to the client. */
static void answer_live_rcpt(struct upstream_tx *tx, enum phase phase, struct smtp_reply *reply)
{
    struct recipient *rcpt = newest_rcpt(tx);
    struct verdict verdict = judge(tx, phase, reply);

    rcpt->accepted = verdict.class_ == VERDICT_OK && phase == PHASE_RCPT;
    verdict_reply(&verdict, reply, &rcpt->reply);
    account_apply(tx->account, &verdict, reply);
    if (verdict.close) {
        struct client *client = tx->client;

        tx->client = NULL;
        client->tx = NULL;
        client_quit(client, verdict.rule);
        leave_lists(tx);
        hand_back_live(tx, TX_LOST);
        return;
    }
    hand_back_live(tx, TX_LIVE);
}

static void on_mail_reply(struct upstream_tx *tx, struct smtp_reply *reply)
{
    tx->mail_done = true;
    tx->mail_ok = reply->code >= 200 && reply->code < 300;
    if (!tx->mail_ok)
        note_refusal(tx, PHASE_MAIL, reply);
    if (tx->rcpts_sent)
        return; /* pipelined: their replies follow */
    if (tx->mail_ok) {
        wait_reply(tx);
        send_rcpt(tx);
    } else if (tx->live) {
        answer_live_rcpt(tx, PHASE_MAIL, &tx->refusal);
    } else {
        envelope_done(tx);
    }
}

static void on_rcpt_reply(struct upstream_tx *tx, struct smtp_reply *reply)
{
    struct recipient *rcpt = &tx->job->envelope.rcpts[tx->rcpts_done++];

    if (tx->live) {
        if (tx->mail_ok)
            answer_live_rcpt(tx, PHASE_RCPT, reply);
        else
            answer_live_rcpt(tx, PHASE_MAIL, &tx->refusal);
        return;
    }
    rcpt->accepted = reply->code >= 200 && reply->code < 300;
    if (!rcpt->accepted)
        note_refusal(tx, PHASE_RCPT, reply);
    if (tx->rcpts_sent < tx->job->envelope.count && tx->mail_ok) {
        wait_reply(tx);
        send_rcpt(tx); /* step by step */
    } else if (tx->rcpts_done == tx->rcpts_sent) {
        envelope_done(tx);
    }
}

/* 354 although nobody was accepted: an empty message to nobody ends it, and
 * whatever is said to that is no success (RFC 2920 section 3.1). */
static void send_lone_dot(struct upstream_tx *tx)
{
    tx->lone_dot = true;
    wait_reply(tx);
    client_write(tx->client, ".\r\n", 3);
}

static void on_data_reply(struct upstream_tx *tx, struct smtp_reply *reply)
{
    tx->data_sent = false;
    if (reply->code == 354 && tx->refusal.code) {
        send_lone_dot(tx);
    } else if (reply->code == 354) {
        begin_content(tx);
    } else {
        note_refusal(tx, PHASE_DATA, reply);
        finish_refused(tx, tx->refusal_phase, &tx->refusal, true);
    }
}

static void on_final_reply(struct upstream_tx *tx, struct smtp_reply *reply)
{
    /* Before all of it was sent: the provider will not hear the rest. */
    bool in_step = is_committed(tx) || tx->lone_dot;

    if (!tx->committed_us)
        tx->committed_us = clock_us();
    if (tx->refusal.code) {
        if (reply->code < 300)
            in_step = false; /* accepted for nobody? Never used again. */
        finish_refused(tx, tx->refusal_phase, &tx->refusal, in_step);
    } else if (reply->code >= 200 && reply->code < 300 && in_step) {
        finish_delivered(tx, reply);
    } else if (reply->code < 400) {
        /* Accepted before it was complete, or no answer to content at all: who
         * knows what it has. Trying again could double it. */
        lose_unknown(tx, "an answer out of turn");
    } else {
        finish_refused(tx, PHASE_FINAL, reply, in_step);
    }
}

void tx_reply(struct upstream_tx *tx, struct smtp_reply *reply)
{
    if (tx->state == TX_LIVE) {
        lose(tx, "an answer without a command");
    } else if (!tx->mail_done) {
        on_mail_reply(tx, reply);
    } else if (tx->rcpts_done < tx->rcpts_sent) {
        on_rcpt_reply(tx, reply);
    } else if (tx->data_sent) {
        on_data_reply(tx, reply);
    } else if (tx->content_begun || tx->lone_dot) {
        on_final_reply(tx, reply);
    } else {
        lose(tx, "an answer without a command");
    }
}

/* --- losing the connection ---------------------------------------------- */

/* Back to the state before tx_start, for a fresh connection. */
static void start_over(struct upstream_tx *tx)
{
    struct account *account = tx->account;

    leave_lists(tx);
    stats_add(&account->worker->stats->upstream_retries_total, 1);
    for (size_t i = 0; i < tx->job->envelope.count; i++)
        tx->job->envelope.rcpts[i].accepted = false;
    smtp_reply_clear(&tx->refusal);
    tx->refusals_differ = false;
    tx->mail_done = tx->mail_ok = tx->data_sent = tx->lone_dot = false;
    tx->rcpts_sent = tx->rcpts_done = 0;
    tx->content_begun = tx->content_queued = false;
    tx->envelope_us = tx->content_us = tx->committed_us = 0;
    tx->needs_fresh = true;
    loop_timer_set(&account->worker->loop, &tx->wait_timer, conf_of(tx)->queue_wait_ms);
    pool_wait(account, tx, true);
}

static void finish_unknown(struct upstream_tx *tx, const char *why, bool timeout)
{
    struct text text;
    char line[400];

    if (tx->bdat && timeout)
        endpoint_demote_bdat(tx->account->endpoint, "no answer to BDAT");
    else if (tx->bdat)
        endpoint_lost_behind_bdat(tx->account->endpoint);
    text_init(&text, line, sizeof(line));
    text_addf(&text,
              "the provider took the message but did not answer (%s); it may have been "
              "delivered",
              why);
    finish_text(tx, OUTCOME_UNKNOWN, 451, (struct smtp_enhanced){4, 4, 2}, line);
}

static void lost_live(struct upstream_tx *tx, const char *why)
{
    bool with_us = tx->state != TX_LIVE;

    if (tx->content_begun || (with_us && tx->job->want == JOB_CONTENT)) {
        finish_text(tx, OUTCOME_DEFERRED, 451, (struct smtp_enhanced){4, 4, 2}, why);
        return;
    }
    leave_lists(tx);
    if (!with_us) {
        tx->state = TX_LOST; /* the origin learns it with its next step */
        return;
    }
    smtp_reply_set(&newest_rcpt(tx)->reply, 451, (struct smtp_enhanced){4, 4, 2}, why);
    hand_back_live(tx, TX_LOST);
}

/* It was refused before the connection went: that is an answer. */
static void finish_by_refusal(struct upstream_tx *tx, const struct verdict *verdict)
{
    struct smtp_reply told;

    smtp_reply_init(&told);
    verdict_reply(verdict, &tx->refusal, &told);
    account_apply(tx->account, verdict, &tx->refusal);
    smtp_reply_move(&tx->job->provider, &tx->refusal);
    tx_finish(tx, told.code >= 500 ? OUTCOME_REJECTED : OUTCOME_DEFERRED, &told);
    smtp_reply_clear(&told);
}

static bool refusal_decides(const struct upstream_tx *tx, bool committed, struct verdict *verdict)
{
    if (!tx->refusal.code || tx->live)
        return false;
    *verdict = judge(tx, tx->refusal_phase, &tx->refusal);
    return committed || verdict->class_ != VERDICT_CONNECTION_DEAD;
}

void tx_connection_lost(struct upstream_tx *tx, const char *why, bool timeout)
{
    bool committed = tx->content_begun && is_committed(tx);
    struct verdict verdict;

    tx->client = NULL;
    log_event(LOG_INFO, "upstream_lost", log_s("account", tx->account->id),
              log_u("conn", tx->job->conn), log_b("committed", committed), log_s("reason", why),
              log_u("attempts", tx->job->attempts));
    if (refusal_decides(tx, committed, &verdict))
        finish_by_refusal(tx, &verdict);
    else if (committed)
        finish_unknown(tx, why, timeout);
    else if (tx->live)
        lost_live(tx, why);
    else if (tx->job->attempts < ATTEMPTS_MAX && !atomic_load(&tx->job->cancelled))
        start_over(tx);
    else
        finish_text(tx, OUTCOME_DEFERRED, 451, (struct smtp_enhanced){4, 4, 2}, why);
}

/* We give the connection up ourselves. */
static void lose(struct upstream_tx *tx, const char *why)
{
    struct account *account = tx->account;
    struct client *client = tx->client;

    account->jobs++;
    client->tx = NULL;
    tx_connection_lost(tx, why, false);
    client_close(client, why);
    account->jobs--;
    pool_room(account);
}

static void lose_unknown(struct upstream_tx *tx, const char *why)
{
    struct account *account = tx->account;
    struct client *client = tx->client;

    account->jobs++;
    client->tx = NULL;
    tx->client = NULL;
    finish_unknown(tx, why, false);
    client_close(client, why);
    account->jobs--;
    pool_room(account);
}

/* --- live mode, and the client's end ------------------------------------- */

static void abort_live(struct upstream_tx *tx)
{
    struct client *client = tx->client;
    struct account *account = tx->account;

    tx->client = NULL;
    account->jobs++;
    tx_finish(tx, OUTCOME_CANCELLED, NULL);
    if (client)
        client_release(client, true);
    account->jobs--;
    account_maybe_free(account);
}

void tx_continue(struct upstream_tx *tx)
{
    struct job *job = tx->job;

    if (job->want == JOB_ABORT) {
        abort_live(tx);
    } else if (tx->state == TX_LOST && job->want == JOB_RCPT) {
        smtp_reply_set(&newest_rcpt(tx)->reply, 451, (struct smtp_enhanced){4, 4, 2},
                       "the connection to the provider was lost");
        hand_back_live(tx, TX_LOST);
    } else if (tx->state == TX_LOST) {
        finish_text(tx, OUTCOME_DEFERRED, 451, (struct smtp_enhanced){4, 4, 2},
                    "the connection to the provider was lost");
    } else if (conf_of(tx)->dry_run) {
        finish_dry_run(tx);
    } else if (job->want == JOB_RCPT) {
        tx->state = TX_ENVELOPE;
        wait_reply(tx);
        send_rcpt(tx);
    } else if (!refuse_locally(tx)) {
        tx->started_us = clock_us();
        tx->envelope_us = tx->started_us;
        send_content(tx);
    }
}

void tx_cancel(struct upstream_tx *tx)
{
    struct account *account = tx->account;
    struct client *client = tx->client;

    if (tx->content_begun && is_committed(tx))
        return; /* it takes its course */
    account->jobs++;
    tx->client = NULL;
    if (client) {
        client->tx = NULL;
        client_close(client, "the client has gone");
    }
    tx_finish(tx, OUTCOME_CANCELLED, NULL);
    account->jobs--;
    pool_room(account);
}
