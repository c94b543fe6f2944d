/* What the provider says about itself: OpenID Connect discovery, and the keys
 * that its tokens are signed with. */
#include <stdio.h>

#include "sim/sim.h"

static void answer(json_t *body, struct http_reply *reply)
{
    reply->body = json_dumps(body, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
    json_decref(body);
}

void http_jwks(const struct http_request *request, struct http_reply *reply)
{
    answer(keys_show_set(&request->sim->keys), reply);
}

static json_t *url(const char *origin, const char *tenant, const char *path)
{
    return json_sprintf("%s%s%s", origin, tenant, path);
}

void http_discovery(const struct http_request *request, struct http_reply *reply)
{
    bool microsoft = request->tenant.len || request->sim->options.profile == &profile_m365;
    char origin[256], tenant[128] = "";
    json_t *body;

    http_origin(request, origin, sizeof(origin));
    if (microsoft)
        snprintf(tenant, sizeof(tenant), "/%.*s",
                 request->tenant.len ? (int)request->tenant.len : (int)sizeof(SIM_TENANT),
                 request->tenant.len ? request->tenant.ptr : SIM_TENANT);
    body = json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:[s], s:[s, s], s:[s, s, s], s:[s], s:[s], s:[s]}", "issuer",
        microsoft ? url(origin, "/" SIM_TENANT, "/v2.0") : url(origin, "", ""),
        "authorization_endpoint",
        url(origin, tenant, microsoft ? "/oauth2/v2.0/authorize" : "/o/oauth2/v2/auth"),
        "token_endpoint", url(origin, tenant, microsoft ? "/oauth2/v2.0/token" : "/token"),
        "device_authorization_endpoint",
        url(origin, tenant, microsoft ? "/oauth2/v2.0/devicecode" : "/device/code"), "jwks_uri",
        url(origin, "", "/jwks"), "response_types_supported", "code", "grant_types_supported",
        "authorization_code", "refresh_token", "token_endpoint_auth_methods_supported",
        "client_secret_post", "client_secret_basic", "private_key_jwt",
        "code_challenge_methods_supported", "S256", "subject_types_supported", "pairwise",
        "id_token_signing_alg_values_supported", "ES256");
    answer(body, reply);
}
