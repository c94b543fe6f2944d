/* The relay's end of the channel to the broker. */
#pragma once

#include "ipc/ipc.h"
#include "relay/worker.h"

/* Runs the main thread's loop over the channel until the broker says drain or
 * goes away; returns the process's exit status. */
int link_run(struct relay *relay, int fd);

/* From any thread: queues one message to the broker. */
bool link_send(struct relay *relay, const struct ipc_message *message);

/* From any thread: runs `fn(arg)` on the main thread. */
void link_call(struct relay *relay, void (*fn)(void *arg), void *arg);

/* Copies a message to a worker's thread and calls `take` there. */
void link_forward(struct worker *worker, const struct ipc_message *message,
                  void (*take)(struct worker *worker, const struct ipc_message *message));
/* From a worker's thread, once: draining, it has no work left. */
void link_worker_drained(struct worker *worker);
