/* What a provider's reply means: the one table of PROVIDERS.md section 6.
 *
 * Callers report facts (provider, phase, reply); the table decides what the
 * client is told, what becomes of the connection, and what the account's state
 * must be. Rows are tried top down and match on code, enhanced code and text;
 * nothing is ever mapped by its first digit alone, except by the last rows.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ipc/ipc.h"
#include "smtp/reply.h"

enum phase {
    PHASE_CONNECT, /* resolve, dial, TLS: no reply at all */
    PHASE_GREETING,
    PHASE_EHLO,
    PHASE_STARTTLS,
    PHASE_AUTH,
    PHASE_MAIL,
    PHASE_RCPT,
    PHASE_DATA,  /* the answer to DATA itself */
    PHASE_FINAL, /* the answer to the content: BDAT LAST or the final dot */
    PHASES
};

extern const char *const phase_names[PHASES];

enum verdict_class {
    VERDICT_OK,
    VERDICT_CONNECTION_DEAD,    /* this connection only */
    VERDICT_PROVIDER_TRANSIENT, /* try later */
    VERDICT_TOKEN,              /* the access token was refused: refresh once */
    VERDICT_ACCOUNT_ADMIN,      /* somebody must change a setting or consent */
    VERDICT_ACCOUNT_THROTTLED,  /* too fast or too many */
    VERDICT_ACCOUNT_QUOTA,      /* the day's limit, or a full mailbox */
    VERDICT_ACCOUNT_BLOCKED,
    VERDICT_MESSAGE_PERMANENT,
    VERDICT_RCPT_PERMANENT,
    VERDICT_RCPT_TRANSIENT,
    VERDICT_CLASSES
};

extern const char *const verdict_class_names[VERDICT_CLASSES];

struct verdict {
    enum verdict_class class_;
    const char *rule;              /* the row's name, for logs and tests */
    unsigned code;                 /* for the client; 0: the provider's own */
    struct smtp_enhanced enhanced; /* with code != 0; class_ 0: the provider's own */
    bool close;                    /* the connection cannot be used again */
    bool pause_logins;             /* no further login for `for_ms` */
    bool bdat_broken;              /* the provider cannot do BDAT after all */
    bool too_many;                 /* connections of the account at work; rest for `for_ms` */
    enum account_state state;      /* ACCOUNT_ACTIVE: unchanged */
    uint64_t for_ms;               /* how long the state or pause lasts */
};

/* `provider` is the account's provider name; rows for "gmail" or "outlook"
 * match only those. `bdat`: the content went by BDAT. */
struct verdict verdict_of(struct slice provider, enum phase phase, bool bdat,
                          const struct smtp_reply *reply);

/* What the client is told: the reply, with code and enhanced code as the
 * verdict says. False: memory is out. */
bool verdict_reply(const struct verdict *verdict, const struct smtp_reply *provider,
                   struct smtp_reply *out);

/* What a client hears when the account's state, not a reply, refuses its mail:
 * one small table, used before MAIL and for jobs that wait. */
bool verdict_state_reply(enum account_state state, const char *text, struct smtp_reply *out);
