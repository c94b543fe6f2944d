/* How a login begins: whose application asks, at which provider, for what. */
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "broker/admin/candidate.h"
#include "broker/admin/login.h"
#include "broker/broker.h"
#include "broker/form.h"
#include "broker/oauth/redirect.h"
#include "broker/store/record_grant.h"
#include "broker/wipe.h"

#define LOGINS_MAX 64
#define WAIT_MS 600000 /* for somebody at a browser; codes last about as long */
/* What stands for the refresh token while there is none. */
#define NO_TOKEN "none-yet"

struct plan {
    struct broker *broker;
    const struct conf *conf;
    const struct login_wish *wish;
    struct login_refusal *refusal;
    const struct account *account; /* that is there; NULL: none */
    const struct conf_provider *provider;
    const struct conf_app *app; /* NULL: none */
    bool same_grant;            /* the account's own client and place stay */
};

static bool refuse(struct plan *plan, unsigned status, const char *field, json_t *choices,
                   const char *format, ...) __attribute__((format(printf, 5, 6)));

static bool refuse(struct plan *plan, unsigned status, const char *field, json_t *choices,
                   const char *format, ...)
{
    struct login_refusal *refusal = plan->refusal;
    va_list args;

    va_start(args, format);
    vsnprintf(refusal->why.text, sizeof(refusal->why.text), format, args);
    va_end(args);
    refusal->status = status;
    slice_copy(slice_of(field ? field : ""), refusal->field, sizeof(refusal->field));
    refusal->choices = choices;
    return false;
}

/* --- the provider ------------------------------------------------------------ */

static bool can_sign_in(const struct conf_provider *provider, enum login_flow flow)
{
    return flow == LOGIN_DEVICE ? provider->device_url[0] : provider->authorize_url[0];
}

static json_t *provider_choices(const struct plan *plan)
{
    json_t *names = json_array();

    for (size_t i = 0; i < plan->conf->provider_count; i++) {
        const struct conf_provider *provider = &plan->conf->providers[i];

        if (strcmp(provider->name, "default") != 0 && can_sign_in(provider, plan->wish->flow))
            json_array_append_new(names, json_string(provider->name));
    }
    return names;
}

static const char *domain_of(const char *email)
{
    const char *at = strrchr(email, '@');

    return at ? at + 1 : "";
}

static bool find_app(struct plan *plan)
{
    json_t *names;

    if (!plan->wish->app)
        return true;
    plan->app = conf_app(plan->conf, plan->wish->app);
    if (plan->app)
        return true;
    names = json_array();
    for (size_t i = 0; i < plan->conf->app_count && i < 20; i++)
        json_array_append_new(names, json_string(plan->conf->apps[i].name));
    return refuse(plan, 400, "app", names, "app: the configuration has no application \"%.64s\"",
                  plan->wish->app);
}

/* Said, or that of the application, of the account that is there, of the domain. */
static bool find_provider(struct plan *plan)
{
    const char *name = plan->wish->provider ? plan->wish->provider
                       : plan->app          ? plan->app->provider
                       : plan->account      ? plan->account->record->provider
                                            : NULL;

    if (!name) {
        plan->provider =
            conf_provider_of_domain(plan->conf, slice_of(domain_of(plan->wish->email)));
        return plan->provider ||
               refuse(plan, 400, "provider", provider_choices(plan),
                      "provider: which provider has the mailboxes of %.200s? Name it",
                      domain_of(plan->wish->email));
    }
    plan->provider = conf_provider(plan->conf, slice_of(name));
    if (!slice_equal_nocase(slice_of(plan->provider->name), slice_of(name)))
        return refuse(plan, 400, "provider", provider_choices(plan),
                      "provider: the configuration has no provider \"%.64s\"", name);
    return true;
}

static bool check_flow(struct plan *plan)
{
    const char *name = plan->provider->name;

    if (can_sign_in(plan->provider, plan->wish->flow))
        return true;
    if (plan->wish->flow == LOGIN_DEVICE)
        return refuse(plan, 400, "flow", NULL,
                      "flow: %s has no sign-in by a code on another device that gives access to "
                      "mail; use a browser",
                      name);
    return refuse(plan, 400, "provider", NULL,
                  "provider: providers.%s.authorize_url is not set: nobody can sign in there",
                  name);
}

/* --- the application ---------------------------------------------------------- */

static bool signs_people_in(const struct conf_app *app)
{
    return !app->service_account[0] &&
           (app->grant == CONF_GRANT_AUTO || app->grant == CONF_GRANT_REFRESH_TOKEN);
}

static bool is_same_provider(const struct plan *plan)
{
    return plan->account && slice_equal_nocase(slice_of(plan->account->record->provider),
                                               slice_of(plan->provider->name));
}

/* The only one of the provider that people sign in to. */
static bool choose_app(struct plan *plan)
{
    json_t *names = json_array();

    for (size_t i = 0; i < plan->conf->app_count; i++) {
        const struct conf_app *app = &plan->conf->apps[i];

        if (!signs_people_in(app) ||
            !slice_equal_nocase(slice_of(app->provider), slice_of(plan->provider->name)))
            continue;
        plan->app = app;
        json_array_append_new(names, json_string(app->name));
    }
    if (json_array_size(names) > 1)
        return refuse(plan, 400, "app", names, "app: %s has several applications: name one",
                      plan->provider->name);
    json_decref(names);
    return plan->app ||
           refuse(plan, 400, "client_id", NULL,
                  "client_id: which application asks %s? Name the client_id (and client_secret) of "
                  "its registration there, or describe it in apps.NAME of the configuration",
                  plan->provider->name);
}

static bool find_client(struct plan *plan)
{
    const struct login_wish *wish = plan->wish;

    if (wish->client_id || plan->app)
        return true;
    if (is_same_provider(plan) && plan->account->record->grant == GRANT_REFRESH_TOKEN) {
        plan->same_grant = !wish->tenant && !login_place_is_live(plan->account->record);
        return true;
    }
    if (plan->account && plan->account->record->grant != GRANT_REFRESH_TOKEN)
        return refuse(plan, 409, "client_id", NULL,
                      "client_id: %.200s gets its tokens without a person (%s): nobody needs to "
                      "sign in. Name app or client_id to change that",
                      plan->account->record->email,
                      record_grant_names[plan->account->record->grant]);
    return choose_app(plan);
}

/* --- the record ------------------------------------------------------------------ */

static void set_text(json_t *object, const char *key, const char *text)
{
    if (text && *text)
        json_object_set_new(object, key, json_string(text));
}

/* Personal mailboxes of Microsoft have a tenant of their own. Its token endpoint is the one
 * that knows the codes of the page where they sign in. */
static const char *personal_tenant(const struct plan *plan)
{
    const struct account_record *there = is_same_provider(plan) ? plan->account->record : NULL;
    const struct conf_provider *provider =
        conf_provider_of_domain(plan->conf, slice_of(domain_of(plan->wish->email)));

    if (plan->app || !provider || provider != plan->provider ||
        strcmp(provider->name, "outlook") != 0 || !record_common_tenant(provider->token_url).len)
        return NULL;
    if (there && !login_place_is_live(there))
        return NULL;
    return "consumers";
}

static void add_client(const struct plan *plan, json_t *object)
{
    const struct login_wish *wish = plan->wish;
    const struct account_record *there = plan->account ? plan->account->record : NULL;

    if (plan->app) {
        set_text(object, "app", plan->app->name);
        return;
    }
    if (!wish->client_id && there) { /* another tenant of the account's own application */
        set_text(object, there->app[0] ? "app" : "client_id",
                 there->app[0] ? there->app : there->client_id);
        return;
    }
    if (!wish->client_id)
        return;
    set_text(object, "client_id", wish->client_id);
    /* None is a choice, too: a public client's. */
    if (wish->client_secret || !there || strcmp(there->client_id, wish->client_id) != 0)
        json_object_set_new(object, "client_secret",
                            json_string(wish->client_secret ? wish->client_secret : ""));
}

static json_t *object_of(const struct plan *plan)
{
    const struct login_wish *wish = plan->wish;
    json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:b, s:b}", "email", wish->email, "provider",
                               plan->provider->name, "grant", "refresh_token", "refresh_token",
                               NO_TOKEN, "verify", 0, "overwrite", 1);

    if (!object)
        return NULL;
    set_text(object, "tenant", wish->tenant ? wish->tenant : personal_tenant(plan));
    add_client(plan, object);
    return object;
}

static bool make_record(struct plan *plan, struct login *login)
{
    struct login_refusal *refusal = plan->refusal;
    struct candidate candidate;

    if (plan->same_grant) {
        slice_copy(slice_of(plan->account->record->id), login->account_id,
                   sizeof(login->account_id));
        return true;
    }
    login->object = object_of(plan);
    if (!login->object)
        return refuse(plan, 400, NULL, NULL, "a text of the request is no UTF-8");
    if (!candidate_make(&candidate, plan->broker, plan->conf, login->object, &refusal->why)) {
        refusal->status = 400;
        candidate_field(refusal->why.text, refusal->field, sizeof(refusal->field));
        return false;
    }
    login->record = candidate.record;
    json_decref(candidate.object);
    return true;
}

/* --- what the provider is asked for -------------------------------------------------- */

/* The tenant in the place of common, where the URL has one. */
static bool place_tenant(const char *url, const char *tenant, struct text *out)
{
    struct slice common = record_common_tenant(url);

    if (!common.ptr || !common.len || !tenant[0]) {
        text_add_str(out, url);
    } else {
        text_add(out, url, (size_t)(common.ptr - url));
        text_add_str(out, tenant);
        text_add_str(out, common.ptr + common.len);
    }
    return !out->cut;
}

/* One of its own goes before what the provider's people sign in for. */
static void choose_scope(const struct plan *plan, const struct account_record *record,
                         struct login *login)
{
    const struct conf_provider *provider = plan->provider;
    bool own = !slice_equal(slice_of(record->scope), slice_of(provider->scope));

    slice_copy(
        slice_of(own || !provider->authorize_scope[0] ? record->scope : provider->authorize_scope),
        login->scope, sizeof(login->scope));
}

static bool make_url(const struct plan *plan, const struct account_record *record,
                     struct login *login)
{
    const struct conf_provider *provider = plan->provider;
    char memory[CONF_TEXT_MAX + 300], challenge[PKCE_TEXT_MAX];
    struct form form;
    struct text text;
    size_t len;

    text_init(&text, memory, sizeof(memory));
    if (!place_tenant(provider->authorize_url, record->tenant, &text))
        return false;
    text_add_char(&text, strchr(memory, '?') ? '&' : '?');
    pkce_challenge(login->verifier, challenge);
    form_init(&form);
    form_add(&form, "client_id", slice_of(record->client_id));
    form_add(&form, "response_type", SLICE("code"));
    form_add(&form, "redirect_uri", slice_of(login->redirect_uri));
    if (login->scope[0])
        form_add(&form, "scope", slice_of(login->scope));
    form_add(&form, "state", slice_of(login->csrf));
    form_add(&form, "code_challenge", slice_of(challenge));
    form_add(&form, "code_challenge_method", SLICE("S256"));
    form_add(&form, "login_hint", slice_of(record->email));
    form_add_encoded(&form, provider->authorize_extra);
    len = text.len + form.len;
    if (!form.failed && !text.cut && len < LOGIN_URL_MAX &&
        (login->authorize_url = malloc(len + 1)))
        snprintf(login->authorize_url, len + 1, "%s%s", memory, form.at);
    form_clear(&form);
    return login->authorize_url != NULL;
}

static bool begin_browser(struct plan *plan, const struct account_record *record,
                          struct login *login)
{
    const char *uri = plan->wish->redirect_uri ? plan->wish->redirect_uri : "";

    if (!redirect_uri_allowed(uri))
        return refuse(plan, 400, "redirect_uri", NULL,
                      "redirect_uri: must be http://localhost, 127.0.0.1 or [::1] with any port, "
                      "or an https:// address, as the application's registration has it");
    slice_copy(slice_of(uri), login->redirect_uri, sizeof(login->redirect_uri));
    pkce_make_verifier(login->csrf); /* as hard to guess */
    pkce_make_verifier(login->verifier);
    return make_url(plan, record, login) ||
           refuse(plan, 400, NULL, NULL,
                  "the authorization request is longer than %d octets, or memory is out",
                  LOGIN_URL_MAX);
}

static bool begin_device(struct plan *plan, const struct account_record *record,
                         struct login *login)
{
    struct text text;

    text_init(&text, login->device_url, sizeof(login->device_url));
    return place_tenant(plan->provider->device_url, record->tenant, &text) ||
           refuse(plan, 400, "tenant", NULL, "tenant: makes the URL too long");
}

/* --- beginning ------------------------------------------------------------------------ */

/* For the new one, which is on the list already: nothing of it is wrong, or no other one would
 * have to go. */
static bool make_room(struct plan *plan, const struct login *fresh)
{
    struct list *list = &plan->broker->logins.list;

    list_foreach_safe (list, node) {
        struct login *login = container_of(node, struct login, node);
        bool same = slice_equal_nocase(slice_of(login->email), slice_of(fresh->email));

        if (login == fresh)
            continue;
        if (same && (login->state == LOGIN_WAITING || login->state == LOGIN_BEGINNING))
            login_fail(login, LOGIN_REPLACED, "another login of this mailbox was begun");
        if (list->count > LOGINS_MAX && login_over(login))
            login_free(login);
    }
    return list->count <= LOGINS_MAX ||
           refuse(plan, 503, NULL, NULL, "%d logins are under way already; try again in a while",
                  LOGINS_MAX);
}

static struct login *login_new(const struct plan *plan)
{
    struct login *login = calloc(1, sizeof(*login));
    unsigned char octets[(LOGIN_ID_MAX - 1) / 2];

    if (!login)
        return NULL;
    login->broker = plan->broker;
    login->flow = plan->wish->flow;
    randombytes_buf(octets, sizeof(octets));
    hex_encode(octets, sizeof(octets), login->id);
    slice_copy(slice_of(plan->wish->email), login->email, sizeof(login->email));
    slice_copy(slice_of(plan->provider->name), login->provider, sizeof(login->provider));
    login_init_timers(login);
    list_push_tail(&plan->broker->logins.list, &login->node);
    loop_timer_set(&plan->broker->loop, &login->end, WAIT_MS);
    login->ends_wall_ms = clock_wall_ms() + WAIT_MS;
    return login;
}

static bool prepare(struct plan *plan, struct login *login)
{
    const struct account_record *record;
    const char *key;

    if (!make_record(plan, login))
        return false;
    record = login->record ? login->record : plan->account->record;
    key = login_place_check(plan->provider, record, &plan->refusal->why);
    if (key) {
        slice_copy(slice_of(key), plan->refusal->field, sizeof(plan->refusal->field));
        plan->refusal->status = 409;
        return false;
    }
    if (!login_place_keep(login, record))
        return false;
    choose_scope(plan, record, login);
    return login->flow == LOGIN_DEVICE ? begin_device(plan, record, login)
                                       : begin_browser(plan, record, login);
}

struct login *login_begin(struct broker *broker, const struct login_wish *wish,
                          struct admin_request *request, struct login_refusal *refusal)
{
    struct plan plan = {.broker = broker,
                        .conf = broker_next_setup(broker)->conf,
                        .wish = wish,
                        .refusal = refusal,
                        .account = registry_by_login(&broker->registry, slice_of(wish->email))};
    struct login *login;

    *refusal = (struct login_refusal){.status = 500, .why = {"out of memory"}};
    if (!find_app(&plan) || !find_provider(&plan) || !check_flow(&plan) || !find_client(&plan) ||
        !(login = login_new(&plan)))
        return NULL;
    if (!prepare(&plan, login) || !make_room(&plan, login)) {
        login_free(login);
        return NULL;
    }
    log_event(LOG_INFO, "login_begun", log_s("email", login->email),
              log_s("provider", login->provider),
              log_s("flow", login->flow == LOGIN_DEVICE ? "device" : "browser"));
    if (login->flow == LOGIN_BROWSER) {
        login_move(login, LOGIN_WAITING);
        return login;
    }
    login->request = request;
    login_ask_device(login);
    return login;
}
