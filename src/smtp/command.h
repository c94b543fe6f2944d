/* SMTP commands as they come from a client (RFC 5321 section 4.1.1). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "smtp/address.h"

enum smtp_verb {
    SMTP_EHLO,
    SMTP_HELO,
    SMTP_STARTTLS,
    SMTP_AUTH,
    SMTP_MAIL,
    SMTP_RCPT,
    SMTP_DATA,
    SMTP_BDAT,
    SMTP_RSET,
    SMTP_NOOP,
    SMTP_VRFY,
    SMTP_EXPN,
    SMTP_HELP,
    SMTP_QUIT,
    SMTP_UNKNOWN,
    SMTP_VERBS
};

extern const char *const smtp_verb_names[SMTP_VERBS]; /* "EHLO", ...; "UNKNOWN" */

/* Splits a line into its verb (ASCII case-insensitive) and the rest behind
 * the verb's space, outer blanks trimmed. "MAIL FROM:" and "RCPT TO:" keep
 * "FROM:..." in the rest. */
enum smtp_verb smtp_command_split(struct slice line, struct slice *rest);

/* EHLO or HELO argument: a domain name or an address literal, one word of
 * printable ASCII, 1 to 255 octets. Lenient on underscores and the like. */
bool smtp_parse_helo(struct slice rest, struct slice *name, struct reason *why);

enum smtp_body { SMTP_BODY_UNSET, SMTP_BODY_7BIT, SMTP_BODY_8BITMIME, SMTP_BODY_BINARYMIME };
enum smtp_dsn_ret { SMTP_RET_UNSET, SMTP_RET_FULL, SMTP_RET_HDRS };

struct smtp_mail {
    struct address sender;
    bool has_size;
    uint64_t size;         /* SIZE=, RFC 1870 */
    enum smtp_body body;   /* BODY=, RFC 6152, RFC 3030 */
    bool utf8;             /* SMTPUTF8, RFC 6531 */
    struct slice auth;     /* AUTH=, RFC 4954: accepted and dropped */
    enum smtp_dsn_ret ret; /* RET=, RFC 3461 */
    struct slice envid;    /* ENVID=, still xtext */
};

struct smtp_rcpt {
    struct address recipient;
    struct slice notify; /* NOTIFY=, checked */
    struct slice orcpt;  /* ORCPT=, still xtext */
};

/* How a MAIL or RCPT command failed; each has its reply code by RFC 5321. */
enum smtp_syntax {
    SMTP_SYNTAX_OK,
    SMTP_SYNTAX_ERROR,        /* 501 5.5.4 */
    SMTP_SYNTAX_ADDRESS,      /* 501 5.1.7 (MAIL) or 5.1.3 (RCPT) */
    SMTP_SYNTAX_PARAM_VALUE,  /* 501 5.5.4: a known parameter, a bad or doubled value */
    SMTP_SYNTAX_PARAM_UNKNOWN /* 555 5.5.4 */
};

/* `rest` as smtp_command_split returned it. With dsn false, RET, ENVID, NOTIFY
 * and ORCPT are unknown parameters. Blanks behind "FROM:" are tolerated. *out
 * borrows from `rest`. Whether the session allows a parameter (BINARYMIME, an
 * address above ASCII without SMTPUTF8) is for the caller to judge. */
enum smtp_syntax smtp_parse_mail(struct slice rest, bool dsn, struct smtp_mail *out,
                                 struct reason *why);
enum smtp_syntax smtp_parse_rcpt(struct slice rest, bool dsn, struct smtp_rcpt *out,
                                 struct reason *why);

/* "size [LAST]" of BDAT (RFC 3030); the size is 64-bit, overflow is an error. */
bool smtp_parse_bdat(struct slice rest, uint64_t *size, bool *last, struct reason *why);
