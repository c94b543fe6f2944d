/* What the broker asks the relay for an administrator: pools and limits of
 * accounts, whether an account can log in at its provider, and how far
 * one gets there.
 *
 * Each question is answered once, on the loop's thread and never from inside
 * the call that asks; also when there is no relay, when it ends meanwhile and
 * when it does not answer. What it says is a stranger's word: rows of accounts
 * that do not exist are left out, texts are made printable, and rows that
 * nobody asked for are an error of the protocol.
 */
#pragma once

#include "broker/registry.h"

struct relay_view;

struct relay_pool {
    char id[IPC_ID_MAX + 1], endpoint[IPC_ENDPOINT_MAX + 1];
    struct ipc_pool numbers; /* its texts are those above */
};

/* `rows` are sorted by id and valid during the call. `more`: ask again with the
 * last id as `after`. `why` not NULL: no answer, and the reason. */
typedef void relay_view_rows(void *owner, const struct relay_pool *rows, size_t count, bool more,
                             const char *why);
/* One step of a diagnosis; each comes once at most, before `probed`. */
struct relay_step {
    enum ipc_step step;
    enum ipc_step_result result;
    enum account_state state; /* that a refusal calls for */
    unsigned code;            /* of the server's reply; 0: there was none */
    uint64_t took_ms;
    const char *text; /* printable ASCII */
};
typedef void relay_view_step(void *owner, const struct relay_step *step);
/* `text`: what the provider said, or why nobody was asked. */
typedef void relay_view_probed(void *owner, bool ok, const char *text);

struct relay_view *relay_view_new(struct registry *registry); /* NULL: memory is out */
void relay_view_free(struct relay_view *view);                /* nobody is called any more */

/* Up to `limit` accounts behind `after`, of those that the relay knows; or one
 * account when `id` is not "", which gives one row or none. The limit is at
 * most IPC_SNAPSHOT_ROWS. False: memory is out, and nobody will be called. */
bool relay_view_ask(struct relay_view *view, struct slice id, struct slice after, uint32_t limit,
                    relay_view_rows *done, void *owner);

/* A login at the provider within the account's limits, whatever holds its mail
 * back. Takes up to upstream.queue_wait and the time-outs of a login. */
bool relay_view_probe(struct relay_view *view, struct slice id, relay_view_probed *done,
                      void *owner);

/* The same for an account that the registry need not have, under an id that no other has.
 * Whoever made it tells the relay to forget it. */
bool relay_view_probe_account(struct relay_view *view, struct account *account,
                              relay_view_probed *done, void *owner);

/* Looks at each step of a connection to the account's server, as far as a MAIL from
 * `sender` that is taken back. `done` has no text when all went well. */
bool relay_view_diagnose(struct relay_view *view, struct slice id, struct slice sender,
                         relay_view_step *step, relay_view_probed *done, void *owner);

/* Who asked is gone: his questions are not answered. */
void relay_view_forget(struct relay_view *view, const void *owner);

/* From the relay's events. False: the relay does what it must not. */
bool relay_view_take(struct relay_view *view, const struct ipc_message *message);
void relay_view_gone(struct relay_view *view);
