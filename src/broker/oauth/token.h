/* The life of access tokens: one request in flight per account, some accounts
 * at a time, ahead of expiry, and no oftener than the endpoint likes.
 *
 *     NEW ----------> RESTING --due--> QUEUED --turn--> RUNNING
 *      (spread)        ^    ^                             |  |
 *      OFF: disabled   |    +--------- failure -----------+  |
 *                      +-- published <-- SAVING <-- success -+
 *
 * A phase is a list; token_move alone changes it. A refresh token that the
 * endpoint replaced is saved before the access token that came with it is
 * used. Accounts for which mail waits go before the others, and endpoints take
 * turns.
 */
#pragma once

#include "base/list.h"
#include "broker/oauth/gate.h"
#include "broker/store/store.h"
#include "ipc/ipc.h"
#include "net/timer.h"

struct account;
struct tokens;
struct http;
struct http_request;
struct saving;

enum token_phase {
    TOKEN_NEW,     /* not yet asked for; tokens_spread sets its time */
    TOKEN_OFF,     /* the account is disabled */
    TOKEN_RESTING, /* until `due` */
    TOKEN_QUEUED,  /* in the background */
    TOKEN_URGENT,  /* queued, and mail waits */
    TOKEN_RUNNING, /* a request is in flight */
    TOKEN_SAVING,  /* a new refresh token is on its way to the disk */
    TOKEN_PHASES
};

struct token {
    struct tokens *tokens;
    enum token_phase phase;
    struct list_node node; /* on the phase's list */
    struct timer due;
    uint64_t not_before; /* ms: even mail that waits cannot make it earlier */
    struct http_request *request;
    struct saving *saving;
    /* The token. */
    char *value; /* NULL: none, or refused */
    uint64_t serial;
    uint64_t expires_ms, expires_wall_ms; /* both must be ahead: clocks jump */
    uint64_t half_ms;                     /* half of its life is over */
    /* The refresh token, when newer than the record's: it could not be saved. */
    char *unsaved;
    struct list_node unsaved_node;
    /* Failures. */
    unsigned failures;             /* in a row */
    bool confirming;               /* the next request decides whether the grant is dead */
    enum account_state down_state; /* what mail hears while there is no token */
    uint64_t down_until_wall_ms;
    const char *down_text; /* shared */
    /* Tokens that the provider refused. */
    bool forced;            /* the next token replaces a refused one */
    uint64_t forced_serial; /* such a token */
    unsigned rejects;       /* of such tokens, in a row */
    /* What it shares with others. */
    struct gate *gates[GATES];
    struct list_node gate_nodes[GATES];
    enum gate_kind waits_for; /* GATES: for nothing but its own time */
};

struct tokens_stats {
    uint64_t requests, ok, failures, saves, save_failures, rejected;
};

enum tokens_stage {
    TOKENS_RUN,
    TOKENS_DRAIN, /* only for mail that waits */
    TOKENS_STOP
};

struct tokens {
    struct loop *loop;
    struct http *http;
    struct store *store;
    const struct conf *conf;          /* replaced by reloads */
    struct list phases[TOKEN_PHASES]; /* QUEUED and URGENT: in their endpoints */
    struct list turns;                /* gate.turn_node: endpoints with somebody queued */
    struct list unsaved;              /* token.unsaved_node */
    struct timer save_timer;
    uint64_t save_delay_ms;
    size_t saves_running;
    struct gate *gates[GATES]; /* hash tables by key */
    enum tokens_stage stage;
    struct tokens_stats stats;
    /* The store's record differs from ours: somebody edited it. */
    void (*store_changed)(struct tokens *tokens);
};

void tokens_init(struct tokens *tokens, struct loop *loop, struct http *http, struct store *store);
/* Begins fewer requests, or none. */
void tokens_set_stage(struct tokens *tokens, enum tokens_stage stage);
/* Requests and savings under way: to cut one off could lose a refresh token. */
bool tokens_busy(const struct tokens *tokens);
/* Hands refresh tokens that are in memory only to the store once more. */
void tokens_save_again(struct tokens *tokens);
/* Gives the NEW ones their first turn: at once if there are few, else spread,
 * so that a start is no burst at the endpoint. */
void tokens_spread(struct tokens *tokens, size_t count);

bool token_init(struct tokens *tokens, struct account *account);
void token_clear(struct account *account);
/* Other credentials: forgets everything and asks at once. */
void token_reset(struct account *account);
/* The record changed, but not its credentials. */
void token_settings_changed(struct account *account);

bool token_valid(const struct account *account);
/* From the relay. */
void token_wanted(struct account *account);
void token_rejected(struct account *account, uint64_t serial, const char *text);
