/* grant_type=refresh_token, as Google and Microsoft do it. */
#include "base/clock.h"
#include "sim/token_request.h"

static void find(struct token_request *request)
{
    const char *token = token_field(request, "refresh_token");

    if (token)
        request->grant = accounts_grant(&request->sim->accounts, slice_of(token));
    if (request->grant)
        request->account = request->grant->account;
}

/* A refresh token works for the application that it was given to. */
static bool check_client(struct token_request *request)
{
    if (request->client_id && request->client != request->grant->client)
        return token_fault(&request->fault,
                           token_is_microsoft(request) ? "700016" : "unauthorized_client", "'%s'",
                           request->client_id);
    return client_identify(request) &&
           client_authenticate(request, token_is_microsoft(request) ? "7000218" : "invalid_client");
}

/* A consumed refresh token that comes again was stolen, or its rotation was
 * lost; either way the whole grant ends (RFC 9700 section 4.14.2). */
static bool check_state(struct token_request *request)
{
    struct grant *grant = request->grant;

    if (grant->state == GRANT_LIVE && grant->expires_ms && grant->expires_ms <= clock_wall_ms())
        return token_fault(&request->fault, token_is_microsoft(request) ? "70008" : "invalid_grant",
                           NULL);
    if (grant->state == GRANT_LIVE)
        return true;
    if (grant->state == GRANT_CONSUMED)
        account_revoke_grants(request->account, grant->client);
    return token_fault(&request->fault, token_is_microsoft(request) ? "50173" : "invalid_grant",
                       NULL);
}

/* The refresh token that the answer carries: none, or a new one beside or in
 * place of the old. */
static void rotate(struct token_request *request)
{
    const char *how = knob_text(request->knobs, KNOB_TOKEN_ROTATION, request->profile->rotation);

    request->given = request->grant;
    if (strcmp(how, "keep") == 0)
        return;
    if (strcmp(how, "revoke") == 0)
        request->grant->state = GRANT_CONSUMED;
    token_give_refresh(request, true, request->grant->scope);
    if (!token_is_microsoft(request)) /* whose refresh tokens begin anew each time */
        request->given->expires_ms = request->grant->expires_ms;
}

/* Google gives what was agreed on, whatever is asked for now; Microsoft what is
 * asked for now, if it was agreed on. */
static bool check_scope(struct token_request *request)
{
    const char *agreed = request->grant->scope ? request->grant->scope : request->profile->scope;
    struct scope scope;

    if (!token_is_microsoft(request))
        return token_scope(request, agreed);
    scope_read(request->profile, agreed, &scope);
    if (!token_scope(request, NULL))
        return false;
    return scope.smtp || !request->scope.smtp || token_fault(&request->fault, "65001", NULL);
}

static bool check(struct token_request *request)
{
    if (!token_field(request, "refresh_token"))
        return token_is_microsoft(request) ? token_fault(&request->fault, "900144", "refresh_token")
                                           : token_fault(&request->fault, "invalid_request", NULL);
    if (!request->grant)
        return token_fault(&request->fault, token_is_microsoft(request) ? "70000" : "invalid_grant",
                           NULL);
    if (!check_client(request) || !check_scope(request) || !check_state(request))
        return false;
    rotate(request);
    return true;
}

const struct token_grant grant_refresh = {"refresh_token", "refresh_token", find, check};
