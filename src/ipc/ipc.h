/* The messages between broker and relay.
 *
 * A frame is u32 length (of what follows), u8 type, then the fields of the
 * type's row in the table of ipc.c, in order: fixed integers little-endian,
 * texts and byte strings as u32 length + octets. Every text has a maximum;
 * decoding checks all of it and borrows from the frame. The broker treats what
 * the relay sends as hostile.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

#define IPC_FRAME_MAX (4u << 20)
#define IPC_ID_MAX 256                    /* account ids, logins, host names */
#define IPC_TOKEN_MAX 16384               /* access tokens */
#define IPC_TEXT_MAX 2048                 /* reasons, provider's texts */
#define IPC_CA_MAX (2u << 20)             /* a trust store; the system's is a quarter MiB */
#define IPC_PEM_MAX (256u << 10)          /* a certificate chain, a key */
#define IPC_ENDPOINT_MAX (IPC_ID_MAX + 8) /* host:port */
#define IPC_SNAPSHOT_ROWS 1000            /* of one page, at most */
#define IPC_LEDGER_MAX 8192               /* relay/limit/saved.h; to the broker it is just text */

enum ipc_type {
    /* broker -> relay */
    IPC_CONFIG = 1,  /* options, trust store, TLS key pair; first, and on reload */
    IPC_LISTENER,    /* one inherited descriptor; before IPC_START */
    IPC_START,       /* begin to accept */
    IPC_ACCOUNT_PUT, /* a new or changed account */
    IPC_ACCOUNT_REMOVE,
    IPC_TOKEN,       /* a fresh access token */
    IPC_STATE,       /* the account's state changed */
    IPC_LOOKUP_DONE, /* answer to IPC_LOOKUP */
    IPC_PASSWORD_DONE,
    IPC_RESOLVE_DONE,
    IPC_DRAIN,
    IPC_SNAPSHOT,   /* what is the state of these accounts' pools? */
    IPC_PROBE,      /* log in at the account's provider, send nothing */
    IPC_LOG_LEVEL,  /* until the next IPC_CONFIG */
    IPC_LEDGER_PUT, /* what an account has sent; behind its first IPC_ACCOUNT_PUT */
    IPC_DIAGNOSE,   /* the same as a probe, told step by step and as far as MAIL */
    /* relay -> broker */
    IPC_READY = 64,     /* configuration taken, workers run */
    IPC_LOOKUP,         /* a login that the relay does not know */
    IPC_PASSWORD,       /* check a client's password */
    IPC_RESOLVE,        /* addresses of a host name */
    IPC_TOKEN_WANTED,   /* mail waits for this account's token */
    IPC_TOKEN_REJECTED, /* the provider refused a token: refresh it now */
    IPC_OBSERVED,       /* what a provider's reply says of the account */
    IPC_DRAINED,
    IPC_POOL,          /* one account of a snapshot, in the order of ids */
    IPC_SNAPSHOT_DONE, /* behind the last one */
    IPC_PROBE_DONE,
    IPC_LEDGER, /* what an account has sent */
    IPC_DIAGNOSIS_STEP,
    IPC_DIAGNOSIS_DONE, /* behind the last one, and behind what it did to the account */
};

/* States of an account, in both processes. The relay refuses mail for any but
 * ACTIVE, with the state's text; a state with `until` ends by itself. */
enum account_state {
    ACCOUNT_ACTIVE,
    ACCOUNT_THROTTLED,     /* token endpoint or provider: until */
    ACCOUNT_PARKED,        /* provider's quota: until */
    ACCOUNT_NEEDS_CONSENT, /* refresh token is dead */
    ACCOUNT_MISCONFIGURED, /* client id, secret, scope, SMTP AUTH disabled */
    ACCOUNT_BLOCKED,       /* the provider blocked the mailbox */
    ACCOUNT_DISABLED,      /* by the operator */
    ACCOUNT_STATES
};

extern const char *const account_state_names[ACCOUNT_STATES + 1]; /* NULL-terminated */

struct ipc_config {
    struct slice options; /* conf_write */
    struct slice ca_pem, cert_pem, key_pem;
};

struct ipc_listener {
    uint32_t fd, worker, tls; /* enum conf_tls */
    struct slice address;
};

/* Everything that the relay needs to send as an account, and nothing more:
 * no refresh token, no client secret, no password hash. */
struct ipc_account {
    struct slice id, login; /* login: what clients say, lower case */
    struct slice sasl_user;
    struct slice provider;
    struct slice host;
    uint32_t port, tls, mechanism; /* enum conf_upstream_tls, conf_mechanism */
    struct slice source_address;   /* "" the system's choice */
    uint64_t generation;           /* changes with any credential or endpoint */
    uint8_t has_password, bdat;    /* enum conf_auto */
    uint32_t max_connections, max_messages_per_connection, max_concurrent;
    uint64_t max_age_ms, idle_ms;
    /* What it may send; 0: no limit. */
    uint32_t messages_per_minute, messages_per_hour, messages_per_day;
    uint32_t recipients_per_day, recipients_per_message;
    struct slice group; /* "": it is in none that has limits */
    uint32_t group_messages_per_minute, group_messages_per_hour, group_messages_per_day;
    uint32_t group_recipients_per_day;
    uint32_t connections_start; /* 0: max_connections */
    uint32_t breaker_failures;  /* 0: it is never left alone */
    uint32_t breaker_trials;
    uint64_t breaker_recovery_ms;
    /* Connections ahead of mail; prewarm_max_connections 0: none. */
    uint32_t prewarm_min_connections, prewarm_max_connections, prewarm_min_messages;
    uint32_t prewarm_messages_per_connection, prewarm_concurrency;
};

struct ipc_account_remove {
    struct slice id, login;
};

struct ipc_token {
    struct slice id, token;
    uint64_t generation;
    uint64_t serial;          /* counts this account's tokens */
    uint64_t expires_wall_ms; /* by our clock */
};

struct ipc_state {
    struct slice id;
    uint64_t generation;
    uint32_t state;         /* enum account_state */
    uint64_t until_wall_ms; /* 0: until told otherwise */
    struct slice text;      /* what the client is told; printable */
};

struct ipc_lookup {
    uint64_t request;
    struct slice login;
};

struct ipc_lookup_done { /* an IPC_ACCOUNT_PUT precedes when found */
    uint64_t request;
    uint8_t found;
};

struct ipc_password {
    uint64_t request;
    struct slice id, password;
};

struct ipc_password_done {
    uint64_t request;
    uint8_t ok;          /* 0 wrong, 1 right, 2 cannot tell now */
    uint64_t generation; /* of the account that was checked */
};

struct ipc_resolve {
    uint64_t request;
    struct slice host;
    uint32_t port;
};

struct ipc_resolve_done {
    uint64_t request;
    struct slice addresses; /* texts as net_address_parse takes them, joined by ' ' */
    uint64_t ttl_ms;
    struct slice error; /* why there is none, else "" */
};

struct ipc_token_wanted {
    struct slice id;
};

struct ipc_token_rejected {
    struct slice id;
    uint64_t serial; /* of the token that was refused */
    struct slice text;
};

struct ipc_observed {
    struct slice id;
    uint64_t generation;
    uint32_t state; /* enum account_state that the reply calls for */
    uint64_t for_ms;
    struct slice text; /* provider's reply */
};

struct ipc_snapshot {
    uint64_t request;
    struct slice id;    /* this account only; "": all that the relay knows */
    struct slice after; /* ids behind this one, by their octets */
    uint32_t limit;     /* rows, 1 to IPC_SNAPSHOT_ROWS */
};

struct ipc_pool {
    uint64_t request;
    struct slice id, endpoint;
    uint32_t dialing, idle, busy, draining; /* connections, by state */
    uint32_t waiting, running;              /* messages */
    uint32_t max_connections, max_concurrent;
    uint32_t dial_failures;      /* in a row */
    uint32_t logins, max_logins; /* within the last minute; the limit, 0: none */
    uint64_t login_wait_ms;      /* until another login may be made; 0: now */
    /* What counts now, and the limit, 0: none. */
    uint32_t connections_now; /* may be at work: max_connections or fewer */
    uint32_t minute, max_minute, hour, max_hour, day, max_day;
    uint32_t recipients, max_recipients; /* of a day */
    uint64_t message_wait_ms;            /* until a message has room; 0: now */
    uint64_t breaker_wait_ms;            /* left alone until then; 0: it is not */
    /* Messages since the relay started or the account came to it. */
    uint64_t delivered, rejected, deferred, unknown;
    uint64_t last_delivery_wall_ms; /* 0: none */
};

struct ipc_snapshot_done {
    uint64_t request;
    uint8_t more; /* there are accounts behind the last row */
};

struct ipc_probe {
    uint64_t request;
    struct slice id;
};

struct ipc_probe_done {
    uint64_t request;
    uint8_t ok;
    uint32_t code;     /* of the provider's reply, 0: there was none */
    struct slice step; /* where it ended: "auth", "connect", "wait"... */
    struct slice text; /* the reply, or why there is none */
};

struct ipc_diagnose {
    uint64_t request;
    struct slice id, sender; /* sender: of the MAIL that is tried, and taken back */
};

/* What a mail server is asked for, one after the other; with STARTTLS, TLS comes
 * behind the greeting. */
enum ipc_step {
    IPC_STEP_DNS,
    IPC_STEP_TCP,
    IPC_STEP_TLS,
    IPC_STEP_GREETING,
    IPC_STEP_EHLO,
    IPC_STEP_AUTH,
    IPC_STEP_MAIL,
    IPC_STEPS
};

enum ipc_step_result { IPC_STEP_OK, IPC_STEP_WARNING, IPC_STEP_FAILED, IPC_STEP_RESULTS };

struct ipc_diagnosis_step { /* each step once at most */
    uint64_t request;
    uint8_t step, result; /* enum ipc_step, ipc_step_result */
    uint8_t state;        /* enum account_state that a refusal calls for */
    uint32_t code;        /* of the provider's reply, 0: there was none */
    uint64_t took_ms;
    struct slice text; /* the reply, or what was found */
};

struct ipc_diagnosis_done {
    uint64_t request;
    uint8_t ok;
    struct slice text; /* why there is no further step, else "" */
};

struct ipc_ledger {
    uint8_t group;   /* 1: `id` is a group's name */
    struct slice id; /* of an account */
    struct slice state;
};

struct ipc_ledger_put {
    uint8_t group;
    struct slice id, state; /* as the relay told it */
    uint64_t elapsed_ms;    /* since then */
    uint64_t lost_ms;       /* since something may have been sent untold; UINT64_MAX: never */
};

struct ipc_log_level {
    uint8_t level; /* enum log_level */
};

struct ipc_empty {
    char unused;
};

union ipc_body {
    struct ipc_config config;
    struct ipc_listener listener;
    struct ipc_account account;
    struct ipc_account_remove account_remove;
    struct ipc_token token;
    struct ipc_state state;
    struct ipc_lookup lookup;
    struct ipc_lookup_done lookup_done;
    struct ipc_password password;
    struct ipc_password_done password_done;
    struct ipc_resolve resolve;
    struct ipc_resolve_done resolve_done;
    struct ipc_token_wanted token_wanted;
    struct ipc_token_rejected token_rejected;
    struct ipc_observed observed;
    struct ipc_snapshot snapshot;
    struct ipc_pool pool;
    struct ipc_snapshot_done snapshot_done;
    struct ipc_probe probe;
    struct ipc_probe_done probe_done;
    struct ipc_log_level log_level;
    struct ipc_diagnose diagnose;
    struct ipc_diagnosis_step diagnosis_step;
    struct ipc_diagnosis_done diagnosis_done;
    struct ipc_ledger ledger;
    struct ipc_ledger_put ledger_put;
    struct ipc_empty empty;
};

struct ipc_message {
    enum ipc_type type;
    union ipc_body u;
};

const char *ipc_name(enum ipc_type type); /* for logs */

/* Encodes a whole frame; malloc'd, *len octets; NULL when memory is out or a
 * text is over its maximum. */
unsigned char *ipc_encode(const struct ipc_message *message, size_t *len);

/* Decodes a frame's payload (type and fields, without the length). The slices
 * borrow from `frame`. */
bool ipc_decode(struct slice frame, struct ipc_message *out, struct reason *why);

/* Cuts frames out of a stream, resumable at any octet. */
struct ipc_reader {
    unsigned char *held;
    size_t len, cap;
};

void ipc_reader_init(struct ipc_reader *reader);
void ipc_reader_clear(struct ipc_reader *reader); /* wipes: frames hold tokens */
/* Consumes octets; 1: *out was decoded and is valid until the next call;
 * 0: more is needed; -1: not our protocol. */
int ipc_reader_next(struct ipc_reader *reader, struct slice bytes, size_t *used,
                    struct ipc_message *out, struct reason *why);
