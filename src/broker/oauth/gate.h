/* What accounts have in common, and fail together: the token endpoint, and the
 * application (client id, secret or key, scope) at it.
 *
 * When an endpoint is down, or an application's secret has expired, each of
 * 10,000 accounts would find out by itself, again and again. So a gate closes
 * for all of its accounts once several of them have failed in a row without
 * one success between, and then one account a time probes for the others.
 * One account alone never closes a gate: its own record may be what is wrong.
 * Accounts whose token is still valid go on sending meanwhile.
 */
#pragma once

#include <uthash.h>

#include "base/list.h"
#include "broker/oauth/response.h"
#include "ipc/ipc.h"

struct account;
struct tokens;

enum gate_kind { GATE_ENDPOINT, GATE_APP, GATES };

#define GATE_KEY_BYTES 32

struct gate {
    UT_hash_handle hh;
    enum gate_kind kind;
    unsigned char key[GATE_KEY_BYTES];
    struct list accounts;    /* token.gate_nodes[kind] */
    unsigned failures;       /* in a row, of any of them */
    struct account *witness; /* one that failed */
    bool several;            /* and another one */
    bool closed;
    struct account *prober;             /* it asks for all */
    unsigned probes;                    /* failed ones */
    uint64_t next_probe_ms, refused_ms; /* refused: when it was so last */
    char text[OAUTH_TEXT_MAX];          /* what was said last */
    /* Of an endpoint only; see turns.c. */
    struct list queued, urgent; /* token.node */
    size_t running;
    struct list_node turn_node; /* tokens.turns, while somebody is queued */
    /* It says "too often" to many: requests for which no mail waits keep a distance, until
     * it has been content for a while. */
    unsigned throttles;          /* some for each, less with each success */
    struct account *throttled;   /* the last one */
    uint64_t gap_ms, next_at_ms; /* 0: no distance */
    uint64_t paused_until_ms;
    unsigned content;         /* successes since the distance was changed */
    struct host_clock *clock; /* the endpoint's; NULL: taken for ours */
};

/* What accounts behind a closed gate are. */
enum account_state gate_state(enum gate_kind kind);

/* False: memory is out; nothing was joined. */
bool gates_join(struct tokens *tokens, struct account *account);
void gates_leave(struct tokens *tokens, struct account *account);

/* NULL when the account may ask now, else the gate that is closed to it, and
 * for how long. */
struct gate *gates_ask(struct account *account, uint64_t now_ms, uint64_t *wait_ms);

/* The account's probe need not wait for its time, but for some seconds since the last
 * refusal. */
void gates_hasten(const struct account *account, uint64_t now_ms);

/* True: the gate has just closed. */
bool gate_refused(struct gate *gate, struct account *account, uint64_t now_ms, const char *text);
/* True: the gate was closed and is open now. */
bool gate_accepted(struct gate *gate, struct account *account);
/* The endpoint asked the account to wait `pause_ms`. True: all that go there go slower now. One
 * account alone, which may ask too often by itself, slows down nobody. */
bool gate_throttled(struct gate *endpoint, struct account *account, uint64_t now_ms,
                    uint64_t pause_ms);
/* How long the next request for which no mail waits has to wait; and that it goes. */
uint64_t gate_pace(const struct gate *endpoint, uint64_t now_ms);
void gate_paced(struct gate *endpoint, uint64_t now_ms);
/* The account's request ended and says nothing of the gate. */
void gate_untold(struct gate *gate, struct account *account);
