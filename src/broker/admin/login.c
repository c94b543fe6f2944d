#include "broker/admin/login.h"

#include <sodium.h>
#include <stdlib.h>

#include "base/clock.h"
#include "broker/admin/change.h"
#include "broker/admin/hints.h"
#include "broker/broker.h"
#include "broker/oauth/redirect.h"
#include "broker/wipe.h"

#define REMEMBERED_MS 600000 /* one that is over: for who asks what came of it */
#define BUSY_MS 60000        /* for who ends by himself, when his time is over */

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
    login_place_clear(login);
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

/* What is said of refresh tokens does not fit a code, whose errors are the same. */
static bool is_of_grants(const struct hint *hint)
{
    return strncmp(hint->cause, "grant_", 6) == 0;
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
        const struct hint *hint = hint_for(HINT_ENDPOINT, states[i], login->provider, login->error);

        if (!hint->pattern || (login->fault == LOGIN_CODE_REFUSED && is_of_grants(hint)))
            continue;
        login->cause = hint->cause;
        login->hint = hint->text;
        return;
    }
}

void login_set_text(char text[LOGIN_TEXT_MAX], const char *words)
{
    json_t *json;

    slice_copy(slice_of(words), text, LOGIN_TEXT_MAX);
    json = json_string(text); /* NULL: it is no UTF-8 */
    for (char *at = text; *at; at++) {
        if ((*at > 0 && *at < ' ') || *at == 127 || (*at < 0 && !json))
            *at = '?';
    }
    json_decref(json);
}

void login_fail(struct login *login, enum login_fault fault, const char *error)
{
    login->fault = fault;
    login_set_text(login->error, error);
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
    if (account && store_place_is(&login->place, account->record))
        return account->record;
    login_fail(login, LOGIN_NOT_STORED,
               account ? "the account was changed meanwhile" : "the account was removed meanwhile");
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
    item->place = &login->place;
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
                            .place = &login->place,
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
    login_exchange(login);
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
    if (!login_over(login))
        log_event(LOG_INFO, "login_given_up", log_s("email", login->email),
                  log_s("provider", login->provider));
    login_free(login);
    return true;
}

/* --- time --- */

static void on_poll(struct timer *timer)
{
    login_exchange(container_of(timer, struct login, poll));
}

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
