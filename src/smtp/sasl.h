/* SASL messages: PLAIN and LOGIN from clients, XOAUTH2 and OAUTHBEARER to
 * providers (RFC 4616, RFC 7628, Google's "OAuth 2.0 mechanism" page). All of
 * them carry secrets: callers wipe what they hold (explicit_bzero). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/codec.h"
#include "base/str.h"

#define SASL_LINE_MAX 12288  /* RFC 4954 section 4 */
#define SASL_INLINE_MAX 512  /* a longer AUTH line goes in two steps */
#define SASL_TOKEN_MAX 16384 /* the longest access token that we take */
/* Room for a client's first OAuth message with its terminator. */
#define SASL_OAUTH_MAX (BASE64_LEN(SASL_TOKEN_MAX + 1024) + 1)

/* Decodes base64 "authzid NUL authcid NUL password" into `scratch`, which has
 * `cap` octets. The slices point into scratch. Refused: an authzid other than
 * empty or equal to authcid, an empty authcid (RFC 4616 section 2). An empty
 * password, which the RFC forbids and clients without one send, is a password
 * for the caller to judge. Scratch may hold secrets after a failure too. */
bool sasl_plain_decode(struct slice base64, char *scratch, size_t cap, struct slice *authcid,
                       struct slice *password, struct reason *why);

/* base64 of XOAUTH2's or OAUTHBEARER's first message and a NUL into `out`;
 * returns its length, 0 when it does not fit, user or token is empty, or a part
 * holds a control octet. SASL_OAUTH_MAX is always enough for a token of up to
 * SASL_TOKEN_MAX and a user and host as they are in SMTP. */
size_t sasl_xoauth2_encode(struct slice user, struct slice token, char *out, size_t cap);
size_t sasl_oauthbearer_encode(struct slice user, struct slice host, unsigned port,
                               struct slice token, char *out, size_t cap);

/* The failure detail in a 334 challenge (base64 of a JSON object): copies its
 * "status" ("400", "invalid_token"; a number counts as its digits) as printable
 * ASCII, "" when there is none. False: not such a challenge. */
bool sasl_oauth_failure(struct slice base64, char *status, size_t cap);
