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
#include "broker/oauth/calendar.h"
#include "broker/oauth/clocks.h"
#include "broker/oauth/gate.h"
#include "broker/store/store.h"
#include "ipc/ipc.h"
#include "net/timer.h"

struct account;
struct tokens;
struct http;
struct http_request;
struct saving;
struct fetching;

/* Somebody who wants to know what the endpoint says of an account now. Embedded
 * in its owner's struct. */
struct token_waiter {
    struct list_node node; /* token.waiters */
    struct list *list;     /* NULL: it does not wait */
    /* The answer: OAUTH_OK, or the class of the failure and what was said. Called
     * once, from inside the token's machinery: the account must not be removed or
     * changed from there. */
    void (*done)(struct token_waiter *waiter, enum oauth_class class_, const char *text);
    void *owner;
    /* Somebody sits before it, and mends the application, perhaps: it is as urgent as mail,
     * and where the application, or its endpoint, is left alone for a while, it is the probe. */
    bool insists;
};

/* An access token that came with the verification of a record. */
struct token_grant {
    char *value; /* taken over; NULL: none */
    uint64_t life_ms, came_ms;
};

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
    uint16_t due_slot;     /* RESTING: in tokens.calendar, CALENDAR_NONE: it is no refresh */
    struct list_node node; /* on the phase's list */
    struct timer due;
    uint64_t not_before; /* ms: even mail that waits cannot make it earlier */
    struct http_request *request;
    struct saving *saving;
    bool outdated; /* RUNNING, SAVING: the record has other credentials meanwhile */
    /* The token. */
    bool kept;   /* the store has it, and it is not read yet */
    char *value; /* NULL: none, refused, or not read yet */
    uint64_t serial;
    /* Both must be ahead: clocks jump. The second is in the endpoint's time. */
    uint64_t expires_ms, expires_wall_ms;
    uint64_t half_ms;           /* half of its life is over */
    struct fetching *fetching;  /* it is being read */
    struct list_node keep_node; /* tokens.to_keep: the store does not know it yet */
    /* The refresh token, when newer than the record's: it could not be saved. */
    char *unsaved;
    struct list_node unsaved_node;
    /* Refresh tokens that the endpoint has replaced (store/stale.h). */
    uint32_t *superseded;
    uint32_t superseded_count;
    uint32_t life_ms; /* of the access token; what lives longer than 49 days has UINT32_MAX */
    uint64_t refreshed_wall_ms; /* when the last one came; 0: never */
    struct list waiters;        /* token_waiter.node */
    /* Failures. */
    unsigned failures;             /* in a row */
    enum oauth_class last_class;   /* of the last answer */
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
    struct timer pace_timer;          /* one of them keeps a distance (gate_pace) */
    struct list unsaved;              /* token.unsaved_node */
    struct timer save_timer;
    uint64_t save_delay_ms;
    size_t saves_running;
    struct list to_keep; /* token.keep_node */
    struct timer keep_timer;
    struct calendar calendar; /* of the RESTING ones that have a token */
    size_t keeps_running;
    struct gate *gates[GATES]; /* hash tables by key */
    size_t gates_closed[GATES];
    struct clocks clocks; /* of token endpoints, those of verifications too */
    enum tokens_stage stage;
    struct tokens_stats stats;
    /* The store's record differs from ours: somebody edited it. */
    void (*store_changed)(struct tokens *tokens);
};

void tokens_init(struct tokens *tokens, struct loop *loop, struct http *http, struct store *store);
void tokens_clear(struct tokens *tokens); /* when no account is left */
/* Begins fewer requests, or none. */
void tokens_set_stage(struct tokens *tokens, enum tokens_stage stage);
/* Requests and savings under way: to cut one off could lose a refresh token. */
bool tokens_busy(const struct tokens *tokens);
/* Hands refresh tokens that are in memory only to the store once more. */
void tokens_save_again(struct tokens *tokens);
/* Hands all access tokens to the store that it does not have yet. */
void tokens_keep_all(struct tokens *tokens);
/* Gives the NEW ones their first turn: at once if there are few, else spread,
 * so that a start is no burst at the endpoint. */
void tokens_spread(struct tokens *tokens, size_t count);

extern const char *const token_phase_names[TOKEN_PHASES];

bool token_init(struct tokens *tokens, struct account *account);
void token_clear(struct account *account);
/* Other credentials: forgets everything and asks at once, unless `grant` has a
 * token, which is taken out of it. With the same refresh token in them, the one that
 * the endpoint gave out in its place, or is about to, stays the account's. */
void token_reset(struct account *account, bool same_refresh_token, struct token_grant *grant);
/* The same credentials, verified once more: takes the token out of `grant`, unless
 * a request is under way whose answer will be newer. */
void token_adopt(struct account *account, struct token_grant *grant);
void token_grant_clear(struct token_grant *grant);
/* The record changed, but not its credentials. */
void token_settings_changed(struct account *account);

/* Also of one that is not read yet. */
bool token_valid(const struct account *account);
/* Reads the one that the store keeps, if it has not been yet, and tells the relay. */
void token_load(struct account *account);
/* What the next request is made with. */
const char *token_newest_refresh_token(const struct account *account);
/* The endpoint has replaced this refresh token, so that it may be dead; and whether it has, of
 * an account that has a newer one which works as far as we know. */
void token_supersede(struct account *account, const char *refresh_token);
bool token_is_superseded(const struct account *account, const char *refresh_token);
/* The record was changed to have such a one: `newest` takes its place again. Before
 * token_reset. */
void saving_retake(struct account *account, const char *newest);
/* It has another id. */
void token_renamed(struct account *account);
/* When its life ends by our clock. */
uint64_t token_expires_wall_ms(const struct account *account);
/* Now, as the account's endpoint sees it: the time of token.expires_wall_ms. */
uint64_t token_now_wall_ms(const struct account *account);
/* Asks the endpoint now, whatever the token's age, a park or the operator's
 * switch; only a throttle is respected. Never calls `done` before it returns. */
void token_verify(struct account *account, struct token_waiter *waiter);
void token_verify_cancel(struct token_waiter *waiter);
/* From the relay. */
void token_wanted(struct account *account);
void token_rejected(struct account *account, uint64_t serial, const char *text);
