/* Records on their way to being accounts.
 *
 *     checked -> [verified at the token endpoint] -> written to the store -> an account
 *
 * Each record has its own verdict; one that is refused changes nothing and delays
 * none. Whether it exists already is looked at before its endpoint is asked, and
 * again by the store. A refresh token that the verification replaced is what is
 * stored, and the access token that came is the account's.
 */
#pragma once

#include <jansson.h>

#include "broker/account.h"
#include "broker/oauth/verify.h"
#include "broker/store/store.h"

struct broker;
struct intake;

enum intake_verdict {
    INTAKE_PENDING,
    INTAKE_ADDED,
    INTAKE_UPDATED,
    INTAKE_BAD,        /* the record is wrong */
    INTAKE_EXISTS,     /* and overwrite is false, or it is in the batch twice */
    INTAKE_UNVERIFIED, /* the token endpoint did not give a token */
    INTAKE_FAILED      /* our trouble: the store, memory */
};

struct intake_item {
    struct intake *intake;
    size_t number; /* as people count, from 1 */
    enum intake_verdict verdict;
    bool verified;
    char *email; /* for messages; "?" none */
    char field[64];
    char error[OAUTH_TEXT_MAX + 160];
    /* On its way. */
    json_t *object; /* what will be stored */
    bool verify, overwrite;
    char *superseded; /* the refresh token that the verification replaced, NULL: none */
    struct account_record *record;
    struct verify check;
    struct token_grant grant;
    const struct store_place *place; /* see store_edit; the owner's */
    struct list_node node;
};

struct intake {
    struct broker *broker;
    struct intake_item *items;
    size_t count, done;
    bool together; /* one write for all, once all are verified */
    uint64_t give_up_ms;
    /* Called for each item, once, perhaps from inside intake_check and intake_start;
     * NULL: nobody asks. */
    void (*item_done)(struct intake *intake, struct intake_item *item);
    /* Behind the last item; frees the intake. Never from inside of a call here. */
    void (*finished)(struct intake *intake);
    void *owner;
    /* Its own. */
    struct list_node broker_node;
    struct setup *setup;       /* what records are checked against, a reference */
    struct intake_name *names; /* hash: ids and logins that came before */
    struct list checked;       /* intake_item.node: to be written */
    size_t verifying;
    struct store_write write;
    struct intake_item **writing; /* the items of the write under way */
    struct timer turn;
};

/* For `count` records. `verify_ms`: how long throttled verifications may wait.
 * NULL: memory is out. */
struct intake *intake_new(struct broker *broker, size_t count, uint64_t verify_ms);
void intake_free(struct intake *intake);

/* Checks one object of a request, with "verify" and "overwrite" in it; the
 * reference is the caller's. What is wrong stands in the item then. */
void intake_check(struct intake_item *item, const json_t *object);
/* The same for what is no object at all: the words are why. */
void intake_refuse(struct intake_item *item, const char *why);
/* Goes on with it, if it is good so far. Each item must be started once. */
void intake_start(struct intake_item *item);

/* The end of the broker: those that are at work end with what they have. */
void intakes_abandon(struct broker *broker);

static inline bool intake_item_ok(const struct intake_item *item)
{
    return item->verdict == INTAKE_ADDED || item->verdict == INTAKE_UPDATED;
}
