/* What an account may do now, by the limits of relay/limit/, and what its clients
 * are told when it may not. capacity.c: messages and connections; attempts.c:
 * logins, and what fails again and again. */
#pragma once

#include "relay/upstream/account.h"

struct client;
struct upstream_tx;

/* From the broker's word. False: memory is out. */
bool capacity_set(struct account *account, const struct ipc_account *from);
void capacity_clear(struct account *account);

/* --- messages ----------------------------------------------------------------- */

/* Connections that it may have now. */
uint32_t capacity_connections(const struct account *account);
/* Messages that the limits have room for now. */
uint64_t capacity_room(struct account *account);
/* How long until this message may begin; 0: now. */
uint64_t capacity_wait(struct account *account, const struct upstream_tx *tx);
/* The message waits: will there be room for it too late? Then *reply says so, and
 * it is counted as a refusal. */
bool capacity_refuses(struct account *account, const struct upstream_tx *tx, bool in_its_turn,
                      struct smtp_reply *reply);
/* A message that waits is refused for the account's lack of `reply`'s kind: it
 * names the limit and, where that is known, the time. Counts it. */
void capacity_say_full(struct account *account, struct smtp_reply *reply);

/* A flight begins, has one recipient more, ends. tx->taken: the provider may have
 * the message. */
void capacity_begin(struct upstream_tx *tx);
bool capacity_more(struct upstream_tx *tx, struct smtp_reply *refusal);
void capacity_end(struct upstream_tx *tx);
/* The provider accepted it, or said that the account has too many at work. Before
 * capacity_end. */
void capacity_accepted(const struct upstream_tx *tx);
void capacity_too_many(const struct upstream_tx *tx, const struct verdict *verdict);

/* Clients of this login hear at MAIL what is known then. */
void capacity_told_through(struct account *account, struct login *login);
/* Tells them whether messages would be refused now. */
void capacity_tell(struct account *account);

/* --- attempts to connect -------------------------------------------------------- */

/* How long until a connection may be begun; 0: now. */
uint64_t attempts_wait(const struct account *account);
uint64_t attempts_breaker_wait(const struct account *account); /* of that: for breakers */
void attempts_begin(struct client *client);
/* The end of a set-up that was begun; the first word counts. `why` with a failure. */
void attempts_succeeded(struct client *client);
void attempts_failed(struct client *client, enum phase phase, const struct verdict *verdict,
                     const struct smtp_reply *why);
void attempts_dropped(struct client *client);
/* It is of no use to wait for a connection: the account's fail, or the server's. */
bool attempts_are_vain(const struct account *account);
/* Nothing that failed before counts any more. */
void capacity_forgive(struct account *account);
/* What failed, and when it is tried again; for who waits in vain. False: nothing
 * has failed. */
bool attempts_say_failed(const struct account *account, struct smtp_reply *reply);

/* Milliseconds until another login is within logins_per_minute; 0: now. */
uint64_t attempts_login_wait(const struct account *account);
/* Within the last minute, those under way too. */
uint32_t attempts_logins(const struct account *account);
