/* Shared by tx.c (life), tx_send.c (what goes out) and tx_reply.c (what comes
 * back); nobody else includes it. */
#pragma once

#include "relay/upstream/tx.h"

#define ATTEMPTS_MAX 3 /* one, and two silent retries */

const struct conf *tx_conf(const struct upstream_tx *tx);
struct recipient *tx_newest_rcpt(struct upstream_tx *tx);

/* tx.c: every ending. The transaction is freed by finish, and by lose unless
 * it starts over. */
void tx_leave_lists(struct upstream_tx *tx);
/* Live mode: the job goes back to its origin and the transaction stays. */
void tx_hand_back(struct upstream_tx *tx, enum tx_state state);
/* Back to the line, at its head, for a fresh connection. */
void tx_start_over(struct upstream_tx *tx);
/* We give the connection up ourselves; with unknown, whatever the state. */
void tx_lose(struct upstream_tx *tx, const char *why);
void tx_lose_unknown(struct upstream_tx *tx, const char *why);
struct verdict tx_judge(const struct upstream_tx *tx, enum phase phase,
                        const struct smtp_reply *reply);

/* tx_send.c */
void tx_wait_reply(struct upstream_tx *tx);
void tx_send_rcpt(struct upstream_tx *tx);
void tx_send_content(struct upstream_tx *tx);
void tx_begin_content(struct upstream_tx *tx);
/* The last octet is with the kernel: from here on nothing is sent again. */
bool tx_is_committed(const struct upstream_tx *tx);
/* What this server cannot carry is refused before a byte is sent. */
bool tx_refuse_locally(struct upstream_tx *tx);
void tx_dry_run(struct upstream_tx *tx);
