#include "sim/authorize_errors.h"

#include <string.h>

/* Google shows most of them to the user: the application waits in vain. */
static const struct authorize_error google_errors[] = {
    {"access_denied", 0, "access_denied", ""},
    {"server_error", 0, "server_error", ""},
    {"temporarily_unavailable", 0, "temporarily_unavailable", ""},
    {"login_required", 0, "login_required", ""},
    {"interaction_required", 0, "interaction_required", ""},
    {"org_internal", 403, "org_internal",
     "Error 403: org_internal. This application is only for users of its own organization."},
    {"admin_policy_enforced", 400, "admin_policy_enforced",
     "Error 400: admin_policy_enforced. The organization's administrator restricts access to the "
     "requested scopes."},
    {"not_verified", 403, "access_denied",
     "Error 403: access_denied. The application is being tested and this user is not one of its "
     "testers."},
    {"disallowed_useragent", 403, "disallowed_useragent",
     "Error 403: disallowed_useragent. Use a browser."},
    {"invalid_scope", 400, "invalid_scope",
     "Error 400: invalid_scope. Some requested scopes were "
     "invalid."},
    {"invalid_request", 400, "invalid_request", "Error 400: invalid_request."},
    {"pkce", 400, "invalid_request",
     "Error 400: invalid_request. code_challenge must be there, with code_challenge_method S256."},
    {"unsupported_response_type", 400, "unsupported_response_type",
     "Error 400: unsupported_response_type."},
    {"redirect_uri_mismatch", 400, "redirect_uri_mismatch",
     "Error 400: redirect_uri_mismatch. The redirect URI is not one of the application's."},
    {"invalid_client", 401, "invalid_client",
     "Error 401: invalid_client. The OAuth client was not found."},
    {"disabled_client", 401, "disabled_client",
     "Error 401: disabled_client. The OAuth client was disabled."},
    {"deleted_client", 401, "deleted_client",
     "Error 401: deleted_client. The OAuth client was deleted."},
    {"unknown_user", 400, "access_denied", "Error 400: there is no such account."},
    {NULL, 0, NULL, NULL},
};

static const struct authorize_error microsoft_errors[] = {
    {"access_denied", 0, "access_denied",
     "AADSTS65004: User declined to consent to access the app."},
    {"server_error", 0, "server_error", "AADSTS90006: The service is temporarily unavailable."},
    {"temporarily_unavailable", 0, "temporarily_unavailable",
     "AADSTS90033: A transient error has occurred. Try again."},
    {"login_required", 0, "login_required",
     "AADSTS50058: A silent sign-in request was sent but no user is signed in."},
    {"interaction_required", 0, "interaction_required",
     "AADSTS50076: Multi-factor authentication is required."},
    {"consent_required", 0, "consent_required",
     "AADSTS65001: The user or administrator has not consented to this application."},
    {"invalid_scope", 0, "invalid_scope",
     "AADSTS70011: The provided value for the input parameter scope is not valid."},
    {"invalid_resource", 0, "invalid_resource",
     "AADSTS500011: The resource principal was not found in the tenant."},
    {"mixed_scope", 0, "invalid_request",
     "AADSTS28000: The scope contains more than one resource."},
    {"scope_missing", 0, "invalid_request",
     "AADSTS900144: The request body must contain the following parameter: 'scope'."},
    {"invalid_request", 0, "invalid_request", "AADSTS90014: A required field is missing."},
    {"pkce", 0, "invalid_request",
     "AADSTS501491: code_challenge must be there, with code_challenge_method S256."},
    {"unsupported_response_type", 0, "unsupported_response_type",
     "AADSTS70005: The response_type is not supported or not enabled for the application."},
    {"unauthorized_client", 0, "unauthorized_client",
     "AADSTS700016: Application was not found in the directory."},
    {"admin_policy_enforced", 200, "access_denied",
     "AADSTS90094: Need admin approval. The grant requires an administrator's permission."},
    {"org_internal", 400, "access_denied",
     "AADSTS50020: The user account from another identity provider does not exist in this tenant."},
    {"not_assigned", 400, "access_denied",
     "AADSTS50105: The signed-in user is not assigned to a role for the application."},
    {"conditional_access", 400, "access_denied",
     "AADSTS53003: Access has been blocked by Conditional Access policies."},
    {"redirect_uri_mismatch", 400, "invalid_request",
     "AADSTS50011: The redirect URI does not match those configured for the application."},
    {"invalid_client", 400, "unauthorized_client",
     "AADSTS700016: Application was not found in the directory."},
    {"disabled_client", 400, "unauthorized_client", "AADSTS7000112: Application is disabled."},
    {"tenant", 400, "invalid_request", "AADSTS90002: Tenant not found."},
    {"unknown_user", 400, "access_denied",
     "AADSTS50034: The user account does not exist in the directory."},
    {NULL, 0, NULL, NULL},
};

static const struct authorize_error *find(const struct authorize_error *rows, const char *name)
{
    for (; rows->name; rows++) {
        if (strcmp(rows->name, name) == 0)
            return rows;
    }
    return NULL;
}

const struct authorize_error *authorize_error_find(const char *name, const struct profile *profile)
{
    const struct authorize_error *own = profile == &profile_m365 ? microsoft_errors : google_errors;
    const struct authorize_error *other = own == google_errors ? microsoft_errors : google_errors;
    const struct authorize_error *row = find(own, name);

    return row ? row : find(other, name);
}

bool authorize_error_known(const char *name)
{
    return authorize_error_find(name, NULL) != NULL;
}

json_t *authorize_error_names(void)
{
    json_t *out = json_array();

    for (const struct authorize_error *row = google_errors; row->name; row++)
        json_array_append_new(out, json_string(row->name));
    for (const struct authorize_error *row = microsoft_errors; row->name; row++) {
        if (!find(google_errors, row->name))
            json_array_append_new(out, json_string(row->name));
    }
    return out;
}
