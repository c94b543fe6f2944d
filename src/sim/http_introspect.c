/* Token introspection (RFC 7662) as Dovecot's oauth2 passdb asks for it:
 * introspection_mode auth (Bearer header), get (token=... in the URL) or post. */
#include <stdlib.h>

#include "base/clock.h"
#include "sim/sim.h"

static char *find_token(const struct http_request *request)
{
    const char *header = http_header(request, "Authorization");
    const char *query = http_query(request, "token");
    char *field = http_form_field(request, "token");

    if (field)
        return field;
    if (query)
        return strdup(query);
    if (header && slice_starts_nocase(slice_of(header), SLICE("Bearer ")))
        return strdup(header + 7);
    return NULL;
}

static json_t *describe(const struct access *access)
{
    const char *email = access->account ? access->account->email : access->client->id;

    return json_pack("{s:b, s:s, s:s, s:s, s:s, s:s, s:s, s:I}", "active", 1, "username", email,
                     "email", email, "sub", email, "scope", access->client->profile->scope,
                     "client_id", access->client->id, "token_type", "Bearer", "exp",
                     (json_int_t)(access->expires_ms / 1000));
}

void http_introspect(const struct http_request *request, struct http_reply *reply)
{
    char *token = find_token(request);
    const struct access *access =
        token ? accounts_access(&request->sim->accounts, slice_of(token), clock_wall_ms()) : NULL;
    json_t *body = access ? describe(access) : json_pack("{s:b}", "active", 0);

    reply->body = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    free(token);
}
