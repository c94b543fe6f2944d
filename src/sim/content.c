/* DATA and BDAT: content up to its end, where verdict.c takes over. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "sim/session.h"

void transaction_init(struct transaction *tx)
{
    *tx = (struct transaction){.fd = -1};
}

static void drop_file(struct session *session)
{
    char path[512];

    if (session->tx.fd < 0)
        return;
    close(session->tx.fd);
    session->tx.fd = -1;
    snprintf(path, sizeof(path), "%s/.%llu", session->sim->options.mail_dir,
             (unsigned long long)session->number);
    unlink(path);
}

void transaction_close(struct session *session)
{
    if (session->tx.open && session->user)
        session->user->stats.open--;
    session->tx.open = false;
}

/* The one place that ends a transaction; buffers stay for the next one. */
void transaction_reset(struct session *session)
{
    struct transaction *tx = &session->tx;
    struct transaction fresh = {.fd = -1,
                                .envelope = tx->envelope,
                                .envelope_cap = tx->envelope_cap,
                                .digest = tx->digest,
                                .kept = tx->kept,
                                .kept_cap = tx->kept_cap};

    if (tx->open) {
        transaction_close(session);
        session_tx_ends(session);
    }
    drop_file(session);
    *tx = fresh;
}

void transaction_clear(struct transaction *tx)
{
    free(tx->envelope);
    free(tx->kept);
    EVP_MD_CTX_free(tx->digest);
    if (tx->fd >= 0)
        close(tx->fd);
    transaction_init(tx);
}

bool transaction_add_address(struct transaction *tx, struct slice address)
{
    size_t need = tx->envelope_len + address.len + 1;

    if (need > tx->envelope_cap) {
        size_t cap = need < 256 ? 256 : need * 2;
        char *grown = realloc(tx->envelope, cap);

        if (!grown)
            return false;
        tx->envelope = grown;
        tx->envelope_cap = cap;
    }
    if (address.len)
        memcpy(tx->envelope + tx->envelope_len, address.ptr, address.len);
    tx->envelope[need - 1] = '\0';
    tx->envelope_len = need;
    return true;
}

static void open_file(struct session *session)
{
    char path[512];

    snprintf(path, sizeof(path), "%s/.%llu", session->sim->options.mail_dir,
             (unsigned long long)session->number);
    session->tx.fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
}

static void begin_content(struct session *session)
{
    struct transaction *tx = &session->tx;
    const struct options *options = &session->sim->options;

    if (options->digest && !tx->digest)
        tx->digest = EVP_MD_CTX_new();
    if (options->digest && tx->digest)
        EVP_DigestInit_ex2(tx->digest, session->sim->sha256, NULL);
    if (options->mail_dir)
        open_file(session);
    dot_decoder_init(&tx->dots, false);
    crlf_check_init(&tx->crlf, false);
}

void content_begin_data(struct session *session)
{
    begin_content(session);
    session->state = SESSION_DATA;
    session_reply(session, REPLY_DATA_GO);
}

static void end_chunk(struct session *session);

void content_begin_chunk(struct session *session, uint64_t size, bool last, enum chunk_mode mode)
{
    struct transaction *tx = &session->tx;

    if (mode == CHUNK_TAKE && !tx->chunked) {
        begin_content(session);
        tx->chunked = true;
    }
    tx->chunk_size = tx->chunk_left = size;
    tx->last = last;
    tx->mode = mode;
    session->state = SESSION_BDAT;
    if (!size)
        end_chunk(session);
}

/* Microsoft's final reply has the Message-ID. A header that is split between
 * two reads is not worth the trouble: an invented one serves. */
static void find_message_id(struct transaction *tx, struct slice content)
{
    const char *end = content.ptr + content.len, *line = content.ptr;

    tx->header_seen = true;
    while (line < end && *line != '\r') {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        struct slice text = {line, (size_t)((stop ? stop : end) - line)};

        if (slice_starts_nocase(text, SLICE("Message-ID:"))) {
            text = slice_trim((struct slice){line + 11, text.len - 11 - (stop != NULL)});
            slice_copy(text, tx->message_id, sizeof(tx->message_id));
            return;
        }
        line += text.len + 1;
    }
}

static void keep(struct session *session, struct slice content)
{
    struct transaction *tx = &session->tx;
    size_t most = session->sim->options.keep_content;
    size_t len = content.len < most - tx->kept_len ? content.len : most - tx->kept_len;

    if (tx->kept_len + len > tx->kept_cap) {
        size_t cap = (tx->kept_len + len) * 2;
        char *grown = realloc(tx->kept, cap);

        if (!grown)
            return;
        tx->kept = grown;
        tx->kept_cap = cap;
    }
    if (len)
        memcpy(tx->kept + tx->kept_len, content.ptr, len);
    tx->kept_len += len;
}

static void write_file(struct transaction *tx, struct slice content)
{
    while (content.len) {
        ssize_t n = write(tx->fd, content.ptr, content.len);

        if (n <= 0)
            return;
        content.ptr += n;
        content.len -= (size_t)n;
    }
}

static bool body_fault(struct session *session)
{
    struct transaction *tx = &session->tx;
    const char *reply;

    if (tx->body_fault_done ||
        tx->size < (uint64_t)knob_number(session_scope(session), KNOB_BODY_AFTER, 1))
        return false;
    tx->body_fault_done = true;
    if (fault_acts(session, PHASE_BODY)) {
        if (session->mute)
            session_stop_reading(session);
        return true;
    }
    reply = fault_reply(session, PHASE_BODY);
    if (reply) {
        session_reply_text(session, reply);
        tx->answered = true;
    }
    return false;
}

/* Content octets as they will be delivered. */
static void add_content(struct session *session, struct slice content)
{
    struct transaction *tx = &session->tx;
    uint64_t limit = (uint64_t)knob_number(session_scope(session), KNOB_SIZE_LIMIT,
                                           (int64_t)session->profile->size_limit);

    tx->size += content.len;
    tx->too_big = tx->size > limit;
    if (tx->too_big || body_fault(session) || !content.len)
        return;
    if (!tx->header_seen)
        find_message_id(tx, content);
    if (session->sim->options.digest && tx->digest)
        EVP_DigestUpdate(tx->digest, content.ptr, content.len);
    if (session->sim->options.keep_content)
        keep(session, content);
    if (tx->fd >= 0)
        write_file(tx, content);
}

static void end_chunk(struct session *session)
{
    struct transaction *tx = &session->tx;
    char none[4];

    session->state = SESSION_COMMAND;
    if (tx->mode == CHUNK_TAKE && tx->last) {
        crlf_check_end(&tx->crlf, none);
        tx->bare = tx->crlf.bare;
        verdict_give(session);
    } else if (tx->mode == CHUNK_TAKE) {
        session_reply(session, REPLY_CHUNK_OK);
    } else {
        tx->failed = tx->open;
        if (tx->mode == CHUNK_REFUSE)
            session_reply_text(session, tx->refusal);
    }
}

static size_t take_chunk(struct session *session, struct slice bytes)
{
    struct transaction *tx = &session->tx;
    size_t len = bytes.len < tx->chunk_left ? bytes.len : (size_t)tx->chunk_left;

    tx->chunk_left -= len;
    if (tx->mode == CHUNK_TAKE) {
        crlf_check_feed(&tx->crlf, (struct slice){bytes.ptr, len}, session->sim->scratch);
        add_content(session, (struct slice){bytes.ptr, len});
    }
    if (!tx->chunk_left && !session->ended && !session->mute)
        end_chunk(session);
    return len;
}

static size_t take_data(struct session *session, struct slice bytes)
{
    struct transaction *tx = &session->tx;
    char *out = session->sim->scratch;
    size_t used, len = dot_decode(&tx->dots, bytes, &used, out);

    add_content(session, (struct slice){out, len});
    if (tx->dots.state == DOT_END && !session->ended && !session->mute) {
        session->state = SESSION_COMMAND;
        tx->bare = tx->dots.bare;
        verdict_give(session);
    }
    return used;
}

size_t content_take(struct session *session, struct slice bytes)
{
    return session->state == SESSION_DATA ? take_data(session, bytes) : take_chunk(session, bytes);
}
