/* The simulated provider: one loop, one thread, everything in one place. */
#pragma once

#include <openssl/ssl.h>

#include "net/listen.h"
#include "net/loop.h"
#include "sim/accounts.h"
#include "sim/certs.h"
#include "sim/codes.h"
#include "sim/delay.h"
#include "sim/devices.h"
#include "sim/http_server.h"
#include "sim/keys.h"
#include "sim/knobs.h"
#include "sim/options.h"
#include "sim/outbox.h"
#include "sim/recorder.h"
#include "sim/stats.h"

/* The directory that Microsoft's accounts and applications are in. */
#define SIM_TENANT "5e1f0000-beef-4000-8000-00000000cafe"
#define SIM_TENANT_CONSUMERS "9188040d-6c67-4c5b-b112-36a304b66dad"

#define SIM_ERRORS 64 /* protocol errors whose text is remembered */
#define SIM_ERROR_TEXT 200

struct sim;
struct session;

struct listener {
    struct acceptor acceptor;
    struct sim *sim;
    struct listen_spec spec;
    int port; /* the real one */
};

struct sim {
    struct loop loop;
    struct delay delay;
    struct options options;
    struct certs certs;
    struct keys keys;
    SSL_CTX *tls;
    EVP_MD *sha256;     /* fetched once: a look-up by name costs more than the digest */
    struct knobs knobs; /* the global layer */
    struct clients clients;
    struct accounts accounts;
    struct codes codes;
    struct devices devices;
    struct recorder recorder;
    struct stats totals;
    struct listener listeners[OPTIONS_LISTENERS];
    size_t listener_count;
    struct http_server http, control;
    struct list sessions;   /* session.node */
    uint64_t connections;   /* accepted since start */
    struct out_pool outbox; /* spare items */
    char *scratch;          /* SIM_SCRATCH octets for one input at a time */
    char front_host[32], store_host[64];
    char errors[SIM_ERRORS][SIM_ERROR_TEXT];
    uint64_t error_count;
};

/* Decoded content of one read, or a decoded SASL message. */
#define SIM_SCRATCH (2 * LOOP_SCRATCH_BYTES + 64)

/* Starts accepting; the listening sockets' ports are known then. */
bool listeners_start(struct sim *sim, struct reason *why);
void listeners_close(struct sim *sim);

/* Either may be NULL. */
struct knob_scope sim_scope(struct sim *sim, struct account *user);
struct knob_scope sim_token_scope(struct sim *sim, struct client *client, struct account *user);
/* The wall clock of the HTTPS port, which the knob clock_skew_s puts wrong. */
uint64_t sim_wall_ms(struct sim *sim);
bool sim_tenant_known(const struct sim *sim, struct slice tenant);
/* A client broke the protocol: counted, and the text is kept for GET /state.
 * `session` NULL: over HTTP. */
void sim_error(struct sim *sim, struct session *session, const char *what);
/* The applications that are there for everybody. */
bool sim_add_clients(struct sim *sim, struct reason *why);
