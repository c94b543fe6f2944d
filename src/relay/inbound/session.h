/* One client connection: greeting, EHLO, STARTTLS, AUTH, transactions. */
#pragma once

#include "relay/worker.h"

struct session;

/* Takes over an accepted descriptor: refuses it (421) when a limit is reached,
 * else opens a session. */
void session_accept(struct worker_listener *listener, int fd, const struct net_address *peer);

/* Drain: idle sessions get 421 and end, others at the end of their
 * transaction. */
void session_drain_all(struct worker *worker);
/* Ends those whose account was removed or changed: with 421, at once or behind
 * the verdict of a message that was handed over. */
void session_end_removed(struct worker *worker);
/* Ends every session at once. */
void session_close_all(struct worker *worker);
