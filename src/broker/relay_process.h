/* The relay as a process: started, watched, started again.
 *
 * It is a fresh execution of our own program, not a bare fork, so that its
 * memory has never held a refresh token and has an address layout of its own.
 */
#pragma once

#include "broker/listeners.h"
#include "broker/relay_link.h"
#include "broker/relay_stats.h"

struct relay_process;

struct relay_process_events {
    /* A new process reads the link; it knows nothing yet. */
    void (*started)(void *owner, struct relay_link *link);
    void (*message)(void *owner, const struct ipc_message *message);
    /* The link that `started` gave is gone. */
    void (*lost)(void *owner);
    /* The process has ended; `ready`: it had been relaying. Another one is
     * started unless relay_process_end was called, perhaps from here. */
    void (*exited)(void *owner, bool ready);
};

/* `log_fd` becomes the process's standard error. The listeners stay the
 * caller's. NULL when memory is out. */
struct relay_process *relay_process_new(struct loop *loop, const struct listeners *listeners,
                                        int log_fd, const struct relay_process_events *events,
                                        void *owner);
/* Kills what still runs. The memory goes with the loop's next turns. */
void relay_process_free(struct relay_process *process);

bool relay_process_start(struct relay_process *process, struct reason *why);
/* It said that it relays: a later death is no failed start. False: it has said
 * so before. */
bool relay_process_ready(struct relay_process *process);
/* No further start. */
void relay_process_end(struct relay_process *process);
/* At once; `exited` follows. */
void relay_process_kill(struct relay_process *process);
bool relay_process_is_ready(const struct relay_process *process);
bool relay_process_runs(const struct relay_process *process);
long relay_process_pid(const struct relay_process *process); /* 0: none runs */
/* What it counts; see relay_stats_read. */
const struct relay_stats *relay_process_stats(const struct relay_process *process);
uint64_t relay_process_restarts(const struct relay_process *process);
/* What the n-th descriptor of the listeners is called in the process. */
uint32_t relay_process_listener_fd(size_t index);
