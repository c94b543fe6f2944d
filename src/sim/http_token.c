/* POST /token: the refresh_token grant as Google and Microsoft do it. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/codec.h"
#include "sim/random.h"
#include "sim/sim.h"
#include "sim/token_errors.h"

struct token_request {
    struct sim *sim;
    char *grant_type, *client_id, *client_secret, *refresh_token, *scope;
    struct grant *grant;     /* NULL: not known */
    struct account *account; /* likewise */
    const struct profile *profile;
    struct knob_scope knobs;
};

/* RFC 6749 section 2.3.1: the client may use HTTP Basic instead. */
static void take_basic(const struct http_request *http, struct token_request *request)
{
    const char *header = http_header(http, "Authorization");
    char pair[512], *colon;
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
    if (!request->client_id)
        request->client_id = strdup(pair);
    if (!request->client_secret)
        request->client_secret = strdup(colon + 1);
}

static void request_init(struct token_request *request, const struct http_request *http)
{
    *request = (struct token_request){
        .sim = http->sim,
        .grant_type = http_form_field(http, "grant_type"),
        .client_id = http_form_field(http, "client_id"),
        .client_secret = http_form_field(http, "client_secret"),
        .refresh_token = http_form_field(http, "refresh_token"),
        .scope = http_form_field(http, "scope"),
    };
    take_basic(http, request);
    if (request->refresh_token)
        request->grant = accounts_grant(&http->sim->accounts, slice_of(request->refresh_token));
    if (request->grant)
        request->account = request->grant->account;
    request->profile = request->account ? request->account->profile : http->sim->options.profile;
    request->knobs = sim_scope(http->sim, request->account);
}

static void request_clear(struct token_request *request)
{
    free(request->grant_type);
    free(request->client_id);
    free(request->client_secret);
    free(request->refresh_token);
    free(request->scope);
}

static const char *client_fault(const struct token_request *request)
{
    const struct account *account = request->account;
    bool microsoft = request->profile == &profile_m365;

    if (!request->client_id || strcmp(request->client_id, account->client_id) != 0)
        return "unauthorized_client";
    if (!account->client_secret)
        return request->client_secret && microsoft ? "700025" : NULL;
    if (!request->client_secret)
        return microsoft ? "7000218" : "invalid_client";
    return strcmp(request->client_secret, account->client_secret) == 0 ? NULL : "invalid_client";
}

/* A consumed refresh token that comes again was stolen, or its rotation was
 * lost; either way the whole grant ends (RFC 9700 section 4.14.2). */
static const char *grant_fault(struct token_request *request)
{
    if (request->grant->state == GRANT_LIVE)
        return NULL;
    if (request->grant->state == GRANT_CONSUMED)
        account_revoke_grants(request->account);
    return request->profile == &profile_m365 ? "50173" : "invalid_grant";
}

/* The name of what is wrong, or NULL. */
static const char *find_fault(struct token_request *request)
{
    const char *fault;

    if (!request->grant_type || strcmp(request->grant_type, "refresh_token") != 0)
        return "unsupported_grant_type";
    if (!request->refresh_token)
        return "invalid_request";
    if (!request->grant)
        return request->profile == &profile_m365 ? "70000" : "invalid_grant";
    fault = client_fault(request);
    if (fault)
        return fault;
    if (request->profile == &profile_m365 && !request->scope &&
        !knob_on(request->knobs, KNOB_TOKEN_NO_SCOPE_CHECK))
        return "900144";
    return grant_fault(request);
}

static int64_t lifetime(const struct token_request *request)
{
    int64_t given = knob_number(request->knobs, KNOB_TOKEN_EXPIRES_IN, 0);

    if (given)
        return given;
    return request->profile == &profile_m365 ? 3600 + (int64_t)random_below(1801) : 3599;
}

/* The refresh token that the answer carries, or NULL. */
static const char *rotate(struct token_request *request)
{
    const char *how = knob_text(request->knobs, KNOB_TOKEN_ROTATION, request->profile->rotation);

    if (strcmp(how, "keep") == 0)
        return NULL;
    if (strcmp(how, "revoke") == 0)
        request->grant->state = GRANT_CONSUMED;
    return account_new_grant(&request->sim->accounts, request->account, NULL)->token;
}

/* When the token really dies, which is not always what the client is told. */
static uint64_t death(const struct token_request *request, int64_t announced)
{
    int64_t seconds = knob_number(request->knobs, KNOB_TOKEN_LIVES_S, announced);

    return knob_fires(request->knobs, KNOB_TOKEN_DEAD) ? 0
                                                       : clock_wall_ms() + (uint64_t)seconds * 1000;
}

static void succeed(struct token_request *request, struct http_reply *reply)
{
    int64_t seconds = lifetime(request);
    size_t size =
        (size_t)knob_number(request->knobs, KNOB_TOKEN_SIZE, request->profile->token_size);
    const struct access *access = account_new_access(&request->sim->accounts, request->account,
                                                     size, death(request, seconds));
    const char *rotated = rotate(request);
    json_t *body =
        json_pack("{s:s, s:s, s:I, s:s}", "token_type", "Bearer", "scope", request->profile->scope,
                  "expires_in", (json_int_t)seconds, "access_token", access->token);

    if (request->profile == &profile_m365)
        json_object_set_new(body, "ext_expires_in", json_integer(seconds));
    if (rotated)
        json_object_set_new(body, "refresh_token", json_string(rotated));
    reply->body = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    request->account->stats.refreshes++;
    request->sim->totals.refreshes++;
}

static void fail(struct token_request *request, const char *fault, struct http_reply *reply)
{
    if (!token_error(fault, request->profile, reply)) {
        reply->status = 500;
        reply->body = strdup("{\"error\":\"no such token_error\"}");
    }
    if (reply->status == 429)
        reply->retry_after = (unsigned)knob_number(request->knobs, KNOB_TOKEN_RETRY_AFTER, 60);
    request->sim->totals.refresh_errors++;
    if (request->account)
        request->account->stats.refresh_errors++;
}

static void answer(struct token_request *request, struct http_reply *reply)
{
    bool forced = knob_fires(request->knobs, KNOB_TOKEN_ERROR);
    const char *fault = forced ? knob_text(request->knobs, KNOB_TOKEN_ERROR, "") : NULL;

    reply->delay_ms = (uint64_t)knob_number(request->knobs, KNOB_TOKEN_DELAY_MS, 0);
    reply->ending = knob_on(request->knobs, KNOB_TOKEN_CHUNKED) ? HTTP_CHUNKED : HTTP_WHOLE;
    if (fault && strcmp(fault, "close_body") == 0) {
        reply->ending = HTTP_CUT_SHORT;
        fault = NULL;
    }
    if (!fault)
        fault = find_fault(request);
    if (fault)
        fail(request, fault, reply);
    else
        succeed(request, reply);
}

static void post_token(const struct http_request *http, struct http_reply *reply)
{
    struct token_request request;

    request_init(&request, http);
    answer(&request, reply);
    request_clear(&request);
}

/* The paths of both providers lead here, so that an account's token URL may
 * look like the real one. */
const struct http_route http_token_routes[] = {
    {"POST", "/token", post_token},
    {"POST", "/common/oauth2/v2.0/token", post_token},
    {"GET", "/introspect", http_introspect},
    {"POST", "/introspect", http_introspect},
    {NULL, NULL, NULL},
};
