#include "relay/inbound/transaction.h"

#include <assert.h>
#include <stdlib.h>

/* Waiting for message memory: other workers free it too, so it is asked for
 * again and again. RFC 5321 section 4.5.3.2.5 gives a client two minutes. */
#define MEMORY_POLL_MS 50
#define MEMORY_WAIT_MS 90000
/* Of a client that has sent its whole message with MAIL and RCPT: it waits for the last
 * reply, and nothing that it does depends on the others. */
#define HOLD_REPLIES_MS 1000

static void on_done(struct job *job);

bool transaction_begin(struct session *session, const struct smtp_mail *mail)
{
    struct transaction *transaction = calloc(1, sizeof(*transaction));

    assert(!session->transaction && session->state == SESSION_READY);
    if (!transaction)
        return false;
    transaction->session = session;
    transaction->login = login_ref(session->login);
    job_init(&transaction->job, session->worker, transaction->login, session->client);
    transaction->job.done = on_done;
    transaction->job.owner = transaction;
    content_init(&transaction->content, &transaction->job.body, session_conf(session));
    session->transaction = transaction;
    session_move(session, SESSION_MAIL);
    if (envelope_set_sender(&transaction->job.envelope, mail))
        return true;
    transaction_reset(session);
    return false;
}

static void transaction_free(struct transaction *transaction)
{
    job_clear(&transaction->job);
    login_unref(transaction->login);
    free(transaction);
}

/* The client has lost interest, or is gone. */
static void abandon(struct transaction *transaction)
{
    transaction->session = NULL;
    if (transaction->job.with_owner)
        job_cancel(&transaction->job);
    else if (transaction->live_open)
        job_submit(&transaction->job, JOB_ABORT);
    else
        transaction_free(transaction);
}

void transaction_reset(struct session *session)
{
    struct transaction *transaction = session->transaction;

    session->transaction = NULL;
    if (!transaction)
        return;
    abandon(transaction);
    session_rest(session);
}

/* One line for each transaction, whichever way it ends. */
static void log_once(struct transaction *transaction, const struct smtp_reply *client)
{
    if (!transaction->logged)
        job_log(&transaction->job, client);
    transaction->logged = true;
}

/* --- recipients --- */

static void answer_rcpt(struct session *session, const struct smtp_reply *reply, bool accepted)
{
    struct transaction *transaction = session->transaction;

    transaction->accepted += accepted;
    transaction->refused += !accepted;
    if (accepted == (reply->code / 100 == 2))
        session_reply(session, reply->code, reply->enhanced,
                      (struct slice){reply->text, reply->text_len});
    else
        session_say(session, accepted ? ANSWER_RCPT_OK : ANSWER_PROVIDER_LOST);
}

static void live_rcpt_done(struct transaction *transaction)
{
    struct session *session = transaction->session;
    struct job *job = &transaction->job;
    struct recipient *rcpt = &job->envelope.rcpts[job->envelope.count - 1];

    session_go_on(session);
    transaction->live_open = job->outcome == OUTCOME_NONE;
    transaction->live_lost = !transaction->live_open;
    if (transaction->live_lost)
        log_once(transaction, &job->reply);
    if (transaction->live_lost || !rcpt->reply.code)
        answer_rcpt(session, &job->reply, false);
    else
        answer_rcpt(session, &rcpt->reply, rcpt->accepted);
}

void transaction_rcpt(struct session *session, const struct smtp_rcpt *rcpt)
{
    struct transaction *transaction = session->transaction;
    struct job *job = &transaction->job;

    if (transaction->live_lost) {
        answer_rcpt(session, &job->reply, false);
        return;
    }
    if (!job->envelope.count)
        transaction->live =
            login_is_live(transaction->login, session->client, session_now(session));
    if (!envelope_add_rcpt(&job->envelope, rcpt)) {
        transaction->refused++;
        session_say(session, ANSWER_NO_STORAGE);
    } else if (transaction->live) {
        job_submit(job, JOB_RCPT);
        session_wait(session, WAIT_RCPT, 0);
    } else {
        transaction->accepted++;
        session_say(session, ANSWER_RCPT_OK);
    }
}

/* --- content --- */

bool transaction_may_send(const struct session *session, enum answer *why)
{
    const struct transaction *transaction = session->transaction;

    if (!transaction->accepted)
        *why = transaction->refused ? ANSWER_NO_RCPTS : ANSWER_RCPT_FIRST;
    else if (transaction->live_lost)
        *why = ANSWER_PROVIDER_LOST;
    else
        return true;
    return false;
}

void transaction_refuse(struct session *session, enum answer why)
{
    if (why == ANSWER_RCPT_FIRST) {
        session_refuse(session, why);
    } else {
        transaction_reset(session);
        session_say(session, why);
    }
}

static void let_client_send(struct session *session)
{
    content_begin(&session->transaction->content, session_now(session));
    session->timeout_stale = true;
    if (session->state == SESSION_DATA)
        session_say(session, ANSWER_SEND_DATA);
}

void transaction_take(struct session *session)
{
    if (session->transaction->content.begun)
        return; /* a further chunk */
    if (!body_memory_tight(session->worker)) {
        let_client_send(session);
    } else {
        session->wait_until = session_now(session) + MEMORY_WAIT_MS;
        session_wait(session, WAIT_MEMORY, MEMORY_POLL_MS);
    }
}

void transaction_memory_ready(struct session *session)
{
    session_go_on(session);
    let_client_send(session);
}

void transaction_memory_timeout(struct session *session)
{
    uint64_t octets = session->transaction->chunk_left;
    bool data = session->state == SESSION_DATA;

    if (!body_memory_tight(session->worker)) {
        transaction_memory_ready(session);
    } else if (session_now(session) < session->wait_until) {
        session_wait(session, WAIT_MEMORY, MEMORY_POLL_MS);
    } else {
        session_go_on(session);
        if (data)
            transaction_refuse(session, ANSWER_NO_STORAGE);
        else
            transaction_refuse_chunk(session, ANSWER_NO_STORAGE, octets);
    }
}

size_t transaction_take_data(struct session *session, struct slice bytes)
{
    struct content *content = &session->transaction->content;
    bool end;
    size_t used = content_add_dots(content, bytes, &end);

    session->timeout_stale = true;
    if (end) {
        transaction_complete(session);
    } else if (content->size / 2 > content->max_size) {
        session_end_saying(session, ANSWER_TOO_BIG, END_ABUSE);
    } else if (transaction_is_slow(session->transaction, session_conf(session))) {
        session_violation(session, "slow_content");
        session_end_saying(session, ANSWER_TOO_SLOW, END_ABUSE);
    }
    return used;
}

/* The message was complete and is refused for what it is. */
static void refuse_content(struct session *session, enum answer why)
{
    struct transaction *transaction = session->transaction;
    const struct answer_row *row = &answers[why];
    struct smtp_reply reply;

    if (why == ANSWER_BARE_CONTENT)
        session_violation(session, "bare_content");
    transaction->job.outcome = row->code < 500 ? OUTCOME_DEFERRED : OUTCOME_REJECTED;
    transaction->job.body.size = transaction->content.size; /* for the log: nothing is stored */
    smtp_reply_init(&reply);
    smtp_reply_set(&reply, row->code, row->enhanced, row->text);
    log_once(transaction, &reply);
    smtp_reply_clear(&reply);
    transaction_reset(session);
    session_say(session, why);
}

void transaction_complete(struct session *session)
{
    struct transaction *transaction = session->transaction;
    enum answer why;

    if (!content_is_good(&transaction->content, &why)) {
        refuse_content(session, why);
        return;
    }
    session_move(session, SESSION_VERDICT);
    if (conn_pending(session->conn))
        conn_hold(session->conn);
    session_wait(session, WAIT_FINAL, session->conn->held ? HOLD_REPLIES_MS : 0);
    job_submit(&transaction->job, transaction->live ? JOB_CONTENT : JOB_DELIVER);
}

/* --- the verdict --- */

static bool is_good(enum job_outcome outcome)
{
    return outcome == OUTCOME_DELIVERED || outcome == OUTCOME_DRY_RUN;
}

static void final_done(struct transaction *transaction)
{
    struct session *session = transaction->session;
    struct job *job = &transaction->job;

    /* The promise: a 250 means that the provider said 250. */
    assert(job->reply.code >= 200 && (job->reply.code >= 300 || is_good(job->outcome)));
    transaction->live_open = false;
    if (job->mixed)
        login_set_live(transaction->login, session->client, session_now(session),
                       session_conf(session)->live_rcpt_ms);
    log_once(transaction, &job->reply);
    session_reply(session, job->reply.code, job->reply.enhanced,
                  (struct slice){job->reply.text, job->reply.text_len});
    transaction_reset(session);
    session_go_on(session);
}

/* The client was refused every recipient by the provider, and left it at that. */
static void log_refused_rcpts(struct transaction *transaction)
{
    struct job *job = &transaction->job;
    const struct smtp_reply *last = &job->envelope.rcpts[job->envelope.count - 1].reply;

    job->outcome = last->code < 500 ? OUTCOME_DEFERRED : OUTCOME_REJECTED;
    log_once(transaction, last);
}

/* Only the provider's connection of a live transaction may still have to be
 * given back; anything else has ended. */
static void orphan_done(struct transaction *transaction)
{
    struct job *job = &transaction->job;

    if (job->want == JOB_RCPT && job->outcome == OUTCOME_NONE) {
        job_submit(job, JOB_ABORT);
        return;
    }
    if (job->want == JOB_ABORT && !transaction->accepted && transaction->refused)
        log_refused_rcpts(transaction);
    else
        log_once(transaction, NULL);
    transaction_free(transaction);
}

static void on_done(struct job *job)
{
    struct transaction *transaction = job->owner;
    struct session *session = transaction->session;

    if (!session) {
        orphan_done(transaction);
        return;
    }
    if (job->want == JOB_RCPT)
        live_rcpt_done(transaction);
    else
        final_done(transaction);
    session_leave(session);
}

/* --- patience --- */

uint64_t transaction_patience(const struct transaction *transaction, const struct conf *conf)
{
    const struct session *session = transaction->session;
    bool in_content = session->state == SESSION_DATA || session->state == SESSION_BDAT;
    uint64_t silence = in_content ? conf->data_timeout_ms : conf->command_timeout_ms;
    uint64_t rate = content_patience(&transaction->content, conf, session_now(session));

    return rate < silence ? rate + 1 : silence;
}

bool transaction_is_slow(const struct transaction *transaction, const struct conf *conf)
{
    return content_patience(&transaction->content, conf, session_now(transaction->session)) == 0;
}
