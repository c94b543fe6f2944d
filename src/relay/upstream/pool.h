/* Who gets a connection, and when a new one is made: per account, O(1). */
#pragma once

#include "relay/upstream/account.h"
#include "relay/upstream/client.h"
#include "relay/upstream/tx.h"

/* Does what can be done for the account's waiting jobs: lends idle
 * connections, dials below the cap, fails what cannot be served. */
void pool_pump(struct account *account);

/* From client.c. Ready: logged in, or back from a transaction. Failed: it did
 * not become ready; `reply` is the provider's with this code, or (0) made of
 * the reason. */
void pool_client_ready(struct client *client);
void pool_client_failed(struct client *client, enum phase phase, unsigned code,
                        const struct verdict *verdict, const struct smtp_reply *reply);
/* For probe.c: the newest idle connection that is still good (`fresh`: one that
 * has carried nothing yet), and what has to be waited for. */
struct client *pool_take_idle(struct account *account, bool fresh);
void pool_ask_for_token(struct account *account);
void pool_pump_later(struct account *account, uint64_t ms);
/* Why it has no connection to give: what failed last, no token, or which limit
 * it was and when there is room again where that is known. Counts the refusal. */
void pool_say_why(struct account *account, struct smtp_reply *reply);

/* A connection is gone or a job ended: there may be room. */
void pool_room(struct account *account);

/* Puts a job in the account's line (at its head when it was tried already). False:
 * memory is out. */
bool pool_wait(struct account *account, struct upstream_tx *tx);
void pool_wait_first(struct account *account, struct upstream_tx *tx);
void pool_leave(struct account *account, struct upstream_tx *tx);
/* Answers every waiting job. */
void pool_fail_waiting(struct account *account, const struct smtp_reply *reply);
/* The account or its state has changed: closes idle connections that no longer fit or are
 * too many, and those under way with what was true before. */
void pool_retire(struct account *account);
void pool_close_idle(struct account *account);
/* Lets accounts go on that waited for the global limit. */
void pool_serve_blocked(struct account_table *table);
size_t pool_connections(const struct account *account);
