/* A job: the only seam between inbound and upstream.
 *
 * The session's worker (origin) fills the envelope and hands the job to the
 * account's owner with job_submit; the owner hands it back through job->done.
 * Between the two exactly one side may touch it. One job is one transaction.
 *
 *     usual:  submit(JOB_DELIVER) ............................ done
 *     live:   submit(JOB_RCPT) done, submit(JOB_RCPT) done, ...
 *             submit(JOB_CONTENT) done  or  submit(JOB_ABORT) done
 *
 * In live mode the provider itself answers each RCPT, and its connection stays
 * with the job in between.
 */
#pragma once

#include <stdatomic.h>

#include "net/mailbox.h"
#include "relay/body.h"
#include "relay/directory.h"
#include "smtp/command.h"
#include "smtp/reply.h"

struct recipient {
    char *address;           /* without angle brackets */
    struct smtp_reply reply; /* live mode, or a mixed verdict: for the client */
    bool accepted;
};

struct envelope {
    char *sender; /* "" is the null sender */
    enum smtp_body body;
    bool utf8; /* SMTPUTF8 was asked for */
    struct recipient *rcpts;
    size_t count, cap;
};

void envelope_init(struct envelope *envelope);
void envelope_clear(struct envelope *envelope);
bool envelope_set_sender(struct envelope *envelope, const struct smtp_mail *mail);
bool envelope_add_rcpt(struct envelope *envelope, const struct smtp_rcpt *rcpt);

enum job_want { JOB_DELIVER, JOB_RCPT, JOB_CONTENT, JOB_ABORT };

enum job_outcome {
    OUTCOME_NONE, /* live mode, not ended yet */
    OUTCOME_DELIVERED,
    OUTCOME_REJECTED,  /* 5xx */
    OUTCOME_DEFERRED,  /* 4xx, nothing was delivered */
    OUTCOME_UNKNOWN,   /* sent, no reply: the provider may have it */
    OUTCOME_CANCELLED, /* the client went away before the commit point */
    OUTCOME_DRY_RUN,
    OUTCOMES
};

extern const char *const job_outcome_names[OUTCOMES];

struct upstream_tx; /* upstream: the transaction that carries the job */

struct job {
    /* Filled by the origin before the first submit. */
    struct worker *origin;
    struct login *login; /* the origin's reference */
    char client[64];     /* client host, for live mode and fairness */
    struct envelope envelope;
    struct body body;
    void (*done)(struct job *job); /* on the origin's thread */
    void *owner;                   /* the session's transaction */
    /* Filled by the origin before each submit. */
    enum job_want want;
    atomic_bool cancelled; /* set by job_cancel */
    /* The owner's, valid when done is called. */
    enum job_outcome outcome;
    struct smtp_reply reply;    /* for the client, by the verdict table */
    struct smtp_reply provider; /* the reply that decided, as the provider gave it */
    bool mixed;                 /* recipients differ: RCPT must be live for a while */
    unsigned attempts;
    uint64_t conn; /* upstream connection's serial, 0: none */
    unsigned conn_use;
    bool bdat;
    struct { /* microseconds; see the log line's fields */
        uint64_t submitted, wait, envelope, body, final;
    } time;
    /* The owner's own. */
    struct worker *worker;
    struct upstream_tx *tx;
    struct mail mail, cancel_mail;
    bool submitting; /* inside job_submit on the owner's own thread */
    bool at_owner;   /* the owner's thread holds it */
    /* A cancel's message may still be under way when the job comes back: the
     * job is only given to its session when both have arrived. */
    bool returned, cancel_acked;
    bool with_owner; /* origin's note: submitted, not done yet */
};

void job_init(struct job *job, struct worker *origin, struct login *login, const char *client);
void job_clear(struct job *job); /* not while it is with the owner */

/* Hands the job to the owner; done follows on the origin's thread, never from
 * inside this call. */
void job_submit(struct job *job, enum job_want want);

/* The client is gone: drop the job if its content is not committed yet. done
 * still follows, with OUTCOME_CANCELLED or whatever became of it. */
void job_cancel(struct job *job);

/* For upstream: gives the job back to its origin. */
void job_return(struct job *job);

/* The transaction's log line and counters; `client` is what the client got,
 * NULL when it was gone. */
void job_log(const struct job *job, const struct smtp_reply *client);
