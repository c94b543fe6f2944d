/* Which application asks, and whether it can prove that: with a secret, in the
 * form or by HTTP Basic, or with an assertion that it signed. */
#include <time.h>

#include "base/clock.h"
#include "sim/token_request.h"

static bool is_disabled(struct token_request *request)
{
    if (!request->client->disabled)
        return false;
    token_fault(&request->fault, token_is_microsoft(request) ? "7000112" : "disabled_client", NULL);
    return true;
}

bool client_identify(struct token_request *request)
{
    if (!request->client_id)
        return token_need(request, "client_id") != NULL;
    if (request->client && request->client->profile == request->profile)
        return !is_disabled(request);
    return token_fault(&request->fault, token_is_microsoft(request) ? "700016" : "client_not_found",
                       "'%s'", request->client_id);
}

/* Dates as texts compare like dates. */
static bool is_over(const char *date)
{
    time_t now = (time_t)(clock_wall_ms() / 1000);
    struct tm tm;
    char today[16];

    strftime(today, sizeof(today), "%Y-%m-%d", gmtime_r(&now, &tm));
    return date && strcmp(date, today) <= 0;
}

static bool check_secret(struct token_request *request)
{
    const struct client *client = request->client;
    const char *expires = knob_text(request->knobs, KNOB_SECRET_EXPIRES, client->secret_expires);

    if (!client->secret || strcmp(client->secret, request->client_secret) != 0)
        return token_fault(&request->fault,
                           token_is_microsoft(request) ? "7000215" : "invalid_client", NULL);
    return !is_over(expires) || token_fault(&request->fault, "7000222", NULL);
}

/* Google's applications for the desktop have secrets, and others need none. */
static bool check_public(struct token_request *request, bool proof, const char *missing)
{
    if (!token_is_microsoft(request))
        return true;
    if (proof)
        return token_fault(&request->fault, "700025", NULL);
    return strcmp(missing, "7000216") != 0 || token_fault(&request->fault, missing, NULL);
}

bool client_authenticate(struct token_request *request, const char *missing)
{
    const char *assertion = token_field(request, "client_assertion");

    if (client_is_public(request->client))
        return check_public(request, assertion || request->client_secret, missing);
    if (assertion && token_is_microsoft(request))
        return client_assertion_check(request, assertion);
    if (request->client_secret)
        return check_secret(request);
    return token_fault(&request->fault,
                       token_is_microsoft(request) ? missing : "client_secret_missing", NULL);
}
