/* What a browser asks of the loopback address to which a provider sends it at the end of a
 * sign-in (RFC 8252 section 7.3). Pure. */
#pragma once

#include "base/str.h"

#define CALLBACK_HEAD_MAX 16384 /* octets of a request's head */

enum callback {
    CALLBACK_MORE,   /* the head is not complete */
    CALLBACK_OURS,   /* the provider's answer to this sign-in */
    CALLBACK_STATE,  /* an answer to another sign-in, or a forged one */
    CALLBACK_OTHER,  /* some other page: an icon, the root */
    CALLBACK_INVALID /* no request that we know */
};

/* `target` of an answer that is ours: path and query. `state` is what it must have. */
enum callback callback_read(struct slice head, const char *path, const char *state,
                            struct slice *target);
