/* Workers with the real upstream code, jobs without sessions, and a broker that
 * only listens (or gives tokens). The test's thread runs worker 0's loop; with
 * threads, workers run by themselves. */
#pragma once

#include "relay/directory.h"
#include "relay/job.h"
#include "relay/provider.h"
#include "relay/upstream/account.h"
#include "relay/upstream/upstream.h"
#include "relay/worker.h"

#define WORLD_JOBS 4096
#define PATIENCE_MS 15000

struct sent {
    struct job job;
    unsigned id;
    unsigned dones; /* how often `done` was called */
    unsigned delay_ms;
    struct login *login;
    bool over; /* a final outcome was given */
};

struct broker_ear {
    pthread_mutex_t lock;
    unsigned wanted, rejected, observed, resolves;
    uint32_t last_state;
    bool gives_tokens; /* answers WANTED and REJECTED with a fresh one */
    uint64_t serial;
    unsigned life_ms;
    /* Hears each message, behind the lock. */
    void (*hear)(const struct ipc_message *message);
};

extern struct provider provider;
extern struct relay *relay;
extern struct worker *first; /* worker 0 */
extern struct conf *world_conf;
extern struct broker_ear ear;
extern struct sent sents[WORLD_JOBS];

void world_open(unsigned workers); /* does not start threads */
void world_start(void);            /* now it does */
void world_close(void);            /* checks that nothing is left */
struct ipc_account world_account(const char *id, unsigned max_connections);
void world_put(const struct ipc_account *account); /* before world_start, or on its thread */
void world_token(const char *id, unsigned life_ms);
void world_state(const char *id, enum account_state state);
struct account *world_find(const char *id);

/* A message with `size` octets and so many recipients; ready to submit. */
struct sent *world_job(const char *account, unsigned id, size_t size, unsigned rcpts);
struct sent *world_job_of(struct worker *origin, const char *account, unsigned id, size_t size,
                          unsigned rcpts);
struct sent *world_submit(const char *account, unsigned id, size_t size, unsigned rcpts);
void world_add_rcpt(struct sent *sent, const char *address);
void world_run(unsigned ms);
void world_wait_held(unsigned count); /* until the provider holds so many replies back */
void world_wait_open(unsigned count); /* until so many connections are open at it */
bool world_until(bool (*condition)(void *), void *arg);
void world_wait(struct sent *sent, unsigned dones); /* fails when it does not come */
void world_forget(struct sent *sent);               /* frees what the job holds */
void check_outcome(const struct sent *sent, enum job_outcome outcome, int code);
void check_caps(void); /* counters agree and no cap is exceeded, on the loop's thread */

/* Where one account is enough, it is A. */
#define A "a@example.com"
#define MIB (1u << 20)
#define SCRIPT(...)                                                                                \
    provider_script(&provider, (struct fault[]){__VA_ARGS__},                                      \
                    COUNT_OF(((struct fault[]){__VA_ARGS__})))

void open_with(unsigned max_connections); /* gives the open world A and its token */
void begin(unsigned max_connections);     /* a world of one worker, with A */
struct sent *deliver(unsigned id, size_t size, unsigned rcpts); /* submits and waits */
