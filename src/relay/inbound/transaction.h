/* One inbound mail transaction: envelope, content, job. It begins with MAIL
 * and ends in transaction_reset, whatever ends it. While its job is with the
 * account's owner it may outlive the session: an orphan, which waits for the
 * job and logs what became of it.
 *
 * In live mode (job.h) the provider answers each RCPT; the job then holds a
 * connection of the account, which a reset gives back with JOB_ABORT. */
#pragma once

#include "relay/inbound/content.h"
#include "relay/inbound/session_private.h"
#include "relay/job.h"

struct transaction {
    struct session *session; /* NULL: an orphan */
    struct login *login;     /* our reference; the job borrows it */
    struct job job;
    struct content content;
    size_t accepted, refused; /* recipients */
    bool live;                /* RCPTs are answered by the provider */
    bool live_open;           /* the job holds a connection between two submits */
    bool live_lost;           /* it ended behind an RCPT; job.reply says why */
    bool logged;
    unsigned chunks;
    uint64_t chunk_left;
    bool chunk_last;
};

/* False: memory is out. */
bool transaction_begin(struct session *session, const struct smtp_mail *mail);

/* The one reset: after every final answer to content, BDAT error, RSET, EHLO,
 * STARTTLS, failed AUTH, and the session's end. Without a transaction it does
 * nothing. A session that goes on is back at command lines. */
void transaction_reset(struct session *session);

/* Answers RCPT, at once or when the provider has. */
void transaction_rcpt(struct session *session, const struct smtp_rcpt *rcpt);

/* False: no content may come, and why. */
bool transaction_may_send(const struct session *session, enum answer *why);
/* Refuses DATA: a missing RCPT is the client's error and may still come, the
 * rest ends the transaction. */
void transaction_refuse(struct session *session, enum answer why);

/* Content may be taken in now; waits for message memory first. The state is
 * DATA (354 is said) or BDAT. */
void transaction_take(struct session *session);
void transaction_memory_ready(struct session *session);
void transaction_memory_timeout(struct session *session);

size_t transaction_take_data(struct session *session, struct slice bytes);
/* in cmd_bdat.c */
size_t transaction_take_chunk(struct session *session, struct slice bytes);
void transaction_refuse_chunk(struct session *session, enum answer why, uint64_t octets);

/* The content is there: judges it, submits the job or answers. */
void transaction_complete(struct session *session);

/* How long the client may be silent now, ms. */
uint64_t transaction_patience(const struct transaction *transaction, const struct conf *conf);
bool transaction_is_slow(const struct transaction *transaction, const struct conf *conf);
