/* Resumable reader of CRLF-ended lines from an untrusted peer.
 *
 * Feed it whatever arrived, in pieces of any size. A line that lies whole in
 * the caller's bytes is returned without a copy; only a line split across
 * reads is gathered in memory that is allocated for it, and wiped and freed by
 * the next call. A call with no bytes is enough, so a loop that runs until
 * LINE_MORE leaves an idle connection without memory.
 *
 * A line ends in CRLF and nothing else (RFC 5321 section 2.3.8). A bare CR, a
 * bare LF or a NUL makes the line bad; it is consumed up to its LF, so that
 * the reader stays in step, and reported once.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

enum line_status {
    LINE_MORE,    /* all input consumed, no complete line yet */
    LINE_OK,      /* `line` holds a line without its CRLF */
    LINE_BAD,     /* bare CR, bare LF or NUL, of any length; consumed through its LF */
    LINE_TOO_LONG /* longer than the limit; consumed through its LF */
};

struct line_reader {
    char *held; /* a partial line, malloc'd while there is one */
    size_t held_len, held_cap;
    size_t dropped; /* octets of a bad or over-long line, which are not kept */
    bool after_cr;
    bool bad;
    bool given; /* `held` is a line that the caller may still look at */
};

void line_reader_init(struct line_reader *reader);
void line_reader_clear(struct line_reader *reader);       /* wipes what it held */
bool line_reader_empty(const struct line_reader *reader); /* between two lines? */

/* Consumes octets of `bytes` up to the end of one line, or all of them.
 * `limit` counts the line's octets with its CRLF. *used says how many were
 * consumed. The slice borrows from `bytes` or from the reader and is valid
 * until the next call; it is empty unless LINE_OK. Memory out counts as too
 * long. */
enum line_status line_reader_next(struct line_reader *reader, struct slice bytes, size_t limit,
                                  size_t *used, struct slice *line);
