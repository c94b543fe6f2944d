/* Asks token endpoints whether the grants of records that are no accounts yet are
 * good: fully parallel within a limit per token host, no waiting in between.
 *
 *     begun -> WAITING (host is full or paused) -> RUNNING -> done
 *                  ^----------- throttled -----------'
 *
 * A host that answers "too often" is left alone for as long as it says, gets half
 * of the requests at once from then on, and one more for each round of successes.
 * These requests have connections of their own, so that they hold up no token for
 * which mail waits.
 */
#pragma once

#include "broker/oauth/response.h"
#include "broker/oauth/token.h"

struct http;
struct verifier;
struct verify_host;

enum verify_phase { VERIFY_NONE, VERIFY_WAITING, VERIFY_RUNNING, VERIFY_ENDED, VERIFY_PHASES };

struct verify {
    /* The caller's, until done is called. */
    const struct account_record *record;
    uint64_t give_up_ms; /* loop time: a throttle that lasts longer ends it */
    void (*done)(struct verify *verify);
    void *owner;
    /* The answer. */
    enum oauth_class class_;
    struct token_grant grant; /* OAUTH_OK; the owner clears it */
    char *refresh_token;      /* that replaces the record's, NULL: none; the owner's */
    char text[OAUTH_TEXT_MAX];
    /* The verifier's own. */
    enum verify_phase phase;
    struct verify_host *host;
    struct list_node node; /* on the phase's list of the host */
    struct http_request *request;
    bool tried; /* once without an answer */
};

/* `clocks` of the token endpoints; it must last as long. */
struct verifier *verifier_new(struct loop *loop, struct http *http, struct clocks *clocks);
/* The configuration's limits, from now on. */
void verifier_configure(struct verifier *verifier, const struct conf *conf);
/* Whoever still waits is not called any more. */
void verifier_free(struct verifier *verifier);

/* Never calls `done` before it returns. False: memory is out, nothing was begun. */
bool verify_begin(struct verifier *verifier, struct verify *verify);
/* No callback follows. Of an answer that came already, grant and refresh_token stay
 * the owner's. */
void verify_cancel(struct verify *verify);
