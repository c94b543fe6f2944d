/* The broker's question what the accounts' pools look like. */
#pragma once

#include "ipc/ipc.h"
#include "relay/relay.h"

/* On the main thread: asks the workers; IPC_POOL messages, sorted by id, and
 * one IPC_SNAPSHOT_DONE follow. */
void snapshot_take(struct relay *relay, const struct ipc_snapshot *query);
