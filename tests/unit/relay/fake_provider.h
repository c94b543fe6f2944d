/* A provider without sockets, on a clock that the test moves: it stands in for
 * upstream/client.c, so that accounts, pools, transactions and limits run as they are,
 * a million steps in seconds. It knows when each message began and when it counted at
 * the provider. */
#pragma once

#include "relay/upstream/client.h"
#include "relay/upstream/tx.h"

#define FAKE_CLIENTS 512

struct fake_client {
    struct client client;
    bool used;
    uint64_t event_at; /* ms: the provider does something */
    uint64_t began_at; /* of the flight; 0: none */
    uint64_t recipients;
    bool refused, content_sent; /* of the flight */
};

struct fake_provider {
    uint64_t random;
    struct fake_client clients[FAKE_CLIENTS];
    /* Of a thousand. */
    unsigned login_fails, refuses, says_too_many, breaks, says_goodbye;
    bool down;
    uint64_t opened, taken;
    void (*on_open)(struct client *client);
    void (*on_begin)(struct upstream_tx *tx); /* NULL: nobody cares; on_taken likewise */
    /* The provider has the message, since then. */
    void (*on_taken)(struct account *account, uint64_t at, uint64_t recipients);
};

extern struct fake_provider fake;

uint64_t fake_random(uint64_t below);
bool fake_chance(unsigned of_a_thousand);
uint64_t fake_next(void);    /* when it does something; UINT64_MAX: never */
void fake_run(uint64_t now); /* does what is due */
