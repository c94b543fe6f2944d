/* The load: when clients send, and what came of it.
 *
 *     CONNECTING    every connection is made and logged in
 *     WARMING       the messages that do not count
 *     MEASURING     those that do; CPU times are read at both ends
 *     ENDING        QUIT everywhere
 *
 * Closed loop: a client that got its answer sends at once. Open loop: messages
 * arrive at their times; the client that has been idle longest takes one, and
 * when none is idle it waits, its latency running. */
#pragma once

#include "load/arrivals.h"
#include "load/client.h"
#include "load/hist.h"
#include "load/message.h"
#include "load/users.h"
#include "net/loop.h"
#include "net/tls.h"

enum load_phase { LOAD_CONNECTING, LOAD_WARMING, LOAD_MEASURING, LOAD_ENDING };

struct load_result {
    uint64_t sent, accepted, refused, lost; /* lost: no answer */
    uint64_t by_code[600];                  /* of the refused */
    uint64_t most_waiting;                  /* open loop: arrivals without a client */
    double seconds, cpu;                    /* cpu: our own */
    double watched[OPTIONS_WATCHED];        /* CPU seconds of --cpu-of */
    struct hist latency;                    /* of the accepted */
};

struct load {
    const struct load_options *options;
    struct loop loop;
    struct net_address server;
    unsigned port;
    SSL_CTX *tls;
    struct tls_peer peer;
    struct message message;
    struct users users;
    uint64_t next_user;
    struct client *clients;
    uint64_t opened;  /* clients in use; while ENDING, those not yet gone */
    struct list idle; /* client.idle, longest idle first */
    enum load_phase phase;
    uint64_t budget;           /* messages of this phase */
    uint64_t issued, answered; /* in this phase; lost ones count as answered */
    uint64_t numbers;          /* of messages, over all phases */
    struct arrivals arrivals;
    struct timer over; /* --seconds */
    bool stopped;      /* nothing more is issued in this phase */
    bool failed;       /* given up; last_loss says why */
    uint64_t *waiting; /* ring of the times of arrivals that no client took yet */
    size_t waiting_cap, waiting_head, waiting_count;
    uint64_t start_us;
    uint64_t connections, losses, losses_in_row;
    struct reason last_loss;
    char tls_text[96];
    struct load_result result;
};

bool load_init(struct load *load, const struct load_options *options, struct reason *why);
/* Until all is done; false: it was given up, `why` says at what. */
bool load_run(struct load *load, struct reason *why);
void load_clear(struct load *load);

/* From clients. */
const struct user *load_next_user(struct load *load);
void load_note_tls(struct load *load, SSL *ssl);
void load_ready(struct load *load, struct client *client);
void load_answered(struct load *load, int code, uint64_t us);
bool load_lost(struct load *load, struct client *client, bool in_message, const char *why);
void load_gone(struct load *load, struct client *client); /* after client_quit */
