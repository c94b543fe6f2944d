#include "relay/inbound/content.h"

#include <assert.h>

#define PIECE 8192     /* decoded at once, through the stack */
#define GRACE_MS 30000 /* a slow start is forgiven; never longer than silence is */

void content_init(struct content *content, struct body *body, const struct conf *conf)
{
    bool normalize = conf->bare_newlines == CONF_NEWLINES_NORMALIZE;

    *content = (struct content){
        .body = body,
        .max_size = conf->max_message_size,
        .max_line = conf->max_line_length,
    };
    dot_decoder_init(&content->dots, normalize);
    crlf_check_init(&content->crlf, normalize);
}

void content_begin(struct content *content, uint64_t now)
{
    content->begun = true;
    content->since = now;
}

/* max_line counts without CRLF, but the CR of a line that goes on may be data. */
static void check_lines(struct content *content, const char *bytes, size_t len)
{
    while (len) {
        const char *lf = memchr(bytes, '\n', len);
        size_t run = lf ? (size_t)(lf - bytes) : len;

        content->line += run;
        if (content->line > (uint64_t)content->max_line + 1)
            content->too_long = true;
        if (!lf)
            return;
        content->line = 0;
        bytes = lf + 1;
        len -= run + 1;
    }
}

static bool has_fault(const struct content *content)
{
    return content->bare || content->too_long || content->failed || content_is_too_big(content);
}

static void store(struct content *content, const char *bytes, size_t len)
{
    content->size += len;
    check_lines(content, bytes, len);
    if (content->dropped)
        return;
    if (len && !has_fault(content))
        content->failed = !body_add(content->body, bytes, len);
    if (has_fault(content)) {
        body_clear(content->body); /* nobody will want it */
        content->dropped = true;
    }
}

static size_t add_piece(struct content *content, struct slice piece)
{
    char out[DOT_DECODE_MAX(PIECE)];
    size_t used, len = dot_decode(&content->dots, piece, &used, out);

    content->received += used;
    content->bare = content->bare || (content->dots.bare && !content->dots.normalize);
    store(content, out, len);
    return used;
}

static struct slice take_piece(struct slice bytes, size_t used)
{
    size_t len = bytes.len - used < PIECE ? bytes.len - used : PIECE;

    return (struct slice){bytes.ptr + used, len};
}

size_t content_add_dots(struct content *content, struct slice bytes, bool *end)
{
    size_t used = 0;

    while (used < bytes.len && content->dots.state != DOT_END)
        used += add_piece(content, take_piece(bytes, used));
    *end = content->dots.state == DOT_END;
    return used;
}

void content_add_chunk(struct content *content, struct slice bytes)
{
    char out[DOT_DECODE_MAX(PIECE)];
    size_t used = 0;

    while (used < bytes.len) {
        struct slice piece = take_piece(bytes, used);
        size_t len = crlf_check_feed(&content->crlf, piece, out);

        content->bare = content->bare || (content->crlf.bare && !content->crlf.normalize);
        store(content, out, len);
        used += piece.len;
    }
    content->received += bytes.len;
}

void content_end_chunks(struct content *content)
{
    char out[2];
    size_t len = crlf_check_end(&content->crlf, out);

    content->bare = content->bare || (content->crlf.bare && !content->crlf.normalize);
    store(content, out, len);
}

bool content_is_good(const struct content *content, enum answer *why)
{
    if (content_is_too_big(content))
        *why = ANSWER_TOO_BIG;
    else if (content->bare)
        *why = ANSWER_BARE_CONTENT;
    else if (content->too_long)
        *why = ANSWER_LONG_CONTENT;
    else if (content->failed)
        *why = ANSWER_NO_STORAGE;
    else
        return true;
    return false;
}

uint64_t content_patience(const struct content *content, const struct conf *conf, uint64_t now)
{
    uint64_t grace = conf->data_timeout_ms < GRACE_MS ? conf->data_timeout_ms : GRACE_MS;
    uint64_t until;

    if (!conf->min_data_rate || !content->begun)
        return UINT64_MAX;
    until = content->since + grace + content->received * 1000 / conf->min_data_rate;
    return until > now ? until - now : 0;
}
