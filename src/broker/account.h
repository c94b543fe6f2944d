/* An account as the broker keeps it: the operator's record, the token, and
 * why it cannot send, if it cannot.
 *
 * Four parties can hold an account back: the operator, the provider (as the
 * relay hears it), the token endpoint, and this host, which may lack the
 * address that the account sends from. Each has its own hold, so that a fresh
 * token does not end a quota's pause; the account's state is the worst of
 * them. Only account_hold changes a state.
 */
#pragma once

#include <uthash.h>

#include "broker/addresses.h"
#include "broker/oauth/token.h"
#include "broker/store/record.h"
#include "ipc/ipc.h"
#include "net/timer.h"

enum hold_by { HOLD_OPERATOR, HOLD_PROVIDER, HOLD_TOKEN, HOLD_ADDRESS, HOLDS };

struct hold {
    enum account_state state; /* ACCOUNT_ACTIVE: none */
    uint64_t until_wall_ms;   /* 0: until it is lifted */
    uint64_t since_wall_ms;   /* when it came to this state; 0: it was never in another */
    const char *text;         /* NULL: none; shared: an endpoint that is down concerns many */
};

struct registry;

struct account {
    UT_hash_handle by_id, by_login;
    struct registry *registry;
    struct account_record *record;
    uint64_t serial;     /* in the order in which accounts came to be; never given twice */
    uint64_t generation; /* see ipc.h */
    bool in_relay;       /* the relay knows it and is kept informed */
    bool listed;         /* during a reload: the store still has it */
    bool settled;        /* its record has taken effect: what its state becomes is news */
    struct hold holds[HOLDS];
    enum hold_by worst;      /* whose hold is the account's state */
    struct timer hold_timer; /* ends the provider's hold */
    struct token token;
    uint64_t checks_spent_ms;   /* loop time up to which its checks are used up: accounts_check.c */
    struct address_user source; /* in registry->addresses; account_address.c */
};

static inline enum account_state account_state(const struct account *account)
{
    return account->holds[account->worst].state;
}

static inline const struct hold *account_worst(const struct account *account)
{
    return &account->holds[account->worst];
}

/* When it came to its state, by the wall clock; 0: it was never in another. */
uint64_t account_since(const struct account *account);

/* NULL when memory is out; the record then stays the caller's. */
struct account *account_new(struct registry *registry, struct account_record *record);
void account_free(struct account *account);

/* Sets or (ACCOUNT_ACTIVE) lifts one party's hold; tells the relay, and registry->changed when
 * the account's state has changed. A provider's hold with a time ends by
 * itself. */
void account_hold(struct account *account, enum hold_by by, enum account_state state,
                  uint64_t until_wall_ms, const char *text);
