/* Life of a transaction: waiting, ending, losing its connection, live mode. */
#include "relay/upstream/tx.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "relay/upstream/capacity.h"
#include "relay/upstream/client.h"
#include "relay/upstream/pool.h"
#include "relay/upstream/tx_private.h"

#define LIVE_HOLD_MS 60000 /* a slow client may hold a connection so long */

const struct conf *tx_conf(const struct upstream_tx *tx)
{
    return worker_conf(tx->account->worker);
}

static void on_wait_timeout(struct timer *timer)
{
    struct upstream_tx *tx = container_of(timer, struct upstream_tx, wait_timer);
    struct account *account = tx->account;
    struct smtp_reply reply;

    account->jobs++;
    smtp_reply_init(&reply);
    pool_say_why(account, &reply);
    tx_fail_waiting(tx, &reply);
    smtp_reply_clear(&reply);
    account->jobs--;
    pool_room(account); /* it may have stood before one that can be served */
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
    loop_timer_set(&account->worker->loop, &tx->wait_timer, tx_conf(tx)->queue_wait_ms);
    account->jobs++;
    account->table->jobs++;
    job->tx = tx;
    return tx;
}

void tx_leave_lists(struct upstream_tx *tx)
{
    struct account *account = tx->account;

    loop_timer_cancel(&account->worker->loop, &tx->wait_timer);
    if (line_has(&tx->turn)) {
        pool_leave(account, tx);
    } else if (list_node_linked(&tx->run_node)) {
        list_remove(&account->running, &tx->run_node);
        account->table->running--;
        stats_sub(&account->worker->stats->messages_running, 1);
        capacity_end(tx);
    }
}

static void tx_free(struct upstream_tx *tx)
{
    struct account *account = tx->account;

    tx_leave_lists(tx);
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
    account->messages[outcome]++;
    if (outcome == OUTCOME_DELIVERED)
        account->last_delivery_wall_ms = clock_wall_ms();
    if (client_reply)
        smtp_reply_move(&job->reply, client_reply);
    tx_free(tx);
    account->jobs++;
    job_return(job);
    account->jobs--;
    account_maybe_free(account);
}

void tx_finish_text(struct upstream_tx *tx, enum job_outcome outcome, int code,
                    struct smtp_enhanced enhanced, const char *text)
{
    struct smtp_reply reply;

    smtp_reply_init(&reply);
    smtp_reply_set(&reply, code, enhanced, text);
    tx_finish(tx, outcome, &reply);
    smtp_reply_clear(&reply);
}

/* Live mode: the job goes back to its origin and the transaction stays. */
void tx_hand_back(struct upstream_tx *tx, enum tx_state state)
{
    tx->state = state;
    tx->job->outcome = OUTCOME_NONE;
    if (state == TX_LIVE)
        client_set_timeout(tx->client, LIVE_HOLD_MS);
    job_return(tx->job);
}

struct recipient *tx_newest_rcpt(struct upstream_tx *tx)
{
    return &tx->job->envelope.rcpts[tx->job->envelope.count - 1];
}

void tx_fail_waiting(struct upstream_tx *tx, const struct smtp_reply *reply)
{
    struct smtp_reply copy;

    if (tx->live) { /* the first RCPT was not answered yet */
        smtp_reply_copy(&tx_newest_rcpt(tx)->reply, reply);
        tx_leave_lists(tx);
        tx_hand_back(tx, TX_LOST);
        return;
    }
    smtp_reply_init(&copy);
    smtp_reply_copy(&copy, reply);
    tx_finish(tx, reply->code >= 500 ? OUTCOME_REJECTED : OUTCOME_DEFERRED, &copy);
    smtp_reply_clear(&copy);
}

/* Back to the state before tx_start, for a fresh connection. */
void tx_start_over(struct upstream_tx *tx)
{
    struct account *account = tx->account;

    tx_leave_lists(tx);
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
    loop_timer_set(&account->worker->loop, &tx->wait_timer, tx_conf(tx)->queue_wait_ms);
    pool_wait_first(account, tx);
}

static void finish_unknown(struct upstream_tx *tx, const char *why, bool timeout)
{
    struct text text;
    char line[400];

    if (tx->bdat && timeout)
        endpoint_demote_bdat(tx->account->endpoint, "no answer to BDAT");
    else if (tx->bdat)
        endpoint_lost_behind_bdat(tx->account->endpoint);
    tx->taken = true;
    text_init(&text, line, sizeof(line));
    text_addf(&text,
              "the provider took the message but did not answer (%s); it may have been "
              "delivered",
              why);
    tx_finish_text(tx, OUTCOME_UNKNOWN, 451, (struct smtp_enhanced){4, 4, 2}, line);
}

static void lost_live(struct upstream_tx *tx, const char *why)
{
    bool with_us = tx->state != TX_LIVE;

    if (tx->content_begun || (with_us && tx->job->want == JOB_CONTENT)) {
        tx_finish_text(tx, OUTCOME_DEFERRED, 451, (struct smtp_enhanced){4, 4, 2}, why);
        return;
    }
    tx_leave_lists(tx);
    if (!with_us) {
        tx->state = TX_LOST; /* the origin learns it with its next step */
        return;
    }
    smtp_reply_set(&tx_newest_rcpt(tx)->reply, 451, (struct smtp_enhanced){4, 4, 2}, why);
    tx_hand_back(tx, TX_LOST);
}

/* It was refused before the connection went: that is an answer. */
static void finish_by_refusal(struct upstream_tx *tx, const struct verdict *verdict)
{
    struct smtp_reply told;

    smtp_reply_init(&told);
    if (verdict->too_many)
        capacity_too_many(tx, verdict);
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
    if (tx->refusal_phase == PHASE_RCPT && tx->job->envelope.count > 1)
        return false; /* it is one recipient's answer, not everyone's */
    *verdict = tx_judge(tx, tx->refusal_phase, &tx->refusal);
    return committed || verdict->class_ != VERDICT_CONNECTION_DEAD;
}

void tx_connection_lost(struct upstream_tx *tx, const char *why, bool timeout)
{
    bool committed = tx->content_begun && tx_is_committed(tx);
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
        tx_start_over(tx);
    else
        tx_finish_text(tx, OUTCOME_DEFERRED, 451, (struct smtp_enhanced){4, 4, 2}, why);
}

/* We give the connection up ourselves. */
void tx_lose(struct upstream_tx *tx, const char *why)
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

void tx_lose_unknown(struct upstream_tx *tx, const char *why)
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

/* We refused it ourselves: the provider never hears of it. */
static void skip_rcpt(struct upstream_tx *tx)
{
    tx->rcpts_sent++;
    tx->rcpts_done++;
    tx_hand_back(tx, TX_LIVE);
}

void tx_continue(struct upstream_tx *tx)
{
    struct job *job = tx->job;

    if (job->want == JOB_ABORT) {
        abort_live(tx);
    } else if (tx->state == TX_LOST && job->want == JOB_RCPT) {
        smtp_reply_set(&tx_newest_rcpt(tx)->reply, 451, (struct smtp_enhanced){4, 4, 2},
                       "the connection to the provider was lost");
        tx_hand_back(tx, TX_LOST);
    } else if (tx->state == TX_LOST) {
        tx_finish_text(tx, OUTCOME_DEFERRED, 451, (struct smtp_enhanced){4, 4, 2},
                       "the connection to the provider was lost");
    } else if (tx_conf(tx)->dry_run) {
        tx_dry_run(tx);
    } else if (job->want == JOB_RCPT && !capacity_more(tx, &tx_newest_rcpt(tx)->reply)) {
        skip_rcpt(tx);
    } else if (job->want == JOB_RCPT) {
        tx->state = TX_ENVELOPE;
        tx_wait_reply(tx);
        tx_send_rcpt(tx);
    } else if (!tx_refuse_locally(tx)) {
        tx->started_us = clock_us();
        tx->envelope_us = tx->started_us;
        tx_send_content(tx);
    }
}

void tx_cancel(struct upstream_tx *tx)
{
    struct account *account = tx->account;
    struct client *client = tx->client;

    if (tx->content_begun && tx_is_committed(tx))
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
