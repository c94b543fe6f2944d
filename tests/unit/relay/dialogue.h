/* Scripted dialogues with a session: what a client sends, what it must be
 * answered, each fed whole, octet by octet, and split at every place. */
#pragma once

#include "relay/fake_owner.h"

struct step {
    struct slice send;
    const char *expect; /* all that comes back before the next step */
};

#define STEP(send, expect)                                                                         \
    {                                                                                              \
        {"" send, sizeof(send) - 1}, expect                                                        \
    }
#define DIALOGUE_STEPS 16

enum prelude { NO_PRELUDE, AFTER_EHLO, AFTER_LOGIN };

enum dialogue_flags {
    CLOSES = 1,    /* the session has ended behind the last step */
    WHOLE = 2,     /* what is sent early depends on how it is split */
    UNTRUSTED = 4, /* not one of trusted_clients */
    STARTTLS = 8,  /* the listener offers it */
};

struct dialogue {
    const char *name;
    enum prelude prelude;
    unsigned flags;
    struct step steps[DIALOGUE_STEPS]; /* up to the first that expects NULL */
    void (*set_up)(void);              /* changes the world behind the prelude */
    void (*check)(void);               /* behind the last step */
    const char *content;               /* the last message that the owner got, or NULL */
};

#define GREETING "220 relay.test ESMTP service ready\r\n"
#define EHLO_BASE                                                                                  \
    "250-relay.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n"                         \
    "250-ENHANCEDSTATUSCODES\r\n250-CHUNKING\r\n250-SIZE 200000\r\n"
#define EHLO_REPLY EHLO_BASE "250-LIMITS RCPTMAX=4\r\n250 AUTH PLAIN LOGIN\r\n"
#define AUTH_OPEN "AUTH PLAIN AG9wZW5AeABw\r\n"
#define LOGGED_IN "235 2.7.0 Authentication successful\r\n"

/* Runs one dialogue in all its splits. */
void dialogue_check(const struct dialogue *dialogue);
void dialogues_check(const struct dialogue *dialogues, size_t count);

/* For tests with a course of their own: sends, and demands the answer. */
void client_expect(struct client *client, const char *where, struct slice send, const char *expect);
void client_expect_eof(struct client *client, const char *where);
/* A client that has heard the greeting and done the prelude. */
void client_begin(struct client *client, enum prelude prelude);
#define EXPECT(client, send, expect)                                                               \
    client_expect(client, send, (struct slice){"" send, sizeof(send) - 1}, expect)
