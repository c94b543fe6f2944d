/* An account as its owner sees it: credentials for now, pool, waiting jobs.
 * Touched by one worker's thread only. */
#pragma once

#include <uthash.h>

#include "conf/conf.h"
#include "ipc/ipc.h"
#include "relay/limit/breaker.h"
#include "relay/limit/concurrency.h"
#include "relay/limit/demand.h"
#include "relay/limit/limits.h"
#include "relay/limit/line.h"
#include "relay/upstream/endpoint.h"
#include "relay/upstream/ledger.h"
#include "relay/upstream/upstream.h"
#include "relay/verdict.h"

/* A connection is on exactly one of these lists; client_set_state moves it. */
enum pool_list { POOL_DIALING, POOL_IDLE, POOL_BUSY, POOL_DRAINING, POOL_LISTS };

struct account {
    UT_hash_handle hh;
    struct account_table *table;
    struct worker *worker;
    /* As the broker said. */
    char *id, *sasl_user, *provider;
    uint64_t generation;
    enum conf_upstream_tls tls;
    enum conf_mechanism mechanism;
    enum conf_auto bdat;
    struct net_address source; /* len 0: the system's choice */
    uint32_t max_connections, max_messages, max_concurrent;
    uint64_t max_age_ms, idle_ms;
    struct endpoint *endpoint;
    bool removed;
    /* Token. */
    char *token; /* NULL: none, or refused */
    size_t token_len;
    uint64_t token_serial, token_expires_wall_ms;
    uint64_t token_margin_ms; /* what a login takes: of no use when so near its end */
    uint64_t token_asked_at;  /* ms: the broker knows that mail waits; 0: not told */
    unsigned rejections;      /* tokens refused since the last good login */
    /* State, as the broker said or as a reply called for just now. */
    enum account_state state;
    uint64_t until_wall_ms;
    char *state_text;
    /* Pool. */
    struct list pool[POOL_LISTS];
    struct line waiting;           /* upstream_tx.turn */
    struct list running;           /* upstream_tx.run_node */
    bool pumping, pump_again;      /* inside pool_pump; something changed meanwhile */
    size_t jobs;                   /* waiting, running and in live mode at the origin */
    struct list_node blocked_node; /* table->blocked: waits for the global limit */
    struct list_node crowd_node;   /* endpoint->crowd: waits for others to be connected */
    struct timer pump_timer;
    /* Capacity: capacity.c. */
    struct limits limits;
    struct concurrency concurrency;
    struct breaker breaker;
    struct login *told;  /* the newest job's: clients are told there what holds it back */
    uint64_t told_until; /* ms; 0: nothing */
    bool on_trial;       /* it was held back: one message at a time until one is accepted */
    unsigned relapses;   /* holds in a row without a message accepted in between */
    struct ledger ledger;
    struct group_share *share;      /* NULL: it is in no group */
    struct list_node share_node;    /* share.waiting: a message waits for the owner's answer */
    struct window *logins;          /* of the last minute; NULL: none were counted */
    uint64_t dial_not_before;       /* ms */
    uint64_t login_not_before;      /* ms: the provider wants fewer logins */
    struct smtp_reply last_failure; /* what waiting jobs are told */
    /* Connections ahead of mail: warm.c. */
    struct conf_prewarm prewarm; /* max_connections 0: none */
    struct demand *demand;       /* NULL: no mail came yet */
    uint32_t warm;               /* so many are to be ready in this minute */
    struct timer warm_timer;
    /* For administrators. */
    struct list probes;          /* probe.node */
    struct diagnosis *diagnosis; /* NULL: none is under way */
    bool checking;               /* an idle connection is asked for a sign of life */
    uint64_t messages[OUTCOMES]; /* by what became of them */
    uint64_t last_delivery_wall_ms;
};

struct account_table {
    struct worker *worker;
    struct account *accounts;
    struct endpoint *endpoints;
    struct group *groups;       /* that this worker owns */
    struct group_share *shares; /* of groups that its accounts are in */
    struct list blocked;        /* account.blocked_node */
    struct list gone;           /* client.pool_node: ended, freed in the next turn */
    struct timer bury;
    struct list untold; /* ledger.node: the broker does not know yet what they sent */
    struct timer tell;
    struct timer wake; /* a server serves again, or a limit is another: who waits may go on */
    bool serving;      /* inside pool_serve_blocked */
    size_t jobs;
    size_t running;
};

struct account *account_find(struct account_table *table, struct slice id);
/* The last job or connection is gone: frees a removed account. */
void account_maybe_free(struct account *account);

/* May it send now? If not, *out is what the client is told. */
bool account_may_send(struct account *account, struct smtp_reply *out);
/* Or are they closed, as the account cannot send until somebody has mended it? */
bool account_keeps_connections(const struct account *account);
bool account_token_valid(const struct account *account);

/* Code, enhanced code and text in one line. */
void account_describe(const struct smtp_reply *reply, char *out, size_t cap);
/* What a reply says of the account as a whole: state, pause, BDAT. */
void account_apply(struct account *account, const struct verdict *verdict,
                   const struct smtp_reply *reply);
/* The provider refused the token with this serial. */
void account_token_refused(struct account *account, uint64_t serial, const struct verdict *verdict,
                           const struct smtp_reply *reply);
