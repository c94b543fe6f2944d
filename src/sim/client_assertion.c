/* Assertions that an application signs with the key of its certificate
 * (RFC 7523, and Microsoft's page on certificate credentials). */
#include <stdio.h>

#include "sim/jwt.h"
#include "sim/token_request.h"

#define TYPE "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
#define SKEW_S 300 /* that is forgiven */

static bool names_certificate(const json_t *header, const char *member, const unsigned char *digest,
                              size_t len)
{
    char text[BASE64URL_LEN(32) + 4];

    base64url_encode(digest, len, text);
    return strcmp(jwt_text(header, member), text) == 0;
}

static bool check_header(struct token_request *request, const struct jwt *jwt)
{
    const struct client *client = request->client;
    const char *alg = jwt_text(jwt->header, "alg");

    if (strcmp(alg, "PS256") != 0 && strcmp(alg, "RS256") != 0)
        return token_fault(&request->fault, "5002738", "'%s'", alg);
    if (client->key && (names_certificate(jwt->header, "x5t#S256", client->sha256, 32) ||
                        names_certificate(jwt->header, "x5t", client->sha1, 20)))
        return true;
    return token_fault(&request->fault, "700027", "The key was not found.");
}

/* "/common/..." and "/TENANT/..." are the same endpoint under another name. */
static bool is_audience(const struct token_request *request, const char *audience)
{
    char origin[256], issuer[320];
    size_t len;

    http_origin(request->http, origin, sizeof(origin));
    len = strlen(origin);
    snprintf(issuer, sizeof(issuer), "%s/" SIM_TENANT "/v2.0", origin);
    if (strcmp(audience, issuer) == 0)
        return true;
    return strncmp(audience, origin, len) == 0 && strcmp(audience + len, request->http->path) == 0;
}

static bool check_identity(struct token_request *request, const struct jwt *jwt)
{
    const char *iss = jwt_text(jwt->payload, "iss"), *sub = jwt_text(jwt->payload, "sub");
    const char *aud = jwt_text(jwt->payload, "aud");

    if (strcmp(iss, request->client->id) != 0 || strcmp(sub, iss) != 0)
        return token_fault(&request->fault, "700021", "iss '%.60s', sub '%.60s'", iss, sub);
    return is_audience(request, aud) || token_fault(&request->fault, "700023", "'%s'", aud);
}

static bool check_time(struct token_request *request, const struct jwt *jwt)
{
    int64_t now = (int64_t)(sim_wall_ms(request->sim) / 1000);
    int64_t from = jwt_number(jwt->payload, "nbf"), to = jwt_number(jwt->payload, "exp");

    if (to < 0)
        return token_fault(&request->fault, "50027", "exp is missing");
    if (from <= now + SKEW_S && to > now - SKEW_S)
        return true;
    return token_fault(&request->fault, "700024", "Current time: %lld, valid from %lld to %lld.",
                       (long long)now, (long long)from, (long long)to);
}

static bool check_once(struct token_request *request, const struct jwt *jwt)
{
    const char *id = jwt_text(jwt->payload, "jti");

    if (!*id)
        return token_fault(&request->fault, "50027", "jti is missing");
    return client_take_jti(request->client, id) || token_fault(&request->fault, "50013", NULL);
}

static bool check(struct token_request *request, const struct jwt *jwt)
{
    if (!check_header(request, jwt))
        return false;
    if (!jwt_verify(jwt, request->client->key))
        return token_fault(&request->fault, "700027", "The signature is not valid.");
    return check_identity(request, jwt) && check_time(request, jwt) && check_once(request, jwt);
}

bool client_assertion_check(struct token_request *request, const char *assertion)
{
    const char *type = token_need(request, "client_assertion_type");
    struct jwt jwt;
    bool ok;

    if (!type)
        return false;
    if (strcmp(type, TYPE) != 0)
        return token_fault(&request->fault, "50027", "client_assertion_type is not jwt-bearer");
    if (!jwt_parse(slice_of(assertion), &jwt))
        return token_fault(&request->fault, "50027", "it cannot be read");
    ok = check(request, &jwt);
    jwt_clear(&jwt);
    return ok;
}
