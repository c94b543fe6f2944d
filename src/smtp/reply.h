/* SMTP replies: parsing those of a provider, which are hostile input, and
 * writing ours (RFC 5321 section 4.2, RFC 2034 enhanced codes). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

#define REPLY_LINE_MAX 4096 /* octets of one line with its end */
#define REPLY_LINES_MAX 100
#define REPLY_TEXT_MAX 8192 /* of all lines; a longer text is cut, not refused */

struct smtp_enhanced {
    unsigned short class_, subject, detail; /* class_ 0: there was none */
};

struct smtp_reply {
    int code;                      /* 200 to 599; 0 in a cleared reply */
    struct smtp_enhanced enhanced; /* of the first line that has one */
    /* All lines without their codes, joined by '\n', each line's enhanced code
     * removed where it repeats the reply's. Control octets and octets above 126
     * are replaced: the text is printable ASCII and '\n'. NUL-terminated. The
     * text of a 334 is the challenge, of an EHLO's 250 its list. */
    char *text; /* malloc'd, or NULL when empty */
    size_t text_len;
    unsigned lines;
};

void smtp_reply_init(struct smtp_reply *reply);
void smtp_reply_clear(struct smtp_reply *reply);
/* Moves all that `from` holds; `from` is left cleared. `to` is an initialised
 * reply, what it held is freed. */
void smtp_reply_move(struct smtp_reply *to, struct smtp_reply *from);
/* `to` as in smtp_reply_move. False when memory is out: `to` then has the codes
 * and no text. */
bool smtp_reply_copy(struct smtp_reply *to, const struct smtp_reply *from);
/* Replaces the reply by one of our own; text may hold '\n', may be NULL, and
 * may be the reply's own text. False as in smtp_reply_copy. */
bool smtp_reply_set(struct smtp_reply *reply, int code, struct smtp_enhanced enhanced,
                    const char *text);
/* The text as one line for a log: '\n' becomes ' '. "" when empty. */
void smtp_reply_oneline(const struct smtp_reply *reply, char *out, size_t cap);

struct smtp_reply_parser {
    char *held; /* a partial line while there is one */
    size_t held_len, held_cap;
    struct smtp_reply reply; /* being gathered */
    size_t text_cap;
};

void smtp_reply_parser_init(struct smtp_reply_parser *parser);
void smtp_reply_parser_clear(struct smtp_reply_parser *parser);
/* True between two replies: nothing of a further reply has arrived. */
bool smtp_reply_parser_idle(const struct smtp_reply_parser *parser);

/* Grammar: *( code "-" text CRLF ) code [ SP text ] CRLF, one code for all
 * lines. A line may end in a bare LF from a sloppy server; nothing else is
 * forgiven. Consumes octets up to the end of one reply or all of them.
 * Returns 1: *out is a whole reply, which the caller clears; *out is written
 * over, so it must hold nothing before. 0: more is needed. -1: not SMTP, over a
 * limit, or memory is out: close the connection. *out stays at 0 and -1. */
int smtp_reply_parse(struct smtp_reply_parser *parser, struct slice bytes, size_t *used,
                     struct smtp_reply *out, struct reason *why);

/* "250-2.1.0 first\r\n250 2.1.0 second\r\n": each '\n' of the text starts a
 * line, lines over 480 octets are folded, the enhanced code is repeated on each
 * (none when class_ is 0), controls and octets above 126 never pass. Returns
 * the length written, no terminator; cut to whole lines at cap and at
 * REPLY_LINES_MAX, the last line written being marked as the last. */
size_t smtp_reply_format(int code, struct smtp_enhanced enhanced, struct slice text, char *out,
                         size_t cap);
