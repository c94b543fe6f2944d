/* A provider for unit tests: its own threads, blocking OpenSSL, and a script of
 * what to do at which step. It records what it accepted, and how many
 * connections were open at once. */
#pragma once

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "net/listen.h"

enum step {
    STEP_CONNECT, /* before TLS, where it is implicit */
    STEP_GREETING,
    STEP_EHLO,
    STEP_STARTTLS,
    STEP_AUTH,
    STEP_MAIL,
    STEP_RCPT,
    STEP_DATA,
    STEP_CONTENT, /* half of it has been read */
    STEP_FINAL,   /* all of it has been read */
    STEP_RSET,
    STEP_QUIT,
    STEP_IDLE, /* behind a final reply */
    STEPS
};

enum act {
    ACT_OK,
    ACT_CLOSE,
    ACT_RESET,
    ACT_STALL,        /* says nothing until the other side closes */
    ACT_SAY,          /* `text` instead of the reply; 4xx and 5xx refuse */
    ACT_SAY_CLOSE,    /* and closes */
    ACT_ALSO,         /* the usual reply and `text` behind it, in one write */
    ACT_DRIP,         /* the usual reply, an octet every 20 ms, never its end */
    ACT_ACCEPT_CLOSE, /* FINAL: takes the message and closes without a word */
    ACT_LATE,         /* the usual reply after `text` milliseconds */
    ACT_HOLD          /* the usual reply when provider_let_go is called */
};

/* The first row that matches decides. */
struct fault {
    unsigned conn; /* the how-manieth connection, from 1; 0: any */
    unsigned nth;  /* the how-manieth time on it, from 1; 0: any */
    enum step step;
    enum act act;
    const char *text;
};

#define PROVIDER_IDS 4096
#define PROVIDER_PEERS 16384
#define PROVIDER_FAULTS 16

struct provider {
    int listener;
    uint16_t port;
    SSL_CTX *tls;
    bool implicit;
    const char *refused_token; /* 535 to a login with it, after a while */
    const char *caps;          /* lines of the EHLO answer, NULL: the usual */
    struct fault faults[PROVIDER_FAULTS];
    size_t fault_count;
    /* Random faults: one step in so many goes wrong, 0: none. */
    unsigned one_in;
    uint64_t seed;
    /* What happened; behind the lock. */
    pthread_mutex_t lock;
    pthread_t acceptor;
    pthread_t threads[PROVIDER_PEERS];
    int fds[PROVIDER_PEERS]; /* -1 when closed */
    unsigned connections;    /* all that ever were */
    unsigned most;           /* open at once */
    unsigned logins, messages, resets;
    unsigned char accepted[PROVIDER_IDS]; /* by the number in the content */
    char last_token[256];
    char commands[65536]; /* of all connections, lines joined by '\n' */
    atomic_bool stopping;
    atomic_uint held, let_go; /* replies held back, in all; those that may leave */
};

void provider_start(struct provider *provider, SSL_CTX *tls);
/* Call while nothing runs. */
void provider_script(struct provider *provider, const struct fault *faults, size_t count);
/* Replies that are held back now; those leave, and with the script as it is no others
 * before the next call. */
unsigned provider_held(struct provider *provider);
void provider_let_go(struct provider *provider);
void provider_stop(struct provider *provider); /* joins all threads */
unsigned provider_accepted(struct provider *provider, unsigned id);
unsigned provider_open(struct provider *provider);
unsigned provider_count(struct provider *provider, const char *command); /* in the record */
