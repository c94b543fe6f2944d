/* The address to which a browser was sent at the end of a sign-in (RFC 6749 sections 4.1.2
 * and 4.1.2.1), as a browser or a person hands it over. Pure: octets in, values out. */
#pragma once

#include "base/str.h"

#define REDIRECT_TEXT_MAX 16384 /* of the whole */
#define REDIRECT_CODE_MAX 8192  /* Microsoft's codes have some 1,500 octets */

struct redirect {
    char code[REDIRECT_CODE_MAX]; /* "" there is an error in its place */
    char state[256];              /* "" none */
    char error[64];               /* the protocol's word, printable: access_denied; "" */
    char description[400];        /* printable; "" none */
};

/* Takes the whole address, the part of it behind the '?', or the bare code, with blanks
 * around it. False, a reason for the person who pasted it, and nothing in `out`, which the caller
 * wipes. */
bool redirect_read(struct redirect *out, struct slice text, struct reason *why);

/* Whether it may stand in an authorization request: http on this machine (RFC 8252 section
 * 7.3), or https; without a fragment; at most 500 octets. */
bool redirect_uri_allowed(const char *uri);
