/* Limits that accounts share, a tenant's for example. The accounts of a group are on
 * several workers, and one worker, by the hash of the group's name, owns its limits.
 * The others take from it what they need, in a letter that goes to and fro:
 *
 *     share at a worker -- so much has ended; so much is wanted --> owner
 *                      <-- granted; or full, and for how long ---
 *
 * What was granted counts as flying until its end is told, so no window holds more
 * than the limit, and nobody needs a lock. What is not used goes back after a second.
 */
#pragma once

#include "ipc/ipc.h"
#include "relay/limit/limits.h"
#include "relay/worker.h"

struct account;
struct account_table;
struct group;
struct group_share;
struct ledger;

/* --- at the owner --- */

struct group *group_find(struct account_table *table, struct slice name);
struct ledger *group_ledger(struct group *group);
void group_free_all(struct account_table *table);

/* --- at a worker with accounts of it --- */

/* One more holder of the share. NULL: memory is out. */
struct group_share *share_get(struct worker *worker, struct slice name);
struct group_share *share_ref(struct group_share *share);
void share_put(struct group_share *share);
const char *share_name(const struct group_share *share);

/* A message with so many recipients may begin: what it needs is at hand. Else it is
 * asked for, and the account's pump is called with the answer. */
bool share_claim(struct group_share *share, struct account *account, uint64_t recipients);
/* Messages at hand. */
uint64_t share_messages(const struct group_share *share);
/* How long there will be no room, as the owner said last; 0: not known to be full. */
uint64_t share_full(const struct group_share *share, enum limit *which, uint32_t *max);
/* The account waits for no answer any more. */
void share_forget(struct account *account);

/* A flight begins with what was claimed, has one recipient more (false: there is none
 * at hand), and ends. */
void share_begin(struct group_share *share, uint64_t recipients);
bool share_more(struct group_share *share);
void share_end(struct group_share *share, uint64_t recipients, bool counted,
               uint64_t counted_recipients);
void share_free_all(struct account_table *table);
