#include "smtp/reply.h"

#include <stdio.h>
#include <stdlib.h>

#define FOLD_AT 480
#define HELD_MIN 256
#define TEXT_MIN 128

void smtp_reply_init(struct smtp_reply *reply)
{
    *reply = (struct smtp_reply){0};
}

void smtp_reply_clear(struct smtp_reply *reply)
{
    free(reply->text);
    smtp_reply_init(reply);
}

void smtp_reply_move(struct smtp_reply *to, struct smtp_reply *from)
{
    if (to == from)
        return;
    smtp_reply_clear(to);
    *to = *from;
    smtp_reply_init(from);
}

bool smtp_reply_copy(struct smtp_reply *to, const struct smtp_reply *from)
{
    struct smtp_reply copy = *from;

    if (to == from)
        return true;
    smtp_reply_clear(to);
    if (from->text)
        copy.text = slice_dup((struct slice){from->text, from->text_len});
    *to = copy;
    if (from->text && !to->text)
        to->text_len = 0;
    return !from->text || to->text;
}

/* What stands for `c` in text that logs and clients see. */
static char printable(char c)
{
    if (c == '\t')
        return ' ';
    return c >= 32 && c < 127 ? c : '?';
}

bool smtp_reply_set(struct smtp_reply *reply, int code, struct smtp_enhanced enhanced,
                    const char *text)
{
    struct smtp_reply fresh = {.code = code, .enhanced = enhanced, .lines = 1};
    struct slice from = slice_of(text);

    if (from.len > REPLY_TEXT_MAX)
        from.len = REPLY_TEXT_MAX;
    if (from.len)
        fresh.text = slice_dup(from);
    if (fresh.text)
        fresh.text_len = from.len;
    for (size_t i = 0; i < fresh.text_len; i++) {
        if (fresh.text[i] == '\n')
            fresh.lines++;
        else
            fresh.text[i] = printable(fresh.text[i]);
    }
    smtp_reply_clear(reply);
    *reply = fresh;
    return fresh.text_len == from.len;
}

void smtp_reply_oneline(const struct smtp_reply *reply, char *out, size_t cap)
{
    slice_copy((struct slice){reply->text, reply->text_len}, out, cap);
    for (; *out; out++) {
        if (*out == '\n')
            *out = ' ';
    }
}

void smtp_reply_parser_init(struct smtp_reply_parser *parser)
{
    *parser = (struct smtp_reply_parser){0};
}

static void drop_held(struct smtp_reply_parser *parser)
{
    free(parser->held);
    parser->held = NULL;
    parser->held_len = parser->held_cap = 0;
}

void smtp_reply_parser_clear(struct smtp_reply_parser *parser)
{
    drop_held(parser);
    smtp_reply_clear(&parser->reply);
    parser->text_cap = 0;
}

bool smtp_reply_parser_idle(const struct smtp_reply_parser *parser)
{
    return !parser->held_len && !parser->reply.lines;
}

/* Makes room for `need` octets in *memory, doubling up to `max`. */
static bool reserve(char **memory, size_t *cap, size_t need, size_t least, size_t max)
{
    size_t size = *cap * 2 > least ? *cap * 2 : least;
    char *grown;

    if (need <= *cap)
        return true;
    if (size > max)
        size = max;
    if (size < need)
        size = need;
    grown = realloc(*memory, size);
    if (!grown)
        return false;
    *memory = grown;
    *cap = size;
    return true;
}

/* Appends a line of a reply, cut where the text is full. */
static bool add_text(struct smtp_reply_parser *parser, struct slice line)
{
    struct smtp_reply *reply = &parser->reply;
    size_t room = REPLY_TEXT_MAX - reply->text_len;
    size_t join = reply->lines > 0 && room > 0;

    if (line.len > room - join)
        line.len = room - join;
    if (!line.len && !join)
        return true;
    if (!reserve(&reply->text, &parser->text_cap, reply->text_len + join + line.len + 1, TEXT_MIN,
                 REPLY_TEXT_MAX + 1))
        return false;
    if (join)
        reply->text[reply->text_len++] = '\n';
    for (size_t i = 0; i < line.len; i++)
        reply->text[reply->text_len++] = printable(line.ptr[i]);
    reply->text[reply->text_len] = '\0';
    return true;
}

/* One to three digits at the start of *text. */
static bool take_number(struct slice *text, unsigned short *out)
{
    unsigned short value = 0;
    size_t len = 0;

    for (; len < text->len && text->ptr[len] >= '0' && text->ptr[len] <= '9'; len++) {
        if (len == 3)
            return false;
        value = (unsigned short)(value * 10 + (text->ptr[len] - '0'));
    }
    *out = value;
    text->ptr += len;
    text->len -= len;
    return len > 0;
}

static bool take_char(struct slice *text, char c)
{
    if (!text->len || *text->ptr != c)
        return false;
    text->ptr++;
    text->len--;
    return true;
}

/* "5.7.1 " at the start of *text (RFC 3463 section 2); moves *text behind it.
 * Its class need not be that of the code: some servers mix them up, and the
 * pair is passed on as it came. */
static bool take_enhanced(struct slice *text, struct smtp_enhanced *out)
{
    struct slice at = *text;

    if (text->len < 2 || text->ptr[1] != '.')
        return false;
    if (!take_number(&at, &out->class_) || !take_char(&at, '.') ||
        !take_number(&at, &out->subject) || !take_char(&at, '.') || !take_number(&at, &out->detail))
        return false;
    if (out->class_ != 2 && out->class_ != 4 && out->class_ != 5)
        return false;
    if (at.len && !take_char(&at, ' ') && !take_char(&at, '\t'))
        return false;
    *text = at;
    return true;
}

static bool enhanced_equal(struct smtp_enhanced a, struct smtp_enhanced b)
{
    return a.class_ == b.class_ && a.subject == b.subject && a.detail == b.detail;
}

static void strip_enhanced(struct smtp_reply *reply, struct slice *text)
{
    struct smtp_enhanced found;
    struct slice rest = *text;

    if (!take_enhanced(&rest, &found))
        return;
    if (!reply->enhanced.class_)
        reply->enhanced = found;
    if (enhanced_equal(reply->enhanced, found))
        *text = rest;
}

static int code_of(struct slice line)
{
    int code = 0;

    if (line.len < 3)
        return 0;
    for (size_t i = 0; i < 3; i++) {
        if (line.ptr[i] < '0' || line.ptr[i] > '9')
            return 0;
        code = code * 10 + (line.ptr[i] - '0');
    }
    return code >= 200 && code <= 599 ? code : 0;
}

static int fail(struct reason *why, const char *what)
{
    reason_set(why, "the server's reply is not SMTP: %s", what);
    return -1;
}

/* One line with its LF. 1: it was the reply's last; 0: more follow; -1. */
static int take_line(struct smtp_reply_parser *parser, struct slice line, struct reason *why)
{
    struct smtp_reply *reply = &parser->reply;
    int code;
    bool last;

    line.len--;
    if (line.len && line.ptr[line.len - 1] == '\r')
        line.len--;
    code = code_of(line);
    if (!code)
        return fail(why, "a line does not start with a code of 200 to 599");
    if (reply->lines && code != reply->code)
        return fail(why, "its lines have different codes");
    if (reply->lines == REPLY_LINES_MAX)
        return fail(why, "it has too many lines");
    last = line.len == 3 || line.ptr[3] == ' ';
    if (!last && line.ptr[3] != '-')
        return fail(why, "neither space nor hyphen follows a code");
    line = line.len > 4 ? (struct slice){line.ptr + 4, line.len - 4} : SLICE("");
    reply->code = code;
    strip_enhanced(reply, &line);
    if (!add_text(parser, line))
        return fail(why, "no memory to keep it");
    reply->lines++;
    return last;
}

/* Adds a piece to the held line: everything up to an LF is there, or not yet. */
static int hold(struct smtp_reply_parser *parser, struct slice piece, struct reason *why)
{
    if (parser->held_len + piece.len > REPLY_LINE_MAX)
        return fail(why, "a line is too long");
    if (!reserve(&parser->held, &parser->held_cap, parser->held_len + piece.len, HELD_MIN,
                 REPLY_LINE_MAX))
        return fail(why, "no memory to keep it");
    memcpy(parser->held + parser->held_len, piece.ptr, piece.len);
    parser->held_len += piece.len;
    return 0;
}

static int take_piece(struct smtp_reply_parser *parser, struct slice piece, bool whole,
                      struct reason *why)
{
    int result;

    if (whole && !parser->held_len) {
        if (piece.len > REPLY_LINE_MAX)
            return fail(why, "a line is too long");
        return take_line(parser, piece, why);
    }
    result = hold(parser, piece, why);
    if (result || !whole)
        return result;
    result = take_line(parser, (struct slice){parser->held, parser->held_len}, why);
    drop_held(parser);
    return result;
}

int smtp_reply_parse(struct smtp_reply_parser *parser, struct slice bytes, size_t *used,
                     struct smtp_reply *out, struct reason *why)
{
    int result = 0;

    *used = 0;
    while (result == 0 && *used < bytes.len) {
        struct slice rest = {bytes.ptr + *used, bytes.len - *used};
        const char *lf = memchr(rest.ptr, '\n', rest.len);

        if (lf)
            rest.len = (size_t)(lf - rest.ptr) + 1;
        result = take_piece(parser, rest, lf != NULL, why);
        *used += rest.len;
    }
    if (result == 1) {
        *out = parser->reply;
        smtp_reply_init(&parser->reply);
        parser->text_cap = 0;
    }
    return result;
}

/* The next line's worth of *text, folded at a space where there is one; *more
 * says whether another line follows, which may be empty. */
static struct slice take_fold(struct slice *text, bool *more)
{
    const char *lf = text->len ? memchr(text->ptr, '\n', text->len) : NULL;
    struct slice line = {text->ptr, lf ? (size_t)(lf - text->ptr) : text->len};
    const char *behind = lf ? lf + 1 : NULL;

    if (line.len > FOLD_AT) {
        const char *space = memrchr(line.ptr + 1, ' ', FOLD_AT);

        line.len = space ? (size_t)(space - line.ptr) : FOLD_AT;
        behind = line.ptr + line.len + (space ? 1 : 0);
    }
    *more = behind != NULL;
    if (behind)
        *text = (struct slice){behind, text->len - (size_t)(behind - text->ptr)};
    return line;
}

static size_t write_prefix(int code, struct smtp_enhanced enhanced, char *out, size_t cap)
{
    int len = enhanced.class_ ? snprintf(out, cap, "%03d-%u.%u.%u ", code, enhanced.class_,
                                         enhanced.subject, enhanced.detail)
                              : snprintf(out, cap, "%03d-", code);

    return (size_t)len;
}

size_t smtp_reply_format(int code, struct smtp_enhanced enhanced, struct slice text, char *out,
                         size_t cap)
{
    char prefix[40];
    size_t prefix_len = write_prefix(code, enhanced, prefix, sizeof(prefix));
    size_t len = 0, last = 0;
    bool more = true;

    for (unsigned lines = 0; more && lines < REPLY_LINES_MAX; lines++) {
        struct slice line = take_fold(&text, &more);

        if (prefix_len + line.len + 2 > cap - len)
            break;
        last = len + 3;
        memcpy(out + len, prefix, prefix_len);
        len += prefix_len;
        for (size_t i = 0; i < line.len; i++)
            out[len++] = printable(line.ptr[i]);
        out[len++] = '\r';
        out[len++] = '\n';
    }
    if (len)
        out[last] = ' ';
    return len;
}
