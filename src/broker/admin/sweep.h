/* Verification of accounts that are there: each one's token endpoint is asked now,
 * through the account's own token, and then, if wanted, its mail server by a login
 * through the relay. Nothing of the account changes but its state.
 */
#pragma once

#include <jansson.h>

#include "broker/admin/filter.h"
#include "broker/admin/request.h"
#include "broker/oauth/token.h"

struct broker;
struct sweep;

struct sweep_result {
    struct sweep *sweep;
    char *id, *email;
    uint64_t generation;     /* of the account that was asked about */
    enum oauth_class class_; /* of the token endpoint's answer */
    bool token_ok, smtp_asked, smtp_ok, probing;
    char *token_text, *smtp_text; /* of failures; NULL: none, or memory is out */
    uint64_t began_ms;
    struct token_waiter waiter;
};

struct sweep {
    struct broker *broker;
    struct sweep_result *results;
    size_t count, next, running, done;
    bool smtp, cut; /* cut: nobody wants the rest any more */
    void (*result)(struct sweep *sweep, struct sweep_result *result); /* NULL: nobody asks */
    void (*finished)(struct sweep *sweep); /* frees the sweep; never from inside sweep_begin */
    void *owner;
    struct list_node broker_node;
    struct timer turn;
};

/* Whether so many more may be at work: what they take is memory. */
bool sweep_has_room(const struct broker *broker, size_t count);
/* For `count` accounts at most, which sweep_add then names. NULL: memory is out. */
struct sweep *sweep_new(struct broker *broker, size_t count);
/* All accounts that the filter lets through; NULL: all. accounts_verify.c. */
struct sweep *sweep_filtered(struct broker *broker, const struct filter *filter);
/* False: there is no room for so many more, and 503 was replied. */
bool sweep_check_room(struct admin_request *request, size_t count);
bool sweep_add(struct sweep *sweep, const struct account *account);
void sweep_begin(struct sweep *sweep);
/* Asks about no further ones; `finished` comes behind those that are under way. */
void sweep_cut(struct sweep *sweep);
void sweep_free(struct sweep *sweep);

/* The end of the broker: those that are at work end with what they have. */
void sweeps_abandon(struct broker *broker);

/* Whether the provider has declared the grant dead that the account still has. An
 * outage, a time-out, a throttle or a wrong client secret says nothing of it. */
bool sweep_result_dead(const struct sweep_result *result);
/* What was said of the token, "" nothing. */
const char *sweep_result_text(const struct sweep_result *result);
/* As the API shows it. */
json_t *sweep_result_json(const struct sweep_result *result);
static inline bool sweep_result_ok(const struct sweep_result *result)
{
    return result->token_ok && (!result->smtp_asked || result->smtp_ok);
}
