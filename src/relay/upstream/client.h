/* One SMTP client connection to a provider: dial, TLS, EHLO, AUTH, then
 * transactions one after the other.
 *
 *   resolving > dialing > [handshake] > greeting > ehlo >
 *     [starttls > handshake > ehlo] > auth [> token > detail] > idle
 *   idle <-> busy <-> resetting;  idle > examined > resetting;  any > quitting > gone
 */
#pragma once

#include "net/conn.h"
#include "net/dial.h"
#include "relay/upstream/account.h"
#include "smtp/ehlo.h"
#include "smtp/reply.h"

struct upstream_tx;

enum client_state {
    CLIENT_RESOLVING,
    CLIENT_DIALING,
    CLIENT_HANDSHAKE_FIRST, /* implicit TLS */
    CLIENT_GREETING,
    CLIENT_EHLO, /* before TLS */
    CLIENT_STARTTLS,
    CLIENT_HANDSHAKE,
    CLIENT_EHLO_TLS,
    CLIENT_AUTH,        /* the AUTH command is out */
    CLIENT_AUTH_TOKEN,  /* the token is out, in its own line */
    CLIENT_AUTH_DETAIL, /* the failure's detail came as 334, its end is awaited */
    CLIENT_IDLE,
    CLIENT_BUSY,
    CLIENT_EXAMINED, /* MAIL is out, for a diagnosis */
    CLIENT_RESETTING,
    CLIENT_QUITTING,
    CLIENT_GONE,
    CLIENT_STATES
};

struct client {
    struct account *account;
    struct endpoint *endpoint; /* a reference */
    struct list_node pool_node;
    enum client_state state;
    struct conn *conn;
    struct dial dial;
    struct endpoint_waiter resolve;
    struct smtp_reply_parser parser;
    struct smtp_caps caps;
    uint64_t serial; /* for logs */
    /* The pool key: see client_fits. */
    uint64_t generation, token_serial;
    uint64_t token_expires_wall_ms;
    uint64_t born_ms, used_ms; /* loop time */
    uint64_t born_us;
    unsigned uses;
    bool resumed;
    bool failing_status; /* the 334's JSON status was not about the token */
    bool token_sent;
    bool checked;    /* RSET is a probe's */
    bool more_input; /* behind the reply being handled, something has come already */
    bool trying;     /* its set-up has not ended yet, for attempts.c */
    bool trial, endpoint_trial;
    struct upstream_tx *tx;      /* while busy */
    struct diagnosis *diagnosis; /* NULL: nobody looks */
};

/* Begins to connect; pool_client_ready or pool_client_failed follows, not from
 * inside. NULL: memory is out. */
struct client *client_open(struct account *account);

/* The same under an administrator's eyes. */
struct client *client_open_for(struct account *account, struct diagnosis *diagnosis);

/* May this connection carry the account's next message? The one place that
 * compares every ingredient of the pool key, and the limits on its life. */
bool client_fits(const struct client *client);

/* Moves an idle connection to busy. */
void client_lend(struct client *client, struct upstream_tx *tx);
/* The transaction is over and in step: back to the pool, after RSET if it did
 * not end in success. */
void client_release(struct client *client, bool reset);
/* For a probe: asks an idle connection for a sign of life; account->checking
 * until then. */
void client_check(struct client *client);
/* For a diagnosis, on an idle or just opened connection: MAIL, then RSET, then it is
 * idle. Nothing is sent. */
void client_try_sender(struct client *client, const char *sender, bool utf8);
/* What is under way has taken too long. */
void client_give_up(struct client *client, const char *why);
/* QUIT, then close. */
void client_quit(struct client *client, const char *why);
/* Closes at once. */
void client_close(struct client *client, const char *why);

/* Frees those that ended before this turn of the loop. */
void client_bury(struct account_table *table);

bool client_write(struct client *client, const char *bytes, size_t len);
void client_set_timeout(struct client *client, uint64_t ms);

/* For auth.c: sends the AUTH command, and takes its answers. */
void client_auth_begin(struct client *client);
void client_auth_reply(struct client *client, struct smtp_reply *reply);
/* Set-up failed. `reply` is the provider's (or ours, for a local reason). */
void client_fail(struct client *client, enum phase phase, struct smtp_reply *reply);
void client_fail_text(struct client *client, enum phase phase, const char *text);
void client_set_state(struct client *client, enum client_state state);
void client_logged_in(struct client *client);
