/* grant_type=client_credentials: Microsoft's applications without a user. */
#include "sim/token_request.h"

static void find(struct token_request *request)
{
    (void)request; /* the client is all there is */
}

static bool is_concrete(struct slice tenant)
{
    return !slice_equal_nocase(tenant, SLICE("common")) &&
           !slice_equal_nocase(tenant, SLICE("organizations")) &&
           !slice_equal_nocase(tenant, SLICE("consumers"));
}

static bool check_scope(struct token_request *request)
{
    const char *scope = token_field(request, "scope");

    if (scope && (strchr(scope, ' ') || slice_find_nocase(slice_of(scope), SLICE("/.default")) !=
                                            (ptrdiff_t)strlen(scope) - 9))
        return token_fault(&request->fault, "1002012", "%s", scope);
    return token_scope(request, scope);
}

static bool check(struct token_request *request)
{
    if (!token_is_microsoft(request))
        return token_fault(&request->fault, "unsupported_grant_type", NULL);
    if (!is_concrete(request->http->tenant))
        return token_fault(&request->fault, "9001023", NULL);
    return client_identify(request) && client_authenticate(request, "7000216") &&
           check_scope(request);
}

const struct token_grant grant_client = {"client_credentials", "client_credentials", find, check};
