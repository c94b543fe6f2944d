#include "broker/admin/login.h"

#include <sodium.h>
#include <stdlib.h>

#include "base/clock.h"
#include "broker/admin/change.h"
#include "broker/admin/hints.h"
#include "broker/broker.h"
#include "broker/oauth/grant.h"
#include "broker/oauth/redirect.h"
#include "broker/wipe.h"

#define REMEMBERED_MS 600000 /* one that is over: for who asks what came of it */
#define BUSY_MS 60000        /* for who ends by himself, when his time is over */
#define AGAIN_MAX_MS 60000   /* between polls, while the endpoint has troubles */

const char *const login_state_names[LOGIN_STATES] = {
    "new", "beginning", "waiting", "exchanging", "checking", "storing", "done", "failed"};

static const struct {
    const char *cause, *hint;
} faults[LOGIN_FAULTS] = {
    [LOGIN_DECLINED] = {"declined", "Sign in again, and allow the access that is asked for."},
    [LOGIN_EXPIRED] = {"expired", "Begin again, and sign in before the time is over."},
    [LOGIN_REPLACED] = {"replaced", "Another login of the same mailbox was begun: finish that."},
    [LOGIN_NOT_ALLOWED] = {"not_allowed",
                           "The provider does not let this user sign in to this application: see "
                           "the text, and the application's registration there."},
    [LOGIN_CODE_REFUSED] = {"code_refused",
                            "A code is good once, and for some minutes only: begin again."},
    [LOGIN_APPLICATION] = {"application_refused",
                           "The provider refuses the application: check client_id, client_secret, "
                           "tenant and the redirect addresses of its registration."},
    [LOGIN_ENDPOINT] = {"provider_unavailable",
                        "The provider could not be asked; begin again in a while, and check that "
                        "this host reaches it."},
    [LOGIN_NO_REFRESH_TOKEN] = {"no_refresh_token",
                                "Without a refresh token no mail is sent when the first token is "
                                "over: ask for it by authorize_scope (offline_access) or "
                                "authorize_extra of the provider."},
    [LOGIN_NO_PERMISSION] = {"permission_missing",
                             "Sign in again, and leave the permission to send mail ticked on the "
                             "provider's page."},
    [LOGIN_WRONG_USER] = {"wrong_user",
                          "Begin again and sign in as the mailbox's owner: sign out in the browser "
                          "first, or use a private window."},
    [LOGIN_NOT_STORED] = {"not_stored", "Nothing was changed; see the text."},
};

void logins_init(struct logins *logins)
{
    list_init(&logins->list);
}

struct login *logins_find(const struct logins *logins, const char *id)
{
    list_foreach_safe (&logins->list, node) {
        struct login *login = container_of(node, struct login, node);

        if (strcmp(login->id, id) == 0)
            return login;
    }
    return NULL;
}

static void drop_secrets(struct login *login)
{
    json_decref(login->object);
    login->object = NULL;
    record_free(login->record);
    login->record = NULL;
    sodium_memzero(login->verifier, sizeof(login->verifier));
    sodium_memzero(login->csrf, sizeof(login->csrf));
    secret_free(&login->code);
    secret_free(&login->refresh_token);
    secret_free(&login->authorize_url);
    token_grant_clear(&login->grant);
    device_grant_clear(&login->device);
}

void login_free(struct login *login)
{
    struct loop *loop = &login->broker->loop;

    if (login->http)
        http_cancel(login->http);
    login_probe_end(login);
    loop_timer_cancel(loop, &login->poll);
    loop_timer_cancel(loop, &login->end);
    drop_secrets(login);
    list_remove(&login->broker->logins.list, &login->node);
    free(login);
}

void logins_clear(struct logins *logins)
{
    struct list_node *node;

    while ((node = list_first(&logins->list))) {
        struct login *login = container_of(node, struct login, node);

        if (login->request)
            login_fail(login, LOGIN_NOT_STORED, "bearerd is ending");
        login_free(login);
    }
}

static void log_end(const struct login *login)
{
    if (login->state == LOGIN_DONE)
        log_event(LOG_INFO, "login_done", log_s("email", login->email),
                  log_s("provider", login->provider));
    else
        log_event(LOG_WARN, "login_failed", log_s("email", login->email),
                  log_s("provider", login->provider), log_s("cause", login->cause),
                  log_s("text", login->error));
}

/* The only one that changes a state. */
void login_move(struct login *login, enum login_state state)
{
    struct loop *loop = &login->broker->loop;

    login->state = state;
    if (!login_over(login))
        return;
    if (login->http)
        http_cancel(login->http);
    login->http = NULL;
    loop_timer_cancel(loop, &login->poll);
    loop_timer_set(loop, &login->end, REMEMBERED_MS);
    drop_secrets(login);
    log_end(login);
    if (login->request)
        login_reply(login);
}

/* The cure that the table of causes has for such words, if it has one. */
static void set_hint(struct login *login)
{
    static const enum account_state states[] = {ACCOUNT_MISCONFIGURED, ACCOUNT_NEEDS_CONSENT};
    bool provider_said = login->fault == LOGIN_APPLICATION || login->fault == LOGIN_NOT_ALLOWED ||
                         login->fault == LOGIN_CODE_REFUSED;

    login->cause = faults[login->fault].cause;
    login->hint = faults[login->fault].hint;
    for (size_t i = 0; provider_said && i < sizeof(states) / sizeof(*states); i++) {
        const struct hint *hint = hint_of(HOLD_TOKEN, states[i], login->error);

        if (!hint->pattern)
            continue;
        login->cause = hint->cause;
        login->hint = hint->text;
        return;
    }
}

void login_fail(struct login *login, enum login_fault fault, const char *error)
{
    login->fault = fault;
    slice_copy(slice_of(error), login->error, sizeof(login->error));
    set_hint(login);
    login_probe_end(login);
    login_move(login, LOGIN_FAILED);
}

const struct account_record *login_record(struct login *login)
{
    const struct account *account;

    if (login->record)
        return login->record;
    account = registry_by_id(&login->broker->registry, slice_of(login->account_id));
    if (account)
        return account->record;
    login_fail(login, LOGIN_NOT_STORED, "the account was removed meanwhile");
    return NULL;
}

/* --- storing ------------------------------------------------------------------- */

static void finish(struct login *login)
{
    login->intake = NULL;
    login->change = NULL;
    login_move(login, LOGIN_DONE);
}

static void on_taken(struct intake *intake)
{
    struct login *login = intake->owner;
    struct intake_item *item = &intake->items[0];

    login->added = item->verdict == INTAKE_ADDED;
    login->intake = NULL;
    if (intake_item_ok(item))
        finish(login);
    else
        login_fail(login, LOGIN_NOT_STORED, item->error);
    intake_free(intake);
}

static void store_new(struct login *login)
{
    struct intake *intake = intake_new(login->broker, 1, 0);
    struct intake_item *item;

    if (!intake) {
        login_fail(login, LOGIN_NOT_STORED, "out of memory");
        return;
    }
    item = &intake->items[0];
    intake->owner = login;
    intake->finished = on_taken;
    login->intake = intake;
    json_object_set_new(login->object, "refresh_token", json_string(login->refresh_token));
    intake_check(item, login->object);
    if (item->verdict == INTAKE_PENDING) {
        item->grant = login->grant;
        login->grant.value = NULL;
    }
    intake_start(item);
}

static void on_patched(struct store_write *write)
{
    struct change *change = change_of(write);
    struct store_edit *edit = &write->edits[0];
    struct login *login = change->owner;
    struct account *account = NULL;

    login->change = NULL;
    if (edit->status == STORE_OK) {
        account = registry_put(&change->broker->registry, edit->record, &login->grant);
        edit->record = NULL;
        tokens_spread(&change->broker->tokens, 1);
    }
    if (account)
        finish(login);
    else
        login_fail(login, LOGIN_NOT_STORED,
                   edit->status == STORE_OK ? "out of memory" : edit->why.text);
    change_free(change);
}

static void store_token(struct login *login)
{
    struct change *change = change_new(login->broker, 1);

    if (!change) {
        login_fail(login, LOGIN_NOT_STORED, "out of memory");
        return;
    }
    change->owner = login;
    change->write.edits[0] =
        (struct store_edit){.kind = STORE_PATCH,
                            .id = slice_dup(slice_of(login->account_id)),
                            .object = json_pack("{s:s}", "refresh_token", login->refresh_token)};
    login->change = change;
    change_submit(change, on_patched);
}

void login_store(struct login *login)
{
    if (!login_record(login))
        return;
    login_move(login, LOGIN_STORING);
    if (login->broker->ended)
        login_fail(login, LOGIN_NOT_STORED, "bearerd is ending");
    else if (login->object)
        store_new(login);
    else
        store_token(login);
}

/* --- tokens -------------------------------------------------------------------- */

static bool is_the_one(const struct login *login, const struct account_record *record)
{
    return identity_is(&login->identity, record->email) ||
           identity_is(&login->identity, record->sasl_user);
}

static void take_tokens(struct login *login, const struct account_record *record,
                        struct oauth_response *response)
{
    char lacking[256], memory[400];
    struct text text;

    if (!response->refresh_token) {
        login_fail(login, LOGIN_NO_REFRESH_TOKEN, "the provider gave no refresh token");
        return;
    }
    if (identity_lacks(&login->identity, login->scope, lacking, sizeof(lacking))) {
        text_init(&text, memory, sizeof(memory));
        text_addf(&text, "the permission %.200s was not given", lacking);
        login_fail(login, LOGIN_NO_PERMISSION, memory);
        return;
    }
    login->refresh_token = response->refresh_token;
    login->grant = (struct token_grant){
        .value = response->access_token,
        .life_ms = response->expires_ms ? response->expires_ms
                                        : login->broker->setup->conf->token_default_life_ms,
        .came_ms = loop_now(&login->broker->loop)};
    response->refresh_token = response->access_token = NULL;
    if (is_the_one(login, record))
        login_store(login);
    else
        login_probe_begin(login);
}

static void take_failure(struct login *login, const struct oauth_response *response)
{
    switch (response->class_) {
    case OAUTH_CONSENT:
        login_fail(login, LOGIN_CODE_REFUSED, response->text);
        break;
    case OAUTH_APP:
        login_fail(login, LOGIN_APPLICATION, response->text);
        break;
    default:
        login_fail(login, LOGIN_ENDPOINT, response->text);
        break;
    }
}

/* --- polls --- */

static void poll_later(struct login *login, uint64_t more_ms, uint64_t at_least_ms)
{
    uint64_t *interval = &login->device.interval_ms;

    *interval += more_ms;
    if (*interval < at_least_ms)
        *interval = at_least_ms;
    loop_timer_set(&login->broker->loop, &login->poll, *interval);
}

static void take_poll(struct login *login, const struct account_record *record,
                      struct oauth_response *response)
{
    uint64_t interval = login->device.interval_ms;

    switch (device_poll_of(response)) {
    case DEVICE_GRANTED:
        login_move(login, LOGIN_EXCHANGING);
        take_tokens(login, record, response);
        break;
    case DEVICE_PENDING:
        poll_later(login, 0, 0);
        break;
    case DEVICE_SLOWER:
        poll_later(login, DEVICE_SLOWER_MS, response->retry_after_ms);
        break;
    case DEVICE_AGAIN: /* ever more slowly (RFC 8628 section 3.5) */
        poll_later(login, interval < AGAIN_MAX_MS ? interval : 0, response->retry_after_ms);
        break;
    case DEVICE_DECLINED:
        login_fail(login, LOGIN_DECLINED, response->text);
        break;
    case DEVICE_EXPIRED:
        login_fail(login, LOGIN_EXPIRED, response->text);
        break;
    case DEVICE_REFUSED:
        take_failure(login, response);
        break;
    }
}

/* --- requests --- */

static void mask(struct oauth_response *response, const char *secret)
{
    if (secret)
        oauth_response_mask(response, secret);
}

/* Whoever repeats what he was sent. */
static void mask_all(const struct login *login, const struct account_record *record,
                     struct oauth_response *response)
{
    mask(response, record->client_secret);
    mask(response, login->code);
    mask(response, login->verifier);
    mask(response, login->device.device_code);
}

static void exchange(struct login *login);

static void on_tokens(void *owner, const struct oauth_answer *answer, const char *why)
{
    struct login *login = owner;
    const struct account_record *record;
    struct oauth_response response;

    login->http = NULL;
    record = login_record(login);
    if (!record)
        return;
    if (!answer && !login->tried && login->flow == LOGIN_BROWSER) {
        login->tried = true; /* a code that never came there is still good */
        exchange(login);
        return;
    }
    login->identity = (struct identity){.scope = ""};
    if (answer) {
        host_clock_sample(clocks_of(&login->broker->tokens.clocks, record->token_url), answer->date,
                          answer->wall_ms);
        identity_read(&login->identity, answer->body, record->client_id);
        oauth_response_read(&response, answer);
    } else {
        oauth_response_failed(&response, why);
    }
    mask_all(login, record, &response);
    if (login->flow == LOGIN_DEVICE)
        take_poll(login, record, &response);
    else if (response.class_ == OAUTH_OK)
        take_tokens(login, record, &response);
    else
        take_failure(login, &response);
    oauth_response_clear(&response);
}

static uint64_t time_at(struct login *login, const char *url)
{
    return host_clock_now(clocks_of(&login->broker->tokens.clocks, url), clock_wall_ms());
}

static bool post(struct login *login, const char *url, struct form *form, bool written,
                 http_done *done)
{
    if (written)
        login->http = http_post(login->broker->verify_http, url,
                                (struct slice){form->at, form->len}, true, done, login);
    form_clear(form);
    return login->http != NULL;
}

static void exchange(struct login *login)
{
    const struct account_record *record = login_record(login);
    struct form form;
    uint64_t now;
    bool written;

    if (!record)
        return;
    form_init(&form);
    now = time_at(login, record->token_url);
    if (login->flow == LOGIN_DEVICE)
        written = grant_write_device(&form, record, login->device.device_code, now);
    else
        written =
            grant_write_code(&form, record, login->code, login->verifier, login->redirect_uri, now);
    if (!post(login, record->token_url, &form, written, on_tokens))
        login_fail(login, LOGIN_ENDPOINT,
                   "the request could not be made, for lack of memory or because the key does "
                   "not sign");
}

static void on_poll(struct timer *timer)
{
    exchange(container_of(timer, struct login, poll));
}

/* --- the device's code --- */

static void take_device(struct login *login)
{
    loop_timer_set(&login->broker->loop, &login->end, login->device.expires_ms);
    login->ends_wall_ms = clock_wall_ms() + login->device.expires_ms;
    login_move(login, LOGIN_WAITING);
    poll_later(login, 0, 0);
    login_reply(login);
}

static void on_device(void *owner, const struct oauth_answer *answer, const char *why)
{
    struct login *login = owner;
    const struct account_record *record;
    struct oauth_response response;
    bool ok = false;

    login->http = NULL;
    record = login_record(login);
    if (!record)
        return;
    if (answer)
        ok = device_grant_read(&login->device, answer, &response);
    else
        oauth_response_failed(&response, why);
    if (ok) {
        take_device(login);
        return;
    }
    mask_all(login, record, &response);
    take_failure(login, &response);
    oauth_response_clear(&response);
}

void login_ask_device(struct login *login)
{
    const struct account_record *record = login_record(login);
    struct form form;
    bool written;

    if (!record)
        return;
    login_move(login, LOGIN_BEGINNING);
    form_init(&form);
    written =
        grant_write_device_begin(&form, record, login->scope, time_at(login, record->token_url));
    if (!post(login, login->device_url, &form, written, on_device))
        login_fail(login, LOGIN_ENDPOINT, "the request could not be made: out of memory");
}

/* --- the browser's answer --- */

/* RFC 6749 section 4.1.2.1. */
static enum login_fault fault_of(const char *error)
{
    if (strcmp(error, "access_denied") == 0)
        return LOGIN_DECLINED;
    if (strcmp(error, "server_error") == 0 || strcmp(error, "temporarily_unavailable") == 0)
        return LOGIN_ENDPOINT;
    return LOGIN_NOT_ALLOWED;
}

static void take_refusal(struct login *login, const struct redirect *redirect)
{
    char memory[LOGIN_TEXT_MAX];
    struct text text;

    text_init(&text, memory, sizeof(memory));
    text_addf(&text, "%s%s%s", redirect->error, redirect->description[0] ? ": " : "",
              redirect->description);
    login_fail(login, fault_of(redirect->error), memory);
}

/* A code without a state was typed by a person. It helps nobody to have him type a foreign
 * one: the verifier does not fit to it. */
static bool is_ours(const struct login *login, const struct redirect *redirect)
{
    size_t len = strlen(login->csrf);

    if (!redirect->state[0])
        return !redirect->error[0];
    return strlen(redirect->state) == len && sodium_memcmp(redirect->state, login->csrf, len) == 0;
}

static bool take(struct login *login, const struct redirect *redirect, struct reason *why)
{
    if (!is_ours(login, redirect))
        return reason_set(why, "this address is not that of this login, but perhaps of an earlier "
                               "one: its \"state\" is another; paste the newest");
    if (redirect->error[0]) {
        take_refusal(login, redirect);
        return true;
    }
    login->code = slice_dup(slice_of(redirect->code));
    if (!login->code)
        return reason_set(why, "out of memory");
    login->tried = false;
    login_move(login, LOGIN_EXCHANGING);
    exchange(login);
    return true;
}

bool login_take_redirect(struct login *login, struct slice text, struct reason *why)
{
    struct redirect *redirect = calloc(1, sizeof(*redirect));
    bool ok = redirect ? redirect_read(redirect, text, why) && take(login, redirect, why)
                       : reason_set(why, "out of memory");

    secret_free_len(redirect, redirect ? sizeof(*redirect) : 0);
    return ok;
}

bool login_cancel(struct login *login)
{
    if (login->state == LOGIN_STORING)
        return false;
    login_free(login);
    return true;
}

/* --- time --- */

static void on_end(struct timer *timer)
{
    struct login *login = container_of(timer, struct login, end);

    if (login_over(login))
        login_free(login);
    else if (login->state == LOGIN_WAITING)
        login_fail(login, LOGIN_EXPIRED, "nobody has signed in in time");
    else
        loop_timer_set(&login->broker->loop, timer, BUSY_MS);
}

void login_init_timers(struct login *login)
{
    timer_init(&login->poll, on_poll);
    timer_init(&login->end, on_end);
}
