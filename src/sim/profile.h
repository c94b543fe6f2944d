/* How a provider talks: capabilities, reply texts, documented limits. A
 * profile is data; what differs between providers is in these tables and
 * nowhere else.
 *
 * Reply texts are whole replies without the last CRLF; '\n' separates lines.
 * Filled in: {id} {host} {client} {size} {time} {date} {session} {front}
 * {store} {mid} {verb} {octets}; see reply.c.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "sim/knobs.h"

#define PROFILE_REPLIES(REPLY)                                                                     \
    REPLY(GREETING)                                                                                \
    REPLY(HELO)                                                                                    \
    REPLY(EHLO_HEAD) /* the text of the first line only */                                         \
    REPLY(EHLO_EMPTY)                                                                              \
    REPLY(EHLO_STRICT)                                                                             \
    REPLY(STARTTLS)                                                                                \
    REPLY(STARTTLS_AGAIN)                                                                          \
    REPLY(STARTTLS_AHEAD)                                                                          \
    REPLY(TLS_FIRST)                                                                               \
    REPLY(HELO_FIRST)                                                                              \
    REPLY(AUTH_FIRST)                                                                              \
    REPLY(AUTH_OK)                                                                                 \
    REPLY(AUTH_BAD)                                                                                \
    REPLY(AUTH_AGAIN)                                                                              \
    REPLY(AUTH_MECH)                                                                               \
    REPLY(AUTH_DECODE)                                                                             \
    REPLY(AUTH_CANCEL)                                                                             \
    REPLY(AUTH_TOO_LONG)                                                                           \
    REPLY(AUTH_RATE)                                                                               \
    REPLY(TOKEN_OVER)                                                                              \
    REPLY(MAIL_OK)                                                                                 \
    REPLY(MAIL_AGAIN)                                                                              \
    REPLY(MAIL_FIRST)                                                                              \
    REPLY(MAIL_ADDRESS)                                                                            \
    REPLY(RCPT_OK)                                                                                 \
    REPLY(RCPT_FIRST)                                                                              \
    REPLY(RCPT_ADDRESS)                                                                            \
    REPLY(RCPT_UNKNOWN)                                                                            \
    REPLY(RCPT_DEFER)                                                                              \
    REPLY(RCPT_MAX)                                                                                \
    REPLY(RCPT_BLOCKED)                                                                            \
    REPLY(DATA_GO)                                                                                 \
    REPLY(DATA_IN_BDAT)                                                                            \
    REPLY(CHUNK_OK)                                                                                \
    REPLY(FINAL_OK)                                                                                \
    REPLY(TOO_BIG)                                                                                 \
    REPLY(BARE)                                                                                    \
    REPLY(SEND_AS)                                                                                 \
    REPLY(NO_MAILBOX)                                                                              \
    REPLY(CONCURRENCY)                                                                             \
    REPLY(RATE)                                                                                    \
    REPLY(QUOTA)                                                                                   \
    REPLY(MESSAGES_MAX)                                                                            \
    REPLY(RSET)                                                                                    \
    REPLY(NOOP)                                                                                    \
    REPLY(VRFY)                                                                                    \
    REPLY(HELP)                                                                                    \
    REPLY(QUIT)                                                                                    \
    REPLY(IDLE)                                                                                    \
    REPLY(AGE)                                                                                     \
    REPLY(GOODBYE)                                                                                 \
    REPLY(SYNTAX)                                                                                  \
    REPLY(PARAM)                                                                                   \
    REPLY(UNKNOWN)                                                                                 \
    REPLY(TOO_LONG)

/* clang-format off */
enum reply {
#define REPLY(name) REPLY_##name,
    PROFILE_REPLIES(REPLY)
#undef REPLY
    REPLIES
};
/* clang-format on */

enum ehlo_when { EHLO_ALWAYS, EHLO_BEFORE_TLS, EHLO_AFTER_TLS };

struct ehlo_line {
    const char *text;
    enum ehlo_when when;
    enum knob hidden_by; /* KNOBS: never */
};

struct profile {
    const char *name;
    const char *provider; /* in accounts.json */
    const char *mechs;
    const struct ehlo_line *ehlo; /* ends with a NULL text */
    const char *const *replies;   /* by enum reply */
    uint64_t size_limit;
    bool dsn, binarymime;
    bool challenge; /* AUTH fails with 334 JSON, 535 behind it */
    bool quota_at_mail;
    unsigned inline_max; /* octets of an AUTH line, 0: any */
    unsigned rcpt_max;
    /* documented limits, only with the knob real_limits */
    unsigned connections_max, rate_per_minute, daily_quota;
    /* token endpoint */
    const char *scope;
    const char *rotation; /* as the knob token_rotation */
    unsigned token_size;
    bool needs_secret; /* accounts get a client_secret */
};

extern const struct profile profile_gmail, profile_m365;

const struct profile *profile_find(const char *name); /* by name or provider, or NULL */
