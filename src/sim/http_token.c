/* POST /token: which grant it is, what the knobs want, and the answer. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/codec.h"
#include "sim/access_token.h"
#include "sim/codes.h"
#include "sim/devices.h"
#include "sim/random.h"
#include "sim/token_request.h"

static const struct token_grant *const grants[] = {&grant_refresh, &grant_code, &grant_device,
                                                   &grant_client, &grant_jwt};

static const char *keep(struct token_request *request, char *text)
{
    if (text && (!*text || request->field_count == TOKEN_FIELDS)) {
        free(text);
        return NULL;
    }
    if (text)
        request->fields[request->field_count++] = text;
    return text;
}

const char *token_field(struct token_request *request, const char *name)
{
    return keep(request, http_form_field(request->http, name));
}

const char *token_need(struct token_request *request, const char *name)
{
    const char *value = token_field(request, name);

    if (!value)
        token_fault(&request->fault, token_is_microsoft(request) ? "900144" : "parameter_missing",
                    "%s", name);
    return value;
}

bool token_is_microsoft(const struct token_request *request)
{
    return request->profile == &profile_m365;
}

/* RFC 6749 section 2.3.1: the client may use HTTP Basic, and encodes as in a
 * form what it puts there. */
static void take_basic(struct token_request *request)
{
    const char *header = http_header(request->http, "Authorization");
    char pair[1024], *colon;
    ptrdiff_t len;

    if (!header || strncmp(header, "Basic ", 6) != 0)
        return;
    len = base64_decode(slice_of(header + 6), pair, sizeof(pair) - 1);
    if (len < 0)
        return;
    pair[len] = '\0';
    colon = strchr(pair, ':');
    if (!colon)
        return;
    *colon = '\0';
    if (request->client_secret)
        sim_error(request->sim, NULL, "HTTP Basic beside a client_secret in the form");
    if (!request->client_id)
        request->client_id = keep(request, http_url_decode(slice_of(pair)));
    if (!request->client_secret)
        request->client_secret = keep(request, http_url_decode(slice_of(colon + 1)));
}

void token_request_init(struct token_request *request, const struct http_request *http)
{
    *request = (struct token_request){.sim = http->sim, .http = http};
    request->client_id = token_field(request, "client_id");
    request->client_secret = token_field(request, "client_secret");
    take_basic(request);
    if (request->client_id)
        request->client = clients_find(&http->sim->clients, slice_of(request->client_id));
}

void token_request_clear(struct token_request *request)
{
    for (size_t i = 0; i < request->field_count; i++)
        free(request->fields[i]);
}

const struct profile *token_profile(const struct token_request *request)
{
    if (request->account)
        return request->account->profile;
    if (request->client)
        return request->client->profile;
    return request->http->tenant.len ? &profile_m365 : request->sim->options.profile;
}

bool token_scope(struct token_request *request, const char *scope)
{
    if (!scope)
        scope = token_field(request, "scope");
    if (token_is_microsoft(request) && !scope &&
        !knob_on(request->knobs, KNOB_TOKEN_NO_SCOPE_CHECK))
        return token_fault(&request->fault, "900144", "scope");
    scope_read(request->profile, scope, &request->scope);
    if (*request->scope.bad)
        return token_fault(&request->fault,
                           !token_is_microsoft(request) ? "invalid_scope"
                           : request->scope.foreign     ? "500011"
                                                        : "70011",
                           "%s", request->scope.bad);
    return !request->scope.mixed || token_fault(&request->fault, "28000", "%s", scope);
}

void token_give_refresh(struct token_request *request, bool wanted, const char *scope)
{
    if (!wanted)
        return;
    request->given = account_new_grant_for(&request->sim->accounts, request->account,
                                           request->client, NULL, scope);
    request->refresh_token = request->given->token;
}

static int64_t lifetime(const struct token_request *request)
{
    int64_t given = knob_number(request->knobs, KNOB_TOKEN_EXPIRES_IN, 0);

    if (given)
        return given;
    return token_is_microsoft(request) ? 3600 + (int64_t)random_below(1801) : 3599;
}

/* When the token really dies, which is not always what the client is told. */
static uint64_t death(const struct token_request *request, int64_t announced)
{
    int64_t seconds = knob_number(request->knobs, KNOB_TOKEN_LIVES_S, announced);

    return knob_fires(request->knobs, KNOB_TOKEN_DEAD) ? 0
                                                       : clock_wall_ms() + (uint64_t)seconds * 1000;
}

static void add_refresh(struct token_request *request, json_t *body)
{
    int64_t lives = knob_number(request->knobs, KNOB_REFRESH_EXPIRES_IN, 0);
    struct grant *grant = request->given;
    uint64_t now = clock_wall_ms();

    if (request->refresh_token)
        json_object_set_new(body, "refresh_token", json_string(request->refresh_token));
    if (!grant)
        return;
    if (lives && !grant->expires_ms)
        grant->expires_ms = now + (uint64_t)lives * 1000;
    if (grant->expires_ms > now)
        json_object_set_new(body, "refresh_token_expires_in",
                            json_integer((json_int_t)((grant->expires_ms - now + 999) / 1000)));
}

static void add_identity(struct token_request *request, json_t *body)
{
    char *token;

    if (!request->scope.openid || !request->account)
        return;
    token = identity_issue(request->sim, request->account, request->client,
                           request->nonce ? request->nonce : "");
    json_object_set_new(body, "id_token", json_string(token));
    free(token);
}

static void count(struct token_request *request, const struct token_grant *grant, bool issued)
{
    struct stats *stats[] = {&request->sim->totals,
                             request->account ? &request->account->stats : NULL};

    for (int i = 0; i < 2 && stats[i]; i++)
        stats_token(stats[i], grant ? grant->name : NULL, issued);
}

static void succeed(struct token_request *request, struct http_reply *reply)
{
    int64_t seconds = lifetime(request);
    const struct access_order order = {request->account, request->client, &request->scope,
                                       request->knobs,   seconds,         death(request, seconds)};
    const struct access *access = access_issue(request->sim, &order);
    json_t *body =
        json_pack("{s:s, s:s, s:I, s:s}", "token_type", "Bearer", "scope", request->scope.granted,
                  "expires_in", (json_int_t)seconds, "access_token", access->token);

    if (token_is_microsoft(request))
        json_object_set_new(body, "ext_expires_in", json_integer(seconds));
    if (!request->account) /* an application's own token has no scope */
        json_object_del(body, "scope");
    add_refresh(request, body);
    add_identity(request, body);
    reply->body = json_dumps(body, JSON_COMPACT);
    json_decref(body);
}

static void fail(struct token_request *request, struct http_reply *reply)
{
    unsigned seconds;

    if (!token_error(request->sim, &request->fault, request->profile, reply)) {
        reply->status = 500;
        reply->body = strdup("{\"error\":\"no such token_error\"}");
    }
    seconds = (unsigned)knob_number(request->knobs, KNOB_TOKEN_RETRY_AFTER,
                                    reply->status == 429 ? 60 : 0);
    if (reply->status == 403 || reply->status == 429 || reply->status == 503)
        reply->retry_after = seconds;
    reply->retry_date = knob_on(request->knobs, KNOB_TOKEN_RETRY_DATE);
}

/* What the knob token_error wants; true: the answer is that error. */
static bool is_forced(struct token_request *request, struct http_reply *reply)
{
    const char *name;

    if (!knob_fires(request->knobs, KNOB_TOKEN_ERROR))
        return false;
    name = knob_text(request->knobs, KNOB_TOKEN_ERROR, "");
    if (strcmp(name, "close_body") == 0) {
        reply->ending = HTTP_CUT_SHORT;
        return false;
    }
    if (strcmp(name, "close") == 0) {
        reply->ending = HTTP_CLOSED;
        name = "500";
    }
    token_fault(&request->fault, name, NULL);
    return true;
}

static const struct token_grant *find_grant(struct token_request *request)
{
    const char *type = token_field(request, "grant_type");

    for (size_t i = 0; type && i < sizeof(grants) / sizeof(*grants); i++) {
        if (strcmp(grants[i]->grant_type, type) == 0)
            return grants[i];
    }
    if (type)
        token_fault(&request->fault, "unsupported_grant_type", NULL);
    else
        token_fault(&request->fault, request->http->tenant.len ? "900144" : "parameter_missing",
                    "grant_type");
    return NULL;
}

static bool check(struct token_request *request, const struct token_grant *grant)
{
    if (!grant)
        return false;
    if (request->http->tenant.len && !sim_tenant_known(request->sim, request->http->tenant))
        return token_fault(&request->fault, "90002", "'%.*s'", (int)request->http->tenant.len,
                           request->http->tenant.ptr);
    return grant->check(request);
}

static void answer(struct token_request *request, struct http_reply *reply)
{
    const struct token_grant *grant = find_grant(request);
    bool ok;

    if (grant)
        grant->find(request);
    request->profile = token_profile(request);
    request->knobs = sim_token_scope(request->sim, request->client, request->account);
    reply->delay_ms = (uint64_t)knob_number(request->knobs, KNOB_TOKEN_DELAY_MS, 0);
    reply->ending = knob_on(request->knobs, KNOB_TOKEN_CHUNKED) ? HTTP_CHUNKED : HTTP_WHOLE;
    ok = !is_forced(request, reply) && check(request, grant);
    if (ok)
        succeed(request, reply);
    else
        fail(request, reply);
    count(request, grant, ok);
}

void http_token(const struct http_request *http, struct http_reply *reply)
{
    struct token_request request;

    token_request_init(&request, http);
    answer(&request, reply);
    token_request_clear(&request);
}

/* The paths of both providers lead here, so that an account's token URL may
 * look like the real one. */
const struct http_route http_token_routes[] = {
    {"POST", "/token", http_token},
    {"POST", "/{tenant}/oauth2/v2.0/token", http_token},
    {"GET", "/authorize", http_authorize},
    {"POST", "/authorize", http_authorize},
    {"GET", "/o/oauth2/v2/auth", http_authorize},
    {"POST", "/o/oauth2/v2/auth", http_authorize},
    {"GET", "/{tenant}/oauth2/v2.0/authorize", http_authorize},
    {"POST", "/{tenant}/oauth2/v2.0/authorize", http_authorize},
    {"POST", "/devicecode", http_devicecode},
    {"POST", "/device/code", http_devicecode},
    {"POST", "/{tenant}/oauth2/v2.0/devicecode", http_devicecode},
    {"GET", "/device", http_device},
    {"POST", "/device", http_device},
    {"GET", "/jwks", http_jwks},
    {"GET", "/{tenant}/discovery/v2.0/keys", http_jwks},
    {"GET", "/.well-known/openid-configuration", http_discovery},
    {"GET", "/{tenant}/v2.0/.well-known/openid-configuration", http_discovery},
    {"GET", "/introspect", http_introspect},
    {"POST", "/introspect", http_introspect},
    {NULL, NULL, NULL},
};
