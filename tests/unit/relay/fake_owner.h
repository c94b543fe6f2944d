/* A relay with one worker, whose accounts' owner and broker are this file: what
 * a session sees, without a provider and without a second process.
 *
 * The owner goes by the first recipient's local part: "bad" is rejected,
 * "mixed" has a mixed verdict, "hold" waits for owner_release, "dry" is a dry
 * run, anything else is delivered. Live RCPTs: "bad" is refused, "lost" ends
 * the transaction.
 *
 * The broker knows user@x (password "secret"), open@x (none), and once it is
 * asked late@x (password "secret"); the password "maybe" cannot be checked. */
#pragma once

#include "check.h"

#include "relay/directory.h"
#include "relay/inbound/session.h"
#include "relay/job.h"
#include "relay/request.h"

struct world {
    struct relay relay;
    struct worker worker;
    struct settings settings;
    struct conf conf;
    bool trusted; /* what settings_trusts says */
    /* What the owner was given last. */
    char *content;
    size_t content_len, content_cap;
    char envelope[512]; /* "from -> rcpt rcpt" */
    unsigned submits, delivered, aborts, cancels;
    struct job *held;    /* one at a time: a second one is not held */
    bool hold_cancelled; /* a cancelled job comes back only when released */
    /* The broker. */
    struct question {
        struct request *request; /* NULL: free */
        char login[64], password[64];
    } questions[8];
    bool mute; /* the broker does not answer */
    unsigned lookups, passwords;
};

struct client {
    int fd; /* -1 when the world closed it, after everything was read */
    SSL *ssl;
    char got[65536];
    size_t len;
    bool eof;
};

extern struct world world;

void world_open(void);
void world_close(void);
unsigned world_questions(void); /* that wait for an answer */
void world_set_account(const char *login, bool has_password, uint64_t generation);
/* Lets the relay run until nothing happens any more. */
void world_settle(void);
/* Runs it for some time. */
void world_run_ms(unsigned ms);

/* A client whose first octets may be there before it is accepted. */
void client_open(struct client *client, enum conf_tls tls, const char *address, struct slice early);
void client_send(struct client *client, struct slice bytes);
void client_read(struct client *client);
void client_forget(struct client *client); /* what was read */
void client_close(struct client *client);
void client_start_tls(struct client *client);

/* Gives the held job back with its usual outcome. */
void owner_release(void);
