/* The end of data: is the message accepted, and is the client told? */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "sim/session.h"

static bool over_concurrency(struct session *session)
{
    uint64_t transactions = (uint64_t)knob_number(session_scope(session), KNOB_CONCURRENT_MAX, 0);
    uint64_t connections =
        session_limit(session, KNOB_CONNECTIONS_MAX, session->profile->connections_max);
    const struct stats *stats = &session->user->stats;

    return (transactions && stats->submitting > transactions) ||
           (connections && stats->connections > connections);
}

static bool over_quota(struct session *session)
{
    uint64_t limit = session_limit(session, KNOB_DAILY_QUOTA, session->profile->daily_quota);

    return limit && session->user->stats.accepted >= limit;
}

static bool sends_as_another(struct session *session)
{
    return knob_on(session_scope(session), KNOB_SEND_AS) &&
           !slice_equal_nocase(slice_of(session->tx.envelope), slice_of(session->user->email));
}

/* The refusal's text, or NULL: the message is taken. */
static const char *refusal(struct session *session)
{
    const char *const *replies = session->profile->replies;
    const char *forced = fault_reply(session, PHASE_FINAL);

    if (forced)
        return forced;
    if (session->no_mailbox)
        return replies[REPLY_NO_MAILBOX];
    if (session->tx.too_big)
        return replies[REPLY_TOO_BIG];
    if (session->tx.bare && knob_on(session_scope(session), KNOB_REJECT_BARE))
        return replies[REPLY_BARE];
    if (over_concurrency(session))
        return replies[REPLY_CONCURRENCY];
    if (over_quota(session))
        return replies[REPLY_QUOTA];
    if (sends_as_another(session))
        return replies[REPLY_SEND_AS];
    return NULL;
}

static void name_file(struct session *session, uint64_t seq)
{
    const char *dir = session->sim->options.mail_dir;
    char from[512], to[512];

    if (session->tx.fd < 0)
        return;
    close(session->tx.fd);
    session->tx.fd = -1;
    snprintf(from, sizeof(from), "%s/.%llu", dir, (unsigned long long)session->number);
    snprintf(to, sizeof(to), "%s/%llu.eml", dir, (unsigned long long)seq);
    rename(from, to);
}

static void fill_message(struct session *session, struct message *message)
{
    struct transaction *tx = &session->tx;

    message->user = session->user->email;
    slice_copy(slice_of(session->peer), message->peer, sizeof(message->peer));
    message->rcpts = tx->rcpts;
    message->size = tx->size;
    message->chunked = tx->chunked;
    message->bare = tx->bare;
    message->utf8 = tx->utf8;
    message->connection = session->number;
    message->number = session->messages + 1;
    message->at_ms = clock_wall_ms();
    message->digested = session->sim->options.digest && tx->digest &&
                        EVP_DigestFinal_ex(tx->digest, message->digest, NULL) == 1;
    if (!session->sim->options.keep_content)
        return;
    message->content = tx->kept ? tx->kept : calloc(1, 1);
    message->content_len = tx->kept_len;
    tx->kept = NULL;
    tx->kept_cap = 0;
}

static struct message *store(struct session *session)
{
    struct sim *sim = session->sim;
    struct stats *stats = &session->user->stats;
    struct message *message =
        recorder_add(&sim->recorder, session->tx.envelope, session->tx.envelope_len);
    struct peer *peer = stats_peer(stats, session->peer);

    if (message)
        fill_message(session, message);
    name_file(session, recorder_last(&sim->recorder));
    if (peer)
        peer->messages++;
    stats->accepted++;
    sim->totals.accepted++;
    window_add(&stats->messages, loop_now(&sim->loop));
    return message;
}

/* Behind a stored message: the usual reply or what the knobs want. */
static uint64_t acknowledge(struct session *session, struct message *message)
{
    uint64_t seq = recorder_last(&session->sim->recorder);
    const char *reply = session->profile->replies[REPLY_FINAL_OK], *forced;

    if (fault_acts(session, PHASE_STORED)) {
        *session->text = '\0';
        return 0;
    }
    forced = fault_reply(session, PHASE_STORED);
    if (forced)
        reply = forced;
    if (message)
        message->reply = (int)strtol(*session->text ? session->text : reply, NULL, 10);
    session_reply_text(session, reply);
    return seq;
}

static void maybe_goodbye(struct session *session)
{
    struct knob_scope scope = session_scope(session);
    uint64_t after = (uint64_t)knob_number(scope, KNOB_GOODBYE_AFTER, 0);
    uint64_t pause = (uint64_t)knob_number(scope, KNOB_GOODBYE_MS, 0);

    if (!after || session->messages < after)
        return;
    if (pause)
        loop_timer_set(&session->sim->loop, &session->goodbye,
                       pause + (uint64_t)knob_number(scope, KNOB_LATENCY_MS, 0));
    else
        session_reply(session, REPLY_GOODBYE);
}

/* From here on it is the final reply that ends the transaction. */
static void close_transaction(struct session *session, uint64_t told)
{
    outbox_mark_final(session, told);
    transaction_close(session);
    transaction_reset(session);
}

static void accept_message(struct session *session)
{
    uint64_t told = acknowledge(session, store(session));

    close_transaction(session, told);
    session->messages++;
    maybe_goodbye(session);
}

void verdict_give(struct session *session)
{
    const char *no;

    session->extra_us +=
        (uint64_t)knob_number(session_scope(session), KNOB_FINAL_DELAY_MS, 0) * 1000;
    if (session->tx.answered || fault_acts(session, PHASE_FINAL)) {
        close_transaction(session, 0);
        return;
    }
    no = refusal(session);
    if (!no) {
        accept_message(session);
        return;
    }
    session_reply_text(session, no);
    close_transaction(session, 0);
}
