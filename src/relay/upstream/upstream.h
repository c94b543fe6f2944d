/* The provider's side of a worker: accounts, pools, connections, transactions.
 * Everything here runs on the worker that owns the account. */
#pragma once

#include "ipc/ipc.h"
#include "relay/job.h"
#include "relay/worker.h"

struct account_table *upstream_new(struct worker *worker);
/* Every job is back with its origin. Closes what is open. */
void upstream_free(struct account_table *table);

/* The broker's word on an account of this worker. */
void upstream_put(struct worker *worker, const struct ipc_account *from);
void upstream_remove(struct worker *worker, struct slice id);
void upstream_token(struct worker *worker, const struct ipc_token *token);
void upstream_state(struct worker *worker, const struct ipc_state *state);

/* Of this worker's groups: the limits that the account's is told with. */
void upstream_group(struct worker *worker, const struct ipc_account *account);
/* What it sent before this process, or before it came to it. */
void upstream_ledger(struct worker *worker, const struct ipc_ledger_put *put);
/* The broker knows all that was sent. */
void upstream_tell_ledgers(struct worker *worker);

/* Logs in for an administrator; IPC_PROBE_DONE follows. */
void upstream_probe(struct worker *worker, const struct ipc_probe *ask);

/* The same, step by step; IPC_DIAGNOSIS_STEP and then IPC_DIAGNOSIS_DONE follow. */
void upstream_diagnose(struct worker *worker, const struct ipc_diagnose *ask);

/* A job from its origin; see job.h. */
void upstream_submit(struct job *job);
void upstream_cancel(struct job *job);

/* Settings were replaced (worker->settings is the new one). */
void upstream_settings_changed(struct worker *worker);
/* No idle connection is kept any longer; running transactions go on. */
void upstream_drain(struct worker *worker);
/* The time to drain is over: every job ends now, with an answer. */
void upstream_abort(struct worker *worker);
/* Jobs and connections still there: a draining worker waits for 0. */
size_t upstream_busy(const struct worker *worker);
