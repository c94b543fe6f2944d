/* Replies, in the order of their commands, and the verdict they make. */
#include "relay/upstream/tx.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "relay/upstream/capacity.h"
#include "relay/upstream/client.h"
#include "relay/upstream/pool.h"
#include "relay/upstream/tx_private.h"

struct verdict tx_judge(const struct upstream_tx *tx, enum phase phase,
                        const struct smtp_reply *reply)
{
    struct verdict verdict = verdict_of(slice_of(tx->account->provider), phase, tx->bdat, reply);

    /* Neither yes nor no: 354 to RCPT, 250 to DATA. It is never passed on: the
     * client would take it for the answer to its own command. */
    if (verdict.class_ == VERDICT_OK && (reply->code >= 300 || phase == PHASE_DATA))
        verdict = (struct verdict){.class_ = VERDICT_PROVIDER_TRANSIENT,
                                   .rule = "out_of_step",
                                   .code = 451,
                                   .enhanced = {4, 5, 0},
                                   .close = true};
    return verdict;
}

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
    struct verdict verdict = tx_judge(tx, phase, reply);
    struct account *account = tx->account;
    struct client *client = tx->client;
    struct smtp_reply told;

    if (may_start_over(tx, &verdict)) {
        account->jobs++;
        client->tx = NULL;
        tx->client = NULL;
        client_close(client, verdict.rule);
        tx_start_over(tx);
        account->jobs--;
        pool_room(account);
        return;
    }
    smtp_reply_init(&told);
    tx->taken = phase == PHASE_FINAL; /* it has seen all of it, and may count it */
    if (verdict.too_many)
        capacity_too_many(tx, &verdict);
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
    tx->taken = true;
    capacity_accepted(tx);
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
    tx_finish_text(tx, OUTCOME_DEFERRED, 451, (struct smtp_enhanced){4, 3, 0},
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
    if (tx->mail_ok && accepted_rcpts(tx) == count)
        tx_send_content(tx);
    else if (tx->refusal.code && (!tx->mail_ok || (!accepted_rcpts(tx) && !tx->refusals_differ)))
        finish_refused(tx, tx->refusal_phase, &tx->refusal, true);
    else if (tx->refusal.code)
        finish_mixed(tx);
}

/* Live mode: the provider's word on the newest recipient goes to the client. */
static void answer_live_rcpt(struct upstream_tx *tx, enum phase phase, struct smtp_reply *reply)
{
    struct recipient *rcpt = tx_newest_rcpt(tx);
    struct verdict verdict = tx_judge(tx, phase, reply);

    rcpt->accepted = verdict.class_ == VERDICT_OK && phase == PHASE_RCPT;
    verdict_reply(&verdict, reply, &rcpt->reply);
    account_apply(tx->account, &verdict, reply);
    if (verdict.close) {
        struct client *client = tx->client;

        tx->client = NULL;
        client->tx = NULL;
        client_quit(client, verdict.rule);
        tx_leave_lists(tx);
        tx_hand_back(tx, TX_LOST);
        return;
    }
    tx_hand_back(tx, TX_LIVE);
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
        tx_wait_reply(tx);
        tx_send_rcpt(tx);
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
        tx_wait_reply(tx);
        tx_send_rcpt(tx); /* step by step */
    } else if (tx->rcpts_done == tx->rcpts_sent) {
        envelope_done(tx);
    }
}

/* 354 although nobody was accepted: an empty message to nobody ends it, and
 * whatever is said to that is no success (RFC 2920 section 3.1). */
static void send_lone_dot(struct upstream_tx *tx)
{
    tx->lone_dot = true;
    tx_wait_reply(tx);
    client_write(tx->client, ".\r\n", 3);
}

static void on_data_reply(struct upstream_tx *tx, struct smtp_reply *reply)
{
    tx->data_sent = false;
    if (reply->code == 354 && tx->refusal.code) {
        send_lone_dot(tx);
    } else if (reply->code == 354) {
        tx_begin_content(tx);
    } else {
        note_refusal(tx, PHASE_DATA, reply);
        finish_refused(tx, tx->refusal_phase, &tx->refusal, true);
    }
}

/* Accepted although MAIL was refused, or answered by neither yes nor no. */
static bool contradicts(const struct upstream_tx *tx, const struct smtp_reply *reply)
{
    return tx->refusal.code && reply->code < 300 && !tx->lone_dot &&
           (tx->refusal_phase == PHASE_MAIL || tx->refusal.code < 400);
}

static void on_final_reply(struct upstream_tx *tx, struct smtp_reply *reply)
{
    /* Before all of it was sent: the provider will not hear the rest. */
    bool in_step = tx_is_committed(tx) || tx->lone_dot;

    if (!tx->committed_us)
        tx->committed_us = clock_us();
    if (contradicts(tx, reply)) {
        tx_lose_unknown(tx, "answers that contradict each other");
    } else if (tx->refusal.code) {
        if (reply->code < 300)
            in_step = false; /* accepted for nobody? Never used again. */
        finish_refused(tx, tx->refusal_phase, &tx->refusal, in_step);
    } else if (reply->code >= 200 && reply->code < 300 && in_step) {
        finish_delivered(tx, reply);
    } else if (reply->code < 400) {
        /* Accepted before it was complete, or no answer to content at all: who
         * knows what it has. Trying again could double it. */
        tx_lose_unknown(tx, "an answer out of turn");
    } else {
        finish_refused(tx, PHASE_FINAL, reply, in_step);
    }
}

void tx_reply(struct upstream_tx *tx, struct smtp_reply *reply)
{
    if (tx->state == TX_LIVE) {
        tx_lose(tx, "an answer without a command");
    } else if (!tx->mail_done) {
        on_mail_reply(tx, reply);
    } else if (tx->rcpts_done < tx->rcpts_sent) {
        on_rcpt_reply(tx, reply);
    } else if (tx->data_sent) {
        on_data_reply(tx, reply);
    } else if (tx->content_begun || tx->lone_dot) {
        on_final_reply(tx, reply);
    } else {
        tx_lose(tx, "an answer without a command");
    }
}
