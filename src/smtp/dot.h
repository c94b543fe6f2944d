/* End of data and dot transparency (RFC 5321 sections 4.1.1.4 and 4.5.2), and
 * the check of line endings that keeps smuggled messages out.
 *
 * End of data is CRLF.CRLF and nothing else, where the CRLF before the dot may
 * be the one that ended the DATA command. The decoder is one state machine
 * carried across reads; it never searches backwards. A bare CR, a bare LF or a
 * NUL in content is reported (content passes on, so the sender is answered
 * behind the true end) or, in normalize mode, mended: CR or LF alone becomes
 * CRLF, NUL a space.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

enum dot_state { DOT_LINE_START, DOT_IN_LINE, DOT_CR, DOT_DOT, DOT_DOT_CR, DOT_END };

struct dot_decoder {
    enum dot_state state;
    bool normalize;
    bool bare; /* a bare CR, bare LF or NUL was seen */
};

void dot_decoder_init(struct dot_decoder *decoder, bool normalize);

/* Worst case of octets written for `len` octets read. */
#define DOT_DECODE_MAX(len) (2 * (len) + 4)

/* Decodes up to the end of data or all of `in`; *used says how much was
 * consumed. Writes to `out` (DOT_DECODE_MAX(in.len) octets) and returns how
 * much. The state is DOT_END behind the end of data. The content keeps the
 * CRLF that precedes the final dot. */
size_t dot_decode(struct dot_decoder *decoder, struct slice in, size_t *used, char *out);

/* The same check for BDAT content, which has no dots: bytes pass unchanged
 * except in normalize mode. Call crlf_check_end behind the last chunk: a CR at
 * the very end is bare too. */
struct crlf_check {
    bool after_cr;
    bool normalize;
    bool bare;
};

void crlf_check_init(struct crlf_check *check, bool normalize);
size_t crlf_check_feed(struct crlf_check *check, struct slice in, char *out); /* DOT_DECODE_MAX */
size_t crlf_check_end(struct crlf_check *check, char *out);                   /* 0 to 2 octets */

/* Encoder for DATA towards a provider: doubles a dot at a line's start. */
struct dot_encoder {
    bool after_crlf, after_cr; /* after_crlf starts true */
};

void dot_encoder_init(struct dot_encoder *encoder);
#define DOT_ENCODE_MAX(len) (2 * (len))
size_t dot_encode(struct dot_encoder *encoder, struct slice in, char *out);
/* What ends the data: ".\r\n" behind a CRLF or nothing, else "\r\n.\r\n".
 * The slice is static. */
struct slice dot_encode_end(const struct dot_encoder *encoder);
