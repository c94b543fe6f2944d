/* An administrator's question what is wrong with an account at its mail server: a
 * connection is made, and each step of it told (IPC_DIAGNOSIS_STEP), as far as a MAIL
 * that RSET takes back. Nothing is sent.
 *
 *     below the cap: dial, within the limit of logins; a breaker's pause is cut short
 *                    to a second, for this is its trial
 *     at the cap: an idle connection is examined, and serves on
 *     all at work: wait for one
 *
 * What it has dialled is the pool's. A token that is refused is replaced once, as for
 * mail, so that what the account learns is what mail would have taught it. One at a
 * time for an account.
 */
#pragma once

#include "relay/upstream/account.h"

struct client;
struct diagnosis;

/* Does what can be done for it; from pool_pump. */
void diagnosis_pump(struct account *account);
/* The account goes, or the relay ends. What is connected already ends by itself. */
void diagnosis_fail(struct account *account, const char *why);
/* No connection is left, and no loop will run: it ends now. */
void diagnosis_abandon(struct account *account);

/* --- for client.c: the connection of client->diagnosis ------------------------------ */

/* It is this connection that is examined; once, as it begins. */
void diagnosis_attach(struct diagnosis *diagnosis, struct client *client);
/* A handshake begins. */
void diagnosis_watch(struct client *client, SSL *ssl);
/* A step has succeeded. `reply`: the server's, or NULL. */
void diagnosis_step(struct client *client, enum ipc_step step, const struct smtp_reply *reply);
/* The server said more of the refusal that follows. */
void diagnosis_detail(struct client *client, const char *status);
/* It is logged in. True: MAIL is on its way, client_try_sender was called. */
bool diagnosis_tries_sender(struct client *client);
/* MAIL was answered; the connection is let go. */
void diagnosis_sender_answered(struct client *client, const struct verdict *verdict,
                               const struct smtp_reply *reply);
/* The set-up failed; `code` 0: `reply` is not the server's. */
void diagnosis_failed(struct client *client, enum phase phase, unsigned code,
                      const struct verdict *verdict, const struct smtp_reply *reply);
/* Its token was refused to another connection; this one ends, and the next has another. */
void diagnosis_token_gone(struct client *client);
/* The connection ends for another reason. */
void diagnosis_lost(struct client *client, const char *why);
