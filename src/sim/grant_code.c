/* grant_type=authorization_code with PKCE. */
#include "base/clock.h"
#include "sim/codes.h"
#include "sim/token_request.h"

static void find(struct token_request *request)
{
    const char *token = token_field(request, "code");

    if (token)
        request->code = codes_find(&request->sim->codes, slice_of(token));
    if (request->code)
        request->account = request->code->account;
}

static const char *word(const struct token_request *request, const char *microsoft,
                        const char *google)
{
    return token_is_microsoft(request) ? microsoft : google;
}

static bool check_code(struct token_request *request)
{
    struct code *code = request->code;

    if (!code || code->client != request->client)
        return token_fault(&request->fault, "bad_code", NULL);
    if (code->used)
        return token_fault(&request->fault, word(request, "54005", "code_used"), NULL);
    if (code->expires_ms <= clock_wall_ms())
        return token_fault(&request->fault, word(request, "code_expired", "code_used"), NULL);
    return true;
}

static bool check_redirect(struct token_request *request)
{
    const char *uri = token_need(request, "redirect_uri");

    if (!uri)
        return false;
    return strcmp(uri, request->code->redirect_uri) == 0 ||
           token_fault(&request->fault, word(request, "500112", "redirect_uri_mismatch"), "'%s'",
                       uri);
}

static bool check_verifier(struct token_request *request)
{
    const char *verifier = token_field(request, "code_verifier");
    size_t len = verifier ? strlen(verifier) : 0;

    if (!*request->code->challenge)
        return !verifier ||
               token_fault(&request->fault, word(request, "501481", "bad_verifier"), NULL);
    if (!verifier)
        return token_fault(&request->fault, word(request, "501481", "verifier_missing"), NULL);
    return (len >= 43 && len <= 128 && code_verifier_fits(request->code, verifier)) ||
           token_fault(&request->fault, word(request, "501481", "bad_verifier"), NULL);
}

/* A client that does not say which gets what was agreed on. */
static bool check_scope(struct token_request *request)
{
    const char *asked = token_is_microsoft(request) ? token_field(request, "scope") : NULL;

    return token_scope(request, asked ? asked : request->code->scope);
}

static bool check(struct token_request *request)
{
    if (!token_need(request, "code") || !client_identify(request) ||
        !client_authenticate(request, "7000218") || !check_code(request) ||
        !check_redirect(request) || !check_verifier(request) || !check_scope(request))
        return false;
    request->code->used = true;
    request->nonce = request->code->nonce;
    token_give_refresh(request, request->code->offline, request->code->scope);
    return true;
}

const struct token_grant grant_code = {"authorization_code", "authorization_code", find, check};
