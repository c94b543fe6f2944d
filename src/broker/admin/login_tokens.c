/* What a login asks the provider: the code's exchange for tokens, the device's code and the
 * polls behind it. */
#include "base/clock.h"
#include "broker/admin/login.h"
#include "broker/broker.h"
#include "broker/oauth/grant.h"
#include "broker/wipe.h"

#define AGAIN_MAX_MS 60000 /* between polls, while the endpoint has troubles */

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

static uint64_t time_at(struct login *login, const char *url)
{
    return host_clock_now(clocks_of(&login->broker->tokens.clocks, url), clock_wall_ms());
}

static void sample_clock(struct login *login, const struct account_record *record,
                         const struct oauth_answer *answer)
{
    host_clock_sample(clocks_of(&login->broker->tokens.clocks, record->token_url), answer->date,
                      answer->wall_ms);
}

/* Once: a code that never came there is still good, and so is one that came with an assertion
 * of another time than the provider's, which is known now. */
static bool try_again(struct login *login, bool answered, const struct oauth_response *response)
{
    bool device = login->flow == LOGIN_DEVICE;

    if (login->tried || (answered ? !response->clock : device))
        return false;
    login->tried = true;
    if (device)
        poll_later(login, 0, 0);
    else
        login_exchange(login);
    return true;
}

static void take_response(struct login *login, const struct account_record *record,
                          struct oauth_response *response)
{
    if (login->flow == LOGIN_DEVICE)
        take_poll(login, record, response);
    else if (response->class_ == OAUTH_OK)
        take_tokens(login, record, response);
    else
        take_failure(login, response);
}

static void on_tokens(void *owner, const struct oauth_answer *answer, const char *why)
{
    struct login *login = owner;
    const struct account_record *record;
    struct oauth_response response;

    login->http = NULL;
    record = login_record(login);
    if (!record)
        return;
    login->identity = (struct identity){.scope = ""};
    if (answer) {
        sample_clock(login, record, answer);
        identity_read(&login->identity, answer->body, record->client_id,
                      time_at(login, record->token_url));
        oauth_response_read(&response, answer);
    } else {
        oauth_response_failed(&response, why);
    }
    mask_all(login, record, &response);
    if (!try_again(login, answer != NULL, &response))
        take_response(login, record, &response);
    oauth_response_clear(&response);
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

void login_exchange(struct login *login)
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
