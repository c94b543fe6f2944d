#include "relay/job.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "relay/upstream/upstream.h"

const char *const job_outcome_names[OUTCOMES] = {
    "none", "delivered", "rejected", "deferred", "unknown", "client_gone", "dry_run",
};

void envelope_init(struct envelope *envelope)
{
    *envelope = (struct envelope){0};
}

void envelope_clear(struct envelope *envelope)
{
    for (size_t i = 0; i < envelope->count; i++) {
        free(envelope->rcpts[i].address);
        smtp_reply_clear(&envelope->rcpts[i].reply);
    }
    free(envelope->rcpts);
    free(envelope->sender);
    envelope_init(envelope);
}

bool envelope_set_sender(struct envelope *envelope, const struct smtp_mail *mail)
{
    free(envelope->sender);
    envelope->sender = slice_dup(mail->sender.mailbox);
    envelope->body = mail->body;
    envelope->utf8 = mail->utf8;
    return envelope->sender != NULL;
}

static bool envelope_grow(struct envelope *envelope)
{
    size_t cap = envelope->cap ? envelope->cap * 2 : 4;
    struct recipient *rcpts = realloc(envelope->rcpts, cap * sizeof(*rcpts));

    if (!rcpts)
        return false;
    envelope->rcpts = rcpts;
    envelope->cap = cap;
    return true;
}

bool envelope_add_rcpt(struct envelope *envelope, const struct smtp_rcpt *rcpt)
{
    struct recipient *to;

    if (envelope->count == envelope->cap && !envelope_grow(envelope))
        return false;
    to = &envelope->rcpts[envelope->count];
    *to = (struct recipient){.address = slice_dup(rcpt->recipient.mailbox)};
    if (!to->address)
        return false;
    smtp_reply_init(&to->reply);
    envelope->count++;
    return true;
}

void job_init(struct job *job, struct worker *origin, struct login *login, const char *client)
{
    *job = (struct job){.origin = origin, .login = login};
    slice_copy(slice_of(client), job->client, sizeof(job->client));
    envelope_init(&job->envelope);
    body_init(&job->body, origin);
    smtp_reply_init(&job->reply);
    smtp_reply_init(&job->provider);
    job->worker = origin->relay->workers[login->owner % origin->relay->worker_count];
}

void job_clear(struct job *job)
{
    assert(!job->with_owner && !job->tx);
    envelope_clear(&job->envelope);
    body_clear(&job->body);
    smtp_reply_clear(&job->reply);
    smtp_reply_clear(&job->provider);
}

/* On the origin's thread. */
static void give_back(struct job *job)
{
    if (!job->returned || (atomic_load(&job->cancelled) && !job->cancel_acked))
        return;
    job->with_owner = false;
    job->origin->jobs_out--;
    job->done(job);
}

static void deliver_done(struct mail *mail)
{
    struct job *job = container_of(mail, struct job, mail);

    job->returned = true;
    give_back(job);
}

void job_return(struct job *job)
{
    assert(job->at_owner);
    job->at_owner = false;
    /* On one worker it is a call, but never one from inside job_submit. */
    if (job->worker == job->origin && !job->submitting)
        deliver_done(&job->mail);
    else
        mailbox_post(&job->origin->mailbox, &job->mail, deliver_done);
}

static void deliver_submit(struct mail *mail)
{
    struct job *job = container_of(mail, struct job, mail);

    job->at_owner = true;
    upstream_submit(job);
}

void job_submit(struct job *job, enum job_want want)
{
    assert(!job->with_owner);
    job->want = want;
    job->with_owner = true;
    job->origin->jobs_out++;
    job->returned = false;
    job->outcome = OUTCOME_NONE;
    job->time.submitted = clock_us();
    if (job->worker == job->origin) {
        job->submitting = true;
        deliver_submit(&job->mail);
        job->submitting = false;
    } else {
        mailbox_post(&job->worker->mailbox, &job->mail, deliver_submit);
    }
}

static void deliver_cancel_ack(struct mail *mail)
{
    struct job *job = container_of(mail, struct job, cancel_mail);

    job->cancel_acked = true;
    give_back(job);
}

static void deliver_cancel(struct mail *mail)
{
    struct job *job = container_of(mail, struct job, cancel_mail);

    if (job->at_owner)
        upstream_cancel(job);
    mailbox_post(&job->origin->mailbox, &job->cancel_mail, deliver_cancel_ack);
}

void job_cancel(struct job *job)
{
    if (!job->with_owner || atomic_exchange(&job->cancelled, true))
        return;
    job->cancel_acked = false;
    mailbox_post(&job->worker->mailbox, &job->cancel_mail, deliver_cancel);
}

static uint64_t *outcome_counter(struct stats *stats, enum job_outcome outcome)
{
    switch (outcome) {
    case OUTCOME_DELIVERED:
        return &stats->messages_delivered_total;
    case OUTCOME_REJECTED:
        return &stats->messages_rejected_total;
    case OUTCOME_UNKNOWN:
        return &stats->messages_unknown_total;
    case OUTCOME_CANCELLED:
        return &stats->client_gone_total;
    case OUTCOME_DRY_RUN:
        return &stats->messages_dry_run_total;
    default:
        return &stats->messages_deferred_total;
    }
}

/* Live mode's waiting is the client's RCPT, not the message's. */
static void observe_times(const struct job *job)
{
    struct stats *stats = job->origin->stats;

    if (job->want == JOB_DELIVER && job->time.submitted && job->outcome != OUTCOME_CANCELLED)
        stats_observe(&stats->message_wait_seconds, job->time.wait / 1000);
    if (job->outcome == OUTCOME_DELIVERED)
        stats_observe(&stats->message_delivery_seconds, (clock_us() - job->time.submitted) / 1000);
}

static const char *reply_text(const struct smtp_reply *reply, char *out, size_t cap)
{
    struct text text;
    char line[512];

    if (!reply || !reply->code)
        return NULL;
    smtp_reply_oneline(reply, line, sizeof(line));
    text_init(&text, out, cap);
    text_addf(&text, "%d", reply->code);
    if (reply->enhanced.class_)
        text_addf(&text, " %u.%u.%u", reply->enhanced.class_, reply->enhanced.subject,
                  reply->enhanced.detail);
    if (line[0])
        text_addf(&text, " %s", line);
    return out;
}

void job_log(const struct job *job, const struct smtp_reply *client)
{
    char reply[600], told[600];

    stats_add(outcome_counter(job->origin->stats, job->outcome), 1);
    observe_times(job);
    log_event(job->outcome == OUTCOME_UNKNOWN ? LOG_WARN : LOG_INFO, "transaction",
              log_s("account", job->login->id), log_s("sender", job->envelope.sender),
              log_u("rcpts", job->envelope.count), log_u("size", job->body.size),
              log_s("client", job->client), log_u("wait_ms", job->time.wait / 1000),
              log_u("envelope_ms", job->time.envelope / 1000),
              log_u("body_ms", job->time.body / 1000), log_u("final_ms", job->time.final / 1000),
              log_u("attempts", job->attempts), log_u("conn", job->conn),
              log_u("conn_use", job->conn_use), log_b("bdat", job->bdat),
              log_s("reply", reply_text(&job->provider, reply, sizeof(reply))),
              log_s("client_reply", reply_text(client, told, sizeof(told))),
              log_s("outcome", job_outcome_names[job->outcome]));
}
