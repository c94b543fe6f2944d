/* What is true in test_schedules.c, whatever the code believes, and the checks of the one
 * against the other. */
#pragma once

#include "relay/fake_world.h"
#include "relay/limit/limits.h"

#define ACCOUNTS 5
#define GROUP ACCOUNTS /* where its truth is */
#define MEMBERS 3      /* the first accounts */
#define CLIENTS 4
#define JOBS 150
#define EVENTS 4096 /* of a day, at least as many as any limit of ours */
#define ARRIVALS 64
#define MINUTE 60000ull
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

struct work {
    struct job job;
    struct login *login;
    bool used, waits_longer;
    unsigned account, client;
    uint64_t number, since;
};

/* What is true of an account, whatever the code believes. */
struct truth {
    struct ipc_account put; /* the newest settings */
    bool known;
    struct {
        uint64_t at, recipients;
    } taken[EVENTS]; /* ring */
    size_t next;
    uint64_t limited_since[LIMITS];
    uint64_t stuck_since;
    uint64_t numbers[CLIENTS], begun[CLIENTS]; /* of jobs, per client */
    char ledger[8192];                         /* as the broker has it */
    uint64_t ledger_at;
    bool has_ledger;
    uint64_t arrivals[ARRIVALS]; /* ring: when its newest messages came */
    size_t arrived;
};

extern const char *const ids[ACCOUNTS];
extern struct work works[JOBS];
extern struct truth truths[ACCOUNTS + 1]; /* and of the group that some are in */
extern uint64_t steps;

unsigned index_of(struct slice id);
void fail_at(const struct account *account, const char *what);
/* For fake_provider: it takes a message, a flight begins, a connection is made. */
void truth_taken(struct account *account, uint64_t at, uint64_t recipients);
void truth_begin(struct upstream_tx *tx);
void truth_open(struct client *client);
/* After each event. */
void truth_check(void);
