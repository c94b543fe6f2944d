/* A worker on a clock that the test moves, with fake_provider.c for the provider and
 * the test for the broker: hours pass in no time, and nothing depends on how fast the
 * machine is. Needs the --wrap options of unit_wraps. */
#pragma once

#include "relay/directory.h"
#include "relay/fake_provider.h"
#include "relay/upstream/upstream.h"
#include "relay/worker.h"

struct fake_world {
    struct relay relay;
    struct worker *worker;
    struct conf *conf;
    struct settings *settings;
    uint64_t now, wall_offset;                        /* ms */
    void (*heard)(const struct ipc_message *message); /* by the broker; NULL: nobody cares */
    void (*moved)(void);                              /* behind each event; NULL: as above */
    unsigned delivered;                               /* of fake_submit */
};

extern struct fake_world world;

void fake_world_open(uint64_t seed);
void fake_world_close(void);
/* The process: its end gives every message its answer first. */
void fake_process_begin(void);
void fake_process_end(void);

/* Letters to the worker from itself. */
void fake_deliver(void);
/* Everything that happens until then, in its order. */
void fake_run_until(uint64_t to);

/* The broker tells of an account, and gives it a token without end. */
struct ipc_account fake_account(const char *id, uint32_t max_connections);
void fake_put(const struct ipc_account *account);
void fake_token(const struct ipc_account *account);
struct account *fake_find(const char *id);
/* A small message of the account's client; the provider must take it. */
void fake_submit(const char *id);
