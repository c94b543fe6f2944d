/* One job on one connection: flight plan, replies in order, commit point. */
#pragma once

#include "relay/job.h"
#include "relay/upstream/account.h"
#include "smtp/dot.h"

struct client;

enum tx_state {
    TX_WAITING,  /* in the account's line */
    TX_ENVELOPE, /* MAIL and RCPT are out */
    TX_LIVE,     /* live mode, with the origin: the connection is held */
    TX_DATA,     /* DATA is out, 354 is awaited */
    TX_CONTENT,  /* content is being sent, or its reply is awaited */
    TX_LOST      /* live mode: the connection is gone, the origin is told next */
};

struct upstream_tx {
    struct job *job;
    struct account *account;
    struct client *client;     /* NULL while waiting or lost */
    struct line_item turn;     /* account->waiting */
    struct list_node run_node; /* account->running */
    struct timer wait_timer;
    enum tx_state state;
    bool live;
    bool needs_fresh; /* a pooled connection failed it: dial a new one */
    bool bdat;        /* content goes by BDAT */
    /* Replies come in the order of the commands: MAIL, RCPTs, DATA or BDAT. */
    bool mail_done, mail_ok;
    size_t rcpts_sent, rcpts_done;
    bool data_sent; /* the DATA command, whose 354 is awaited */
    bool lone_dot;  /* 354 came although nobody was accepted */
    /* Content. */
    struct body_reader reader;
    struct dot_encoder dots;
    bool content_begun, content_queued;
    /* The first refusal is the verdict. */
    struct smtp_reply refusal;
    enum phase refusal_phase;
    bool refusals_differ;
    /* For capacity.c. */
    uint64_t began_ms, recipients; /* of this attempt */
    bool taken;                    /* the provider may have it */
    struct group_share *share;     /* what it began with; NULL: none */
    uint64_t started_us, envelope_us, content_us, committed_us;
};

/* Allocates the owner's side of a job. NULL: memory is out. */
struct upstream_tx *tx_new(struct account *account, struct job *job);

/* The connection is the transaction's: sends the first flight. */
void tx_start(struct upstream_tx *tx, struct client *client);
/* Live mode, resubmitted by the origin: JOB_RCPT, JOB_CONTENT or JOB_ABORT. */
void tx_continue(struct upstream_tx *tx);

/* From client.c while the connection is busy. */
void tx_reply(struct upstream_tx *tx, struct smtp_reply *reply);
void tx_drained(struct upstream_tx *tx);
/* The connection ended: EOF, reset, time-out. It is closed by the caller. */
void tx_connection_lost(struct upstream_tx *tx, const char *why, bool timeout);

/* The client went away: ends it unless the content is committed. */
void tx_cancel(struct upstream_tx *tx);

/* Ends a waiting or running transaction with this reply for the client. */
void tx_finish(struct upstream_tx *tx, enum job_outcome outcome, struct smtp_reply *client_reply);
void tx_finish_text(struct upstream_tx *tx, enum job_outcome outcome, int code,
                    struct smtp_enhanced enhanced, const char *text);
void tx_fail_waiting(struct upstream_tx *tx, const struct smtp_reply *reply);
