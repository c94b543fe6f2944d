/* Mailbox paths of MAIL and RCPT (RFC 5321 section 4.1.2, RFC 6531). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

#define ADDRESS_LOCAL_MAX 64
#define ADDRESS_DOMAIN_MAX 255
#define ADDRESS_MAX 254 /* octets between the angle brackets of a path, RFC 3696 erratum 1690 */

struct address {
    struct slice mailbox; /* "local@domain", empty for <>; a source route is left out */
    struct slice local;   /* as written, quotes included */
    struct slice domain;  /* name or [literal]; empty only for <> and <postmaster> */
    bool utf8;            /* has octets above 127: needs SMTPUTF8 */
};

enum path_kind { PATH_REVERSE, PATH_FORWARD }; /* <> is legal only in a reverse path */

/* Parses "<path>" at the start of *text and moves *text behind it. Accepts
 * "<@a,@b:user@host>" (route dropped), quoted local parts, address literals
 * and, for RCPT, <postmaster>. Also accepts what real clients send: spaces
 * before "<", a path without brackets up to a space, and stray dots in a local
 * part. Refuses controls, NUL, CR, LF, invalid UTF-8, empty parts, over-long
 * parts; *text then stays and *out is empty. What may follow the path is for
 * the caller to check. */
bool address_parse_path(struct slice *text, enum path_kind kind, struct address *out,
                        struct reason *why);

/* Is this a plain "local@domain" as an account's address? No brackets, no quotes. */
bool address_is_mailbox(struct slice text);

/* Octets of the UTF-8 sequence above 127 that `text` starts with; 0 when it is
 * not one: cut, overlong, a surrogate, a C1 control. */
size_t address_utf8_len(struct slice text);
