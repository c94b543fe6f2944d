#include "sim/token_errors.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"

struct error_row {
    const char *name;
    unsigned status;
    const char *error; /* NULL: `description` is the body as it is */
    const char *description;
    const char *type; /* of a body that is no JSON object */
};

#define MS(number, status, error, text)                                                            \
    {                                                                                              \
#number, status, error, "AADSTS" #number ": " text, NULL                                   \
    }

/* By Google, or both. */
static const struct error_row common_rows[] = {
    {"invalid_grant", 400, "invalid_grant", "Token has been expired or revoked.", NULL},
    {"invalid_client", 401, "invalid_client", "Unauthorized", NULL},
    {"unauthorized_client", 401, "unauthorized_client", "Unauthorized", NULL},
    {"deleted_client", 401, "deleted_client", "The OAuth client was deleted.", NULL},
    {"disabled_client", 401, "disabled_client", "The OAuth client was disabled.", NULL},
    {"admin_policy_enforced", 400, "admin_policy_enforced", "Access denied by an administrator.",
     NULL},
    {"invalid_scope", 400, "invalid_scope", "Some requested scopes were invalid.", NULL},
    {"invalid_request", 400, "invalid_request", "Missing required parameter: refresh_token", NULL},
    {"unsupported_grant_type", 400, "unsupported_grant_type", "Invalid grant_type", NULL},
    {"internal_failure", 500, "internal_failure", "Backend Error", NULL},
    {"server_error", 500, "server_error", "The server met an unexpected condition.", NULL},
    {"temporarily_unavailable", 503, "temporarily_unavailable", "Try again later.", NULL},
    {"interaction_required", 400, "interaction_required", "The user must sign in again.", NULL},
    {"500", 500, NULL, "Internal Server Error\n", "text/plain"},
    {"502_html", 502, NULL, "<html><body><h1>502 Bad Gateway</h1></body></html>\n", "text/html"},
    {"503", 503, NULL, "Service Unavailable\n", "text/plain"},
    {"429", 429, NULL, "Too Many Requests\n", "text/plain"},
    {"403_html", 403, NULL,
     "<!DOCTYPE html><html><head><title>Error 403</title></head><body><b>403.</b> User Rate Limit "
     "Exceeded. Rate of requests for user exceed configured project quota.</body></html>\n",
     "text/html"},
    {"rate_limit_exceeded", 403, "rate_limit_exceeded", "User rate limit exceeded.", NULL},
    {"bad_json", 200, NULL, "{\"access_token\": \"ya29.cut", "application/json"},
    {"empty", 200, NULL, "", "application/json"},
    {"html", 200, NULL, "<html><body>Sign in to continue</body></html>\n", "text/html"},
    {"no_access_token", 200, NULL, "{\"token_type\":\"Bearer\",\"expires_in\":3599}\n",
     "application/json"},
};

/* By Microsoft. Numbers may be asked for under any profile. */
static const struct error_row microsoft_rows[] = {
    {"invalid_grant", 400, "invalid_grant",
     "AADSTS700082: The refresh token has expired due to inactivity.", NULL},
    {"invalid_client", 401, "invalid_client",
     "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request "
     "is the client secret value, not the client secret ID.",
     NULL},
    {"unauthorized_client", 400, "unauthorized_client",
     "AADSTS700016: Application was not found in the directory.", NULL},
    {"interaction_required", 400, "interaction_required",
     "AADSTS50076: Due to a configuration change made by your administrator, or because you moved "
     "to a new location, you must use multi-factor authentication.",
     NULL},
    {"invalid_scope", 400, "invalid_scope", "AADSTS70011: The provided value for scope is invalid.",
     NULL},
    {"unsupported_grant_type", 400, "unsupported_grant_type",
     "AADSTS70003: The app requested an unsupported grant type.", NULL},
    MS(70000, 400, "invalid_grant", "The provided value for the refresh token is not valid."),
    MS(70008, 400, "invalid_grant", "The refresh token has expired."),
    MS(700082, 400, "invalid_grant", "The refresh token has expired due to inactivity."),
    MS(50173, 400, "invalid_grant", "The grant has been revoked, a fresh one is needed."),
    MS(70043, 400, "invalid_grant", "The refresh token has expired due to sign-in frequency."),
    MS(50057, 400, "invalid_grant", "The user account is disabled."),
    MS(50034, 400, "invalid_grant", "The user account does not exist in the directory."),
    MS(65001, 400, "invalid_grant", "The user or administrator has not consented to this app."),
    MS(50076, 400, "invalid_grant", "Multi-factor authentication is required."),
    MS(53003, 400, "invalid_grant", "Access has been blocked by Conditional Access policies."),
    MS(7000215, 401, "invalid_client", "Invalid client secret provided."),
    MS(7000218, 401, "invalid_client",
       "The request body must contain: client_assertion or client_secret."),
    MS(7000222, 401, "invalid_client",
       "The provided client secret keys are expired. Visit the Azure portal to create new keys."),
    MS(700025, 401, "invalid_client",
       "Client is public so neither client_assertion nor client_secret should be presented."),
    MS(700027, 401, "invalid_client", "Client assertion failed signature validation."),
    MS(700016, 400, "unauthorized_client", "Application was not found in the directory."),
    MS(7000112, 400, "unauthorized_client", "Application is disabled."),
    MS(90002, 400, "invalid_request", "Tenant not found."),
    MS(70011, 400, "invalid_scope", "The provided value for the input parameter scope is invalid."),
    MS(900144, 400, "invalid_request",
       "The request body must contain the following parameter: 'scope'."),
    MS(9001023, 400, "invalid_request", "The grant type is not supported over /common."),
    MS(90033, 503, "temporarily_unavailable", "A transient error has occurred. Try again."),
    MS(50033, 503, "temporarily_unavailable", "A transient error has occurred. Try again."),
    MS(90006, 500, "server_error", "The service is temporarily unavailable."),
    MS(90012, 504, "temporarily_unavailable", "The request has timed out."),
    MS(90024, 503, "temporarily_unavailable", "RequestBudgetExceededError. Try again."),
    MS(90055, 429, "temporarily_unavailable", "TenantThrottlingError: too many requests."),
    MS(50196, 400, "invalid_grant",
       "The server terminated an operation because it encountered a loop while processing a "
       "request."),
};

#define COUNT(rows) (sizeof(rows) / sizeof(*(rows)))

static const struct error_row *find(const struct error_row *rows, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    }
    return NULL;
}

/* Microsoft has its own words for what both have. */
static const struct error_row *choose(const char *name, const struct profile *profile)
{
    const struct error_row *row = NULL;
    bool number = strncmp(name, "AADSTS", 6) == 0;

    if (number)
        name += 6;
    if (number || profile == &profile_m365)
        row = find(microsoft_rows, COUNT(microsoft_rows), name);
    if (!row)
        row = find(common_rows, COUNT(common_rows), name);
    return row ? row : find(microsoft_rows, COUNT(microsoft_rows), name);
}

bool token_error_known(const char *name)
{
    return choose(name, NULL) != NULL;
}

static void now_text(char *out, size_t cap)
{
    time_t now = (time_t)(clock_wall_ms() / 1000);
    struct tm tm;

    strftime(out, cap, "%Y-%m-%d %H:%M:%SZ", gmtime_r(&now, &tm));
}

static json_t *microsoft_body(const struct error_row *row)
{
    static const char trace[] = "f1c20e9a-3a0c-4b39-9a5f-6bb2d1a40000";
    static const char correlation[] = "0b6b3b3a-50ac-4cf3-8f0c-2a54f3fd0000";
    char now[32], text[512];

    now_text(now, sizeof(now));
    snprintf(text, sizeof(text), "%s Trace ID: %s Correlation ID: %s Timestamp: %s",
             row->description, trace, correlation, now);
    return json_pack("{s:s, s:s, s:[i], s:s, s:s, s:s, s:s}", "error", row->error,
                     "error_description", text, "error_codes",
                     (int)strtol(row->description + 6, NULL, 10), "timestamp", now, "trace_id",
                     trace, "correlation_id", correlation, "error_uri",
                     "https://login.microsoftonline.com/error");
}

bool token_error(const char *name, const struct profile *profile, struct http_reply *reply)
{
    const struct error_row *row = choose(name, profile);
    json_t *body;

    if (!row)
        return false;
    reply->status = row->status;
    if (!row->error) {
        reply->type = row->type;
        reply->body = strdup(row->description);
        return true;
    }
    body =
        strncmp(row->description, "AADSTS", 6) == 0
            ? microsoft_body(row)
            : json_pack("{s:s, s:s}", "error", row->error, "error_description", row->description);
    reply->body = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    return true;
}

json_t *token_error_names(void)
{
    json_t *out = json_array();

    for (size_t i = 0; i < COUNT(common_rows); i++)
        json_array_append_new(out, json_string(common_rows[i].name));
    for (size_t i = 0; i < COUNT(microsoft_rows); i++) {
        if (!find(common_rows, COUNT(common_rows), microsoft_rows[i].name))
            json_array_append_new(out, json_string(microsoft_rows[i].name));
    }
    return out;
}
