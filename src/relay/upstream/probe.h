/* An administrator's question whether an account can log in at its provider:
 * answered by the account's next login, within all its limits, whatever holds
 * its mail back; nothing is sent.
 *
 *     below the cap: dial      -> logged in, or refused: that is the answer
 *     at the cap: RSET on an idle connection -> alive: it is logged in
 *                                            -> dead: dial
 *     all at work: wait for one
 *
 * A connection of its own a probe never has: any set-up that ends while it
 * waits answers it, and what it has dialled is the pool's.
 */
#pragma once

#include "relay/upstream/account.h"

struct client;

/* Does what can be done for the account's probes; from pool_pump. */
void probe_pump(struct account *account);

/* A set-up has ended, or an idle connection has given its sign of life. */
void probe_logged_in(struct account *account);
/* `code` 0: no reply of the provider. A refused token is tried once more with
 * another. */
void probe_failed(struct account *account, enum phase phase, unsigned code,
                  const struct verdict *verdict, const struct smtp_reply *reply);

/* The account goes, or the relay ends. */
void probe_fail_all(struct account *account, const char *text);
