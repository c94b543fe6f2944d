/* BDAT (RFC 3030). Its octets follow the command whatever the answer, so a
 * refused chunk is read and dropped, never taken for commands. */
#include "relay/inbound/commands.h"
#include "relay/inbound/transaction.h"

/* Octets of a refused chunk that are read for the sake of a clean answer; a
 * client that is logged in may be refused a whole message. */
#define DISCARD_MAX (1u << 20)
/* Each chunk costs a command and an answer: many small ones are an attack. */
#define CHUNKS_MAX 1024
#define CHUNKS_FREE 16
#define CHUNK_MEAN 1024

static uint64_t discard_limit(const struct session *session, enum answer why)
{
    uint64_t message = session_conf(session)->max_message_size;

    return session->login && why != ANSWER_TOO_BIG && message > DISCARD_MAX ? message : DISCARD_MAX;
}

static void count_refusal(struct session *session, enum answer why)
{
    const struct answer_row *row = &answers[why];

    if (row->code >= 500 && row->code != 552 && why != ANSWER_NO_RCPTS && !session->mail_refused)
        session_refuse(session, why);
    else
        session_say(session, why);
}

void transaction_refuse_chunk(struct session *session, enum answer why, uint64_t octets)
{
    transaction_reset(session);
    if (!octets) {
        count_refusal(session, why);
    } else if (octets > discard_limit(session, why)) {
        session_end_saying(session, why, END_ABUSE);
    } else {
        session->discard_left = octets;
        session->discard_answer = why;
        session->timeout_stale = true;
        session_move(session, SESSION_DISCARD);
    }
}

static bool chunks_are_tiny(const struct transaction *transaction, uint64_t size)
{
    uint64_t octets = transaction->content.received + size;

    return transaction->chunks > CHUNKS_MAX ||
           (transaction->chunks > CHUNKS_FREE && octets / transaction->chunks < CHUNK_MEAN);
}

static bool chunk_is_allowed(struct session *session, uint64_t size, bool last, enum answer *why)
{
    struct transaction *transaction = session->transaction;
    const struct content *content;

    if (!transaction) {
        *why = command_refusal(session);
        return false;
    }
    if (!transaction_may_send(session, why))
        return false;
    content = &transaction->content;
    transaction->chunks++;
    if (size > content->max_size || content->received > content->max_size - size)
        *why = ANSWER_TOO_BIG;
    else if (!(last && !size) && chunks_are_tiny(transaction, size))
        *why = ANSWER_TINY_CHUNKS;
    else
        return true;
    return false;
}

/* A chunk is there. */
static void chunk_done(struct session *session)
{
    struct transaction *transaction = session->transaction;
    char text[64];
    struct text line;

    if (transaction->chunk_last) {
        content_end_chunks(&transaction->content);
        transaction_complete(session);
        return;
    }
    text_init(&line, text, sizeof(text));
    text_addf(&line, "%llu octets so far", (unsigned long long)transaction->content.received);
    session_move(session, SESSION_CHUNKS);
    session_reply(session, 250, (struct smtp_enhanced){2, 0, 0}, slice_of(text));
}

size_t transaction_take_chunk(struct session *session, struct slice bytes)
{
    struct transaction *transaction = session->transaction;
    struct slice part = bytes;

    if (part.len > transaction->chunk_left)
        part.len = (size_t)transaction->chunk_left;
    session->timeout_stale = true;
    content_add_chunk(&transaction->content, part);
    transaction->chunk_left -= part.len;
    if (!transaction->chunk_left) {
        chunk_done(session);
    } else if (transaction_is_slow(transaction, session_conf(session))) {
        session_violation(session, "slow_content");
        session_end_saying(session, ANSWER_TOO_SLOW, END_ABUSE);
    }
    return part.len;
}

static void take_chunk(struct session *session, uint64_t size, bool last)
{
    struct transaction *transaction = session->transaction;

    transaction->chunk_left = size;
    transaction->chunk_last = last;
    session_move(session, SESSION_BDAT);
    if (size)
        transaction_take(session);
    else
        chunk_done(session);
}

void cmd_bdat(struct session *session, struct slice rest)
{
    struct reason reason;
    enum answer why;
    uint64_t size;
    bool last;

    if (!smtp_parse_bdat(rest, &size, &last, &reason)) {
        /* How many octets follow is not known: there must be none until the
         * client has heard of it, lest content is taken for commands. */
        session->quiet = true;
        transaction_reset(session);
        session_refuse_text(session, 501, (struct smtp_enhanced){5, 5, 4}, reason.text);
    } else if (chunk_is_allowed(session, size, last, &why)) {
        take_chunk(session, size, last);
    } else {
        transaction_refuse_chunk(session, why, size);
    }
}
