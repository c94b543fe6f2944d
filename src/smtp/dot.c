/* All three filters work alike. A block of 64 octets is copied while vector
 * compares look, beside each octet, at the one before it: that is enough to know
 * that nothing in the block needs a decision, which is so for nearly every block
 * of a mail. The look may cry wolf (a dot behind a bare LF), never miss. Where it
 * objects, and at the ends of the input, some octets go through a state machine.
 * Both ways agree at every split; the tests feed them so. */
#include "smtp/dot.h"

#define BLOCK 64
#define STRIDE 8 /* octets decided one by one before the next look at a block */

typedef unsigned char octets __attribute__((vector_size(16)));

static inline octets load(const char *from)
{
    octets loaded;

    memcpy(&loaded, from, sizeof(loaded));
    return loaded;
}

/* Copies 16 octets; a lane of the result is not zero where one needs a
 * decision: with `ends`, an LF without a CR before it, anything else behind a
 * CR, or a NUL; with `dots`, a dot behind an LF. */
static inline octets copy_vector(const char *in, char *out, bool ends, bool dots)
{
    octets now = load(in), before = load(in - 1), act = {0};

    memcpy(out, &now, sizeof(now));
    if (ends)
        act = ((octets)(now == '\n') ^ (octets)(before == '\r')) | (octets)(now == '\0');
    if (dots)
        act |= (octets)(now == '.') & (octets)(before == '\n');
    return act;
}

static inline bool any(octets lanes)
{
    uint64_t halves[2];

    memcpy(halves, &lanes, sizeof(halves));
    return halves[0] | halves[1];
}

/* Where in a block the first octet is that needs a decision. */
static inline size_t find_decision(const char *in, char *out, bool ends, bool dots)
{
    for (size_t at = 0; at < BLOCK; at += sizeof(octets)) {
        octets act = copy_vector(in + at, out + at, ends, dots);

        for (size_t i = 0; any(act) && i < sizeof(act); i++) {
            if (act[i])
                return at + i;
        }
    }
    return BLOCK;
}

/* Copies up to an octet that needs a decision, or as many blocks as there are,
 * and returns how much; in[-1] must be readable. All of the block it stops in is
 * written: the output has room for it as long as that much input is left
 * (DOT_DECODE_MAX). */
static inline size_t copy_plain(const char *in, size_t len, char *out, bool ends, bool dots)
{
    size_t at = 0;

    for (; len - at >= BLOCK; at += BLOCK) {
        octets act = copy_vector(in + at, out + at, ends, dots);

        act |= copy_vector(in + at + 16, out + at + 16, ends, dots);
        act |= copy_vector(in + at + 32, out + at + 32, ends, dots);
        act |= copy_vector(in + at + 48, out + at + 48, ends, dots);
        if (any(act))
            return at + find_decision(in + at, out + at, ends, dots);
    }
    return at;
}

/* How far to go octet by octet before copy_plain may look again; at the input's
 * start one octet, since there is none before it. */
static inline size_t stop_of(size_t at, size_t len)
{
    size_t step = at ? STRIDE : 1;

    return len - at > step ? at + step : len;
}

void dot_decoder_init(struct dot_decoder *decoder, bool normalize)
{
    *decoder = (struct dot_decoder){.state = DOT_LINE_START, .normalize = normalize};
}

/* Where the content stands behind `c`, an octet that broke no rule. */
static inline enum dot_state state_behind(char c)
{
    return c == '\r' ? DOT_CR : c == '\n' ? DOT_LINE_START : DOT_IN_LINE;
}

/* What content octet `c` becomes; `after_cr` is whether a CR went out last. */
static inline char *put_content(char c, bool after_cr, bool normalize, bool *bare, char *out)
{
    if (after_cr && c != '\n') {
        *bare = true;
        if (normalize)
            *out++ = '\n';
    }
    if (c == '\0' || (c == '\n' && !after_cr)) {
        *bare = true;
        if (normalize && c == '\n')
            *out++ = '\r';
        else if (normalize)
            c = ' ';
    }
    *out++ = c;
    return out;
}

/* A dot at a line's start is held back in DOT_DOT, and so is a CR behind it in
 * DOT_DOT_CR: they are content only if no LF makes them the end of data. Only
 * a CRLF starts a line; a bare LF, even when it is mended, never does. */
static inline char *decode_octet(struct dot_decoder *decoder, char c, char *out)
{
    bool after_cr = decoder->state == DOT_CR;

    if (decoder->state == DOT_LINE_START && c == '.') {
        decoder->state = DOT_DOT;
        return out;
    }
    if (decoder->state == DOT_DOT && c == '\r') {
        decoder->state = DOT_DOT_CR;
        return out;
    }
    if (decoder->state == DOT_DOT_CR) {
        if (c == '\n') {
            decoder->state = DOT_END;
            return out;
        }
        *out++ = '\r';
        after_cr = true;
    }
    out = put_content(c, after_cr, decoder->normalize, &decoder->bare, out);
    decoder->state = c == '\n' && !after_cr ? DOT_IN_LINE : state_behind(c);
    return out;
}

size_t dot_decode(struct dot_decoder *decoder, struct slice in, size_t *used, char *out)
{
    char *to = out;
    size_t at = 0;

    while (at < in.len && decoder->state != DOT_END) {
        if (at && decoder->state <= DOT_CR) {
            size_t plain = copy_plain(in.ptr + at, in.len - at, to, true, true);

            at += plain;
            to += plain;
            if (plain)
                decoder->state = state_behind(in.ptr[at - 1]);
        }
        for (size_t stop = stop_of(at, in.len); at < stop && decoder->state != DOT_END;)
            to = decode_octet(decoder, in.ptr[at++], to);
    }
    *used = at;
    return (size_t)(to - out);
}

void crlf_check_init(struct crlf_check *check, bool normalize)
{
    *check = (struct crlf_check){.normalize = normalize};
}

size_t crlf_check_feed(struct crlf_check *check, struct slice in, char *out)
{
    char *to = out;
    size_t at = 0;

    while (at < in.len) {
        size_t plain = at ? copy_plain(in.ptr + at, in.len - at, to, true, false) : 0;

        at += plain;
        to += plain;
        if (plain)
            check->after_cr = in.ptr[at - 1] == '\r';
        for (size_t stop = stop_of(at, in.len); at < stop; at++) {
            to = put_content(in.ptr[at], check->after_cr, check->normalize, &check->bare, to);
            check->after_cr = in.ptr[at] == '\r';
        }
    }
    return (size_t)(to - out);
}

size_t crlf_check_end(struct crlf_check *check, char *out)
{
    if (!check->after_cr)
        return 0;
    check->after_cr = false;
    check->bare = true;
    if (check->normalize)
        *out = '\n';
    return check->normalize;
}

void dot_encoder_init(struct dot_encoder *encoder)
{
    *encoder = (struct dot_encoder){.after_crlf = true};
}

static inline char *encode_octet(struct dot_encoder *encoder, char c, char *out)
{
    if (encoder->after_crlf && c == '.')
        *out++ = '.';
    *out++ = c;
    encoder->after_crlf = encoder->after_cr && c == '\n';
    encoder->after_cr = c == '\r';
    return out;
}

size_t dot_encode(struct dot_encoder *encoder, struct slice in, char *out)
{
    char *to = out;
    size_t at = 0;

    while (at < in.len) {
        size_t plain = at ? copy_plain(in.ptr + at, in.len - at, to, false, true) : 0;

        at += plain;
        to += plain;
        if (plain) {
            encoder->after_cr = in.ptr[at - 1] == '\r';
            encoder->after_crlf = in.ptr[at - 1] == '\n' && in.ptr[at - 2] == '\r';
        }
        for (size_t stop = stop_of(at, in.len); at < stop;)
            to = encode_octet(encoder, in.ptr[at++], to);
    }
    return (size_t)(to - out);
}

struct slice dot_encode_end(const struct dot_encoder *encoder)
{
    return encoder->after_crlf ? SLICE(".\r\n") : SLICE("\r\n.\r\n");
}
