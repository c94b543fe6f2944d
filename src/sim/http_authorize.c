/* GET and POST /authorize: the consent of a user in a browser, or of one who is
 * named in ?auto= or by the knob authorize_auto and consents at once. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "sim/authorize_errors.h"
#include "sim/codes.h"
#include "sim/page.h"
#include "sim/redirect_uri.h"
#include "sim/scope.h"

enum field {
    CLIENT_ID,
    REDIRECT_URI,
    RESPONSE_TYPE,
    SCOPE,
    STATE,
    CHALLENGE,
    METHOD,
    NONCE,
    PROMPT,
    LOGIN_HINT,
    ACCESS_TYPE,
    FIELDS
};

static const char *const field_names[FIELDS] = {
    "client_id",      "redirect_uri",          "response_type", "scope",  "state",
    "code_challenge", "code_challenge_method", "nonce",         "prompt", "login_hint",
    "access_type"};

struct request {
    const struct http_request *http;
    struct http_reply *reply;
    struct sim *sim;
    const struct profile *profile;
    struct client *client;
    struct knob_scope knobs;
    struct scope scope;
    char *fields[FIELDS];
};

static bool is_microsoft(const struct request *request)
{
    return request->profile == &profile_m365;
}

static void add_parameter(FILE *out, const char *uri, bool first, const char *name,
                          const char *value)
{
    fputc(first && !strchr(uri, '?') ? '?' : '&', out);
    fprintf(out, "%s=", name);
    http_url_encode(slice_of(value), out);
}

/* Back to the application, with one parameter that counts and what belongs to it. */
static void redirect(struct request *request, const char *name, const char *value,
                     const char *second, const char *second_value)
{
    const char *uri = request->fields[REDIRECT_URI];
    size_t len;
    FILE *out = open_memstream(&request->reply->location, &len);

    fputs(uri, out);
    add_parameter(out, uri, true, name, value);
    if (*second_value)
        add_parameter(out, uri, false, second, second_value);
    if (*request->fields[STATE])
        add_parameter(out, uri, false, "state", request->fields[STATE]);
    fclose(out);
    request->reply->status = 302;
}

/* Returns false, for checks to end with. */
static bool fail(struct request *request, const char *name)
{
    const struct authorize_error *error = authorize_error_find(name, request->profile);

    if (!error->page) {
        redirect(request, "error", error->error, "error_description", error->text);
        return false;
    }
    request->reply->status = error->page;
    page_say(request->reply, is_microsoft(request) ? "Sign in" : "Access blocked", "error",
             error->text);
    return false;
}

static void request_init(struct request *request, const struct http_request *http,
                         struct http_reply *reply)
{
    *request = (struct request){.http = http, .reply = reply, .sim = http->sim};
    for (int i = 0; i < FIELDS; i++)
        request->fields[i] = http_parameter(http, field_names[i]);
    request->client = clients_find(&http->sim->clients, slice_of(request->fields[CLIENT_ID]));
    request->profile = request->client    ? request->client->profile
                       : http->tenant.len ? &profile_m365
                                          : http->sim->options.profile;
    request->knobs = sim_token_scope(http->sim, request->client, NULL);
}

static void request_clear(struct request *request)
{
    for (int i = 0; i < FIELDS; i++)
        free(request->fields[i]);
}

/* Until these have passed nothing is sent to the redirect URI. */
static bool check_client(struct request *request)
{
    if (request->http->tenant.len && !sim_tenant_known(request->sim, request->http->tenant))
        return fail(request, "tenant");
    if (!request->client)
        return fail(request, "invalid_client");
    if (request->client->disabled)
        return fail(request, "disabled_client");
    return redirect_uri_fits(request->client, request->fields[REDIRECT_URI]) ||
           fail(request, "redirect_uri_mismatch");
}

static bool check_scope(struct request *request)
{
    if (!*request->fields[SCOPE])
        return fail(request, is_microsoft(request) ? "scope_missing" : "invalid_request");
    scope_read(request->profile, request->fields[SCOPE], &request->scope);
    if (*request->scope.bad)
        return fail(request, request->scope.foreign ? "invalid_resource" : "invalid_scope");
    return !request->scope.mixed || fail(request, "mixed_scope");
}

static bool check_challenge(struct request *request)
{
    const char *challenge = request->fields[CHALLENGE];

    if (!*challenge)
        return knob_on(request->knobs, KNOB_PKCE_OPTIONAL) || fail(request, "pkce");
    return (strlen(challenge) == 43 && strcmp(request->fields[METHOD], "S256") == 0) ||
           fail(request, "pkce");
}

static bool check(struct request *request)
{
    if (!check_client(request))
        return false;
    if (strcmp(request->fields[RESPONSE_TYPE], "code") != 0)
        return fail(request, "unsupported_response_type");
    if (!*request->fields[STATE])
        sim_error(request->sim, NULL, "an authorization request without state");
    return check_scope(request) && check_challenge(request);
}

static bool lists_word(const char *words, const char *word)
{
    const char *at = strstr(words, word);
    size_t len = strlen(word);

    return at && (at == words || at[-1] == ' ') && (!at[len] || at[len] == ' ');
}

/* Google gives a refresh token when the user consents, and not again each time
 * that he signs in; Microsoft when offline_access was asked for. */
static bool wants_refresh(const struct request *request, const struct account *account)
{
    if (is_microsoft(request))
        return request->scope.offline;
    return strcmp(request->fields[ACCESS_TYPE], "offline") == 0 &&
           (lists_word(request->fields[PROMPT], "consent") ||
            !account_live_grant(account, request->client));
}

static void allow(struct request *request, const char *email)
{
    struct account *account = accounts_find(&request->sim->accounts, slice_of(email));
    int64_t seconds = knob_number(request->knobs, KNOB_CODE_EXPIRES_IN, 600);
    struct code like = {.account = account,
                        .client = request->client,
                        .redirect_uri = request->fields[REDIRECT_URI],
                        .challenge = request->fields[CHALLENGE],
                        .scope = request->fields[SCOPE],
                        .nonce = request->fields[NONCE]};
    const struct code *code;

    if (!account || account->profile != request->profile) {
        fail(request, "unknown_user");
        return;
    }
    like.offline = wants_refresh(request, account);
    like.expires_ms = clock_wall_ms() + (uint64_t)seconds * 1000;
    code = codes_add(&request->sim->codes, &like, request->profile);
    redirect(request, "code", code->token, "scope",
             is_microsoft(request) ? "" : request->scope.granted);
}

static void show_page(struct request *request)
{
    struct page page;

    page_begin(&page, is_microsoft(request) ? "Permissions requested" : "Sign in");
    fputs("<p>The application <b id=\"client\">", page.out);
    page_text(&page, request->client->name ? request->client->name : request->client->id);
    fputs("</b> wants to: <b id=\"scope\">", page.out);
    page_text(&page, request->fields[SCOPE]);
    fputs("</b></p>\n<form id=\"consent\" method=\"post\" action=\"", page.out);
    page_text(&page, request->http->path);
    fputs("\">\n", page.out);
    for (int i = 0; i < FIELDS; i++)
        page_hidden(&page, field_names[i], request->fields[i]);
    page_users(&page, request->sim, request->profile, request->fields[LOGIN_HINT]);
    page_buttons(&page);
    fputs("</form>\n", page.out);
    page_end(&page, request->reply);
}

static void ask(struct request *request)
{
    const char *asked = http_query(request->http, "auto");
    const char *email = knob_text(request->knobs, KNOB_AUTHORIZE_AUTO, asked);

    if (knob_fires(request->knobs, KNOB_AUTHORIZE_ERROR))
        fail(request, knob_text(request->knobs, KNOB_AUTHORIZE_ERROR, ""));
    else if (email)
        allow(request, email);
    else if (lists_word(request->fields[PROMPT], "none"))
        fail(request, "login_required");
    else
        show_page(request);
}

static void take_answer(struct request *request)
{
    char *action = http_form_field(request->http, "action");
    char *email = http_form_field(request->http, "user");

    if (action && strcmp(action, "allow") == 0)
        allow(request, email ? email : "");
    else
        fail(request, "access_denied");
    free(action);
    free(email);
}

void http_authorize(const struct http_request *http, struct http_reply *reply)
{
    struct request request;

    request_init(&request, http, reply);
    if (check(&request)) {
        if (strcmp(http->method, "POST") == 0)
            take_answer(&request);
        else
            ask(&request);
    }
    request_clear(&request);
}
