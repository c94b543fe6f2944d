/* grant_type=...:jwt-bearer: Google's service accounts, which stand for a user
 * of the domain by delegation. */
#include <stdio.h>

#include "sim/jwt.h"
#include "sim/keys.h"
#include "sim/token_request.h"

#define LIFETIME_MAX 3600
#define SKEW_S 300 /* that is forgiven */

/* The user whom the assertion names, before anything in it is believed: knobs
 * of that user count. */
static void find(struct token_request *request)
{
    const char *assertion = token_field(request, "assertion"), *subject;
    struct jwt jwt;

    if (!assertion || !jwt_parse(slice_of(assertion), &jwt))
        return;
    subject = jwt_text(jwt.payload, "sub");
    request->account = accounts_find(&request->sim->accounts, slice_of(subject));
    request->client = clients_find(&request->sim->clients, slice_of(jwt_text(jwt.payload, "iss")));
    jwt_clear(&jwt);
}

static bool check_signer(struct token_request *request, const struct jwt *jwt)
{
    const char *kid = jwt_text(jwt->header, "kid");

    if (!request->client || !request->client->key || request->client->profile != &profile_gmail)
        return token_fault(&request->fault, "jwt_issuer", NULL);
    if (*kid && strcmp(kid, request->sim->keys.app_id) != 0)
        return token_fault(&request->fault, "jwt_signature", NULL);
    return (strcmp(jwt_text(jwt->header, "alg"), "RS256") == 0 &&
            jwt_verify(jwt, request->client->key)) ||
           token_fault(&request->fault, "jwt_signature", NULL);
}

static bool check_audience(struct token_request *request, const struct jwt *jwt)
{
    char right[320], origin[256];

    http_origin(request->http, origin, sizeof(origin));
    snprintf(right, sizeof(right), "%s%s", origin, request->http->path);
    return strcmp(jwt_text(jwt->payload, "aud"), right) == 0 ||
           token_fault(&request->fault, "jwt_audience", "%s", right);
}

static bool check_time(struct token_request *request, const struct jwt *jwt)
{
    int64_t now = (int64_t)(sim_wall_ms(request->sim) / 1000);
    int64_t from = jwt_number(jwt->payload, "iat"), to = jwt_number(jwt->payload, "exp");

    return (from >= 0 && from <= now + SKEW_S && to > now && to <= from + LIFETIME_MAX) ||
           token_fault(&request->fault, "jwt_time", NULL);
}

/* Without a subject the token is the service account's own, which has no mailbox. */
static bool check_delegation(struct token_request *request, const struct jwt *jwt)
{
    const char *scope = jwt_text(jwt->payload, "scope"), *subject = jwt_text(jwt->payload, "sub");

    if (!*scope)
        return token_fault(&request->fault, "jwt_scope_missing", NULL);
    if (*subject && (!request->account || request->account->profile != &profile_gmail))
        return token_fault(&request->fault, "jwt_subject", NULL);
    if (!token_scope(request, scope))
        return false;
    return (*subject && request->scope.smtp) || token_fault(&request->fault, "delegation", NULL);
}

static bool check(struct token_request *request)
{
    const char *assertion = token_need(request, "assertion");
    struct jwt jwt;
    bool ok;

    if (token_is_microsoft(request))
        return token_fault(&request->fault, "unsupported_grant_type", NULL);
    if (!assertion)
        return false;
    if (!jwt_parse(slice_of(assertion), &jwt))
        return token_fault(&request->fault, "jwt_malformed", "%.20s", assertion);
    ok = check_signer(request, &jwt) && check_audience(request, &jwt) &&
         check_time(request, &jwt) && check_delegation(request, &jwt);
    jwt_clear(&jwt);
    return ok;
}

const struct token_grant grant_jwt = {"urn:ietf:params:oauth:grant-type:jwt-bearer", "jwt_bearer",
                                      find, check};
