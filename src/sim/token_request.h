/* A request at the token endpoint on its way through identification, the
 * client's authentication, the grant's own checks, and the answer. */
#pragma once

#include "sim/scope.h"
#include "sim/sim.h"
#include "sim/token_errors.h"

#define TOKEN_FIELDS 24

struct token_request {
    struct sim *sim;
    const struct http_request *http;
    const struct profile *profile;
    const char *client_id, *client_secret; /* of the form or of HTTP Basic, or NULL */
    char *fields[TOKEN_FIELDS];            /* what token_field has handed out */
    size_t field_count;
    struct client *client;   /* NULL: not known */
    struct account *account; /* whose token it will be; NULL: not known, or the client's own */
    struct knob_scope knobs;
    struct token_fault fault;
    struct grant *grant;   /* of refresh_token */
    struct code *code;     /* of authorization_code */
    struct device *device; /* of device_code */
    /* what is given out */
    struct scope scope;
    const char *refresh_token; /* or NULL */
    struct grant *given;       /* what refresh_token belongs to, or is left as it was */
    const char *nonce;         /* of an identity token, when that is asked for */
};

struct token_grant {
    const char *grant_type, *name; /* `name` for the counters */
    /* Finds the account, and what else stands behind the request; may find nothing. */
    void (*find)(struct token_request *request);
    /* Checks, and decides on the answer; false: `fault` says why not. */
    bool (*check)(struct token_request *request);
};

extern const struct token_grant grant_refresh, grant_code, grant_device, grant_client, grant_jwt;

void token_request_init(struct token_request *request, const struct http_request *http);
void token_request_clear(struct token_request *request);
/* Whose manners are used: the account's, the client's, those of the path. */
const struct profile *token_profile(const struct token_request *request);
/* A field of the form, or NULL when it is absent or empty. */
const char *token_field(struct token_request *request, const char *name);
/* The same, but a missing one is a fault, as the provider words it. */
const char *token_need(struct token_request *request, const char *name);
bool token_is_microsoft(const struct token_request *request);
/* Takes `scope` or the form's; false: it is no good. */
bool token_scope(struct token_request *request, const char *scope);
/* A new refresh token of the account, or none where that was not asked for. */
void token_give_refresh(struct token_request *request, bool wanted, const char *scope);

/* client_auth.c: who asks, and is it them? `missing` names the fault when no
 * secret and no assertion came. */
bool client_identify(struct token_request *request);
bool client_authenticate(struct token_request *request, const char *missing);

/* client_assertion.c */
bool client_assertion_check(struct token_request *request, const char *assertion);
