/* /admin/logins: see login.h. */
#include "broker/admin/handlers.h"
#include "broker/admin/login.h"
#include "broker/broker.h"

/* --- showing ------------------------------------------------------------------- */

static const char *state_of(const struct login *login)
{
    return login->state == LOGIN_DONE     ? "done"
           : login->state == LOGIN_FAILED ? "failed"
                                          : "pending";
}

static void add_text(json_t *object, const char *key, const char *text)
{
    if (text && *text)
        json_object_set_new(object, key, json_string(text));
}

static void add_device(json_t *object, const struct login *login)
{
    add_text(object, "user_code", login->device.user_code);
    add_text(object, "verification_uri", login->device.verification_uri);
    add_text(object, "verification_uri_complete", login->device.complete);
    json_object_set_new(object, "interval",
                        json_integer((json_int_t)(login->device.interval_ms / 1000)));
}

static void add_browser(json_t *object, const struct login *login)
{
    add_text(object, "authorize_url", login->authorize_url);
    add_text(object, "redirect_uri", login->redirect_uri);
    add_text(object, "oauth_state", login->csrf);
}

static void add_outcome(json_t *object, const struct login *login)
{
    struct account *account = registry_by_login(&login->broker->registry, slice_of(login->email));

    if (login->state == LOGIN_FAILED) {
        add_text(object, "cause", login->cause);
        add_text(object, "error", login->error);
        add_text(object, "hint", login->hint);
        return;
    }
    json_object_set_new(object, "action", json_string(login->added ? "added" : "updated"));
    add_text(object, "signed_in_as", identity_name(&login->identity));
    add_text(object, "warning", login->warning);
    if (account)
        add_text(object, "account_state", account_state_names[account_state(account)]);
}

static json_t *show(const struct login *login)
{
    json_t *object =
        json_pack("{s:b, s:s, s:s, s:s, s:s, s:s, s:s, s:o}", "success", 1, "id", login->id,
                  "email", login->email, "provider", login->provider, "flow",
                  login->flow == LOGIN_DEVICE ? "device" : "browser", "state", state_of(login),
                  "step", login_state_names[login->state], "expires_at",
                  login_over(login) ? json_null() : admin_time(login->ends_wall_ms));

    if (login_over(login))
        add_outcome(object, login);
    else if (login->flow == LOGIN_DEVICE)
        add_device(object, login);
    else
        add_browser(object, login);
    return object;
}

void login_reply(struct login *login)
{
    struct admin_request *request = login->request;

    login->request = NULL;
    if (!login_over(login))
        admin_reply(request, 201, show(login));
    else
        admin_error_with(request, login->fault == LOGIN_ENDPOINT ? 503 : 400,
                         json_pack("{s:s, s:s}", "cause", login->cause, "hint", login->hint), NULL,
                         "%s", login->error);
}

/* --- beginning ------------------------------------------------------------------- */

static const char *const keys[] = {"email",     "provider",      "app",  "tenant",
                                   "client_id", "client_secret", "flow", "redirect_uri"};
enum { EMAIL, PROVIDER, APP, TENANT, CLIENT_ID, CLIENT_SECRET, FLOW, REDIRECT_URI, KEYS };

static bool is_key(const char *name)
{
    for (size_t i = 0; i < KEYS; i++) {
        if (strcmp(keys[i], name) == 0)
            return true;
    }
    return false;
}

/* An absent text and an empty one are NULL. */
static bool read_texts(struct admin_request *request, json_t *body, const char *values[KEYS])
{
    const char *key;
    json_t *value;

    if (!json_is_object(body)) {
        admin_error(request, 400, "the body must be an object");
        return false;
    }
    json_object_foreach(body, key, value)
    {
        if (is_key(key) && (json_is_string(value) || json_is_null(value)))
            continue;
        admin_error_field(request, 400, key, "%.64s: %s", key,
                          is_key(key) ? "must be a text" : "is no key of a login");
        return false;
    }
    for (size_t i = 0; i < KEYS; i++) {
        values[i] = json_string_value(json_object_get(body, keys[i]));
        if (values[i] && !values[i][0])
            values[i] = NULL;
    }
    return true;
}

static bool read_wish(struct admin_request *request, const char *values[KEYS],
                      struct login_wish *wish)
{
    const char *flow = values[FLOW] ? values[FLOW] : "browser";

    *wish = (struct login_wish){.email = values[EMAIL],
                                .provider = values[PROVIDER],
                                .app = values[APP],
                                .tenant = values[TENANT],
                                .client_id = values[CLIENT_ID],
                                .client_secret = values[CLIENT_SECRET],
                                .redirect_uri = values[REDIRECT_URI],
                                .flow = strcmp(flow, "device") == 0 ? LOGIN_DEVICE : LOGIN_BROWSER};
    if (!wish->email || !strchr(wish->email, '@') || strlen(wish->email) > LOGIN_EMAIL_MAX)
        admin_error_field(request, 400, "email", "email: must be the address of a mailbox");
    else if (strcmp(flow, "device") != 0 && strcmp(flow, "browser") != 0)
        admin_error_field(request, 400, "flow", "flow: must be browser or device");
    else if (wish->app && (wish->client_id || wish->client_secret))
        admin_error_field(request, 400, "app",
                          "app: an application of the configuration has a client_id of its own: "
                          "name one of both");
    else if (wish->client_secret && !wish->client_id)
        admin_error_field(request, 400, "client_id", "client_id: is missing beside client_secret");
    else
        return true;
    return false;
}

static void reply_refusal(struct admin_request *request, struct login_refusal *refusal)
{
    json_t *fields = json_object();

    if (refusal->choices)
        json_object_set_new(fields, "choices", refusal->choices);
    if (refusal->status == 503)
        admin_header(request, "Retry-After", "10");
    admin_error_with(request, refusal->status, fields, refusal->field[0] ? refusal->field : NULL,
                     "%s", refusal->why.text);
}

void logins_begin(struct admin_request *request)
{
    json_t *body = admin_json(request);
    const char *values[KEYS];
    struct login_refusal refusal;
    struct login_wish wish;
    struct login *login;

    if (!body || !read_texts(request, body, values) || !read_wish(request, values, &wish))
        return;
    login = login_begin(admin_broker(request), &wish, request, &refusal);
    if (!login)
        reply_refusal(request, &refusal);
    else if (login->flow == LOGIN_BROWSER)
        admin_reply(request, 201, show(login));
}

/* --- the others ------------------------------------------------------------------- */

static struct login *find(struct admin_request *request)
{
    struct login *login = logins_find(&admin_broker(request)->logins, admin_param(request));

    if (!login)
        admin_error(request, 404,
                    "there is no such login: it is over for a while, or was given up");
    return login;
}

void logins_show(struct admin_request *request)
{
    struct login *login = find(request);

    if (login)
        admin_reply(request, 200, show(login));
}

void logins_finish(struct admin_request *request)
{
    struct login *login = find(request);
    json_t *body = login ? admin_json(request) : NULL;
    const char *text = json_string_value(json_object_get(body, "redirect_url"));
    struct reason why;

    if (!body)
        return;
    if (login->flow != LOGIN_BROWSER || login->state != LOGIN_WAITING) {
        admin_error(request, 409,
                    login->flow == LOGIN_DEVICE
                        ? "this login ends by itself, once the code was typed elsewhere"
                        : "this login has its code already, or is over");
        return;
    }
    if (!text || json_object_size(body) != 1)
        admin_error_field(request, 400, "redirect_url",
                          "redirect_url: must be the address to which the browser was sent, or the "
                          "code in it, and nothing else");
    else if (!login_take_redirect(login, slice_of(text), &why))
        admin_error_field(request, 400, "redirect_url", "redirect_url: %s", why.text);
    else
        admin_reply(request, 202, show(login));
}

void logins_delete(struct admin_request *request)
{
    struct login *login = find(request);

    if (!login)
        return;
    if (login_cancel(login))
        admin_reply(request, 200,
                    json_pack("{s:b, s:s}", "success", 1, "message", "login given up"));
    else
        admin_error(request, 409, "it is being stored and cannot be given up");
}
