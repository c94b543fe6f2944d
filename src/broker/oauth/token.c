#include "broker/oauth/token.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "broker/oauth/grant.h"
#include "broker/oauth/http.h"
#include "broker/oauth/policy.h"
#include "broker/oauth/token_private.h"
#include "broker/tell.h"
#include "broker/wipe.h"

#define SPREAD_MAX_MS 600000 /* between the first requests of many new accounts */

const char *const token_phase_names[TOKEN_PHASES] = {"new",    "off",     "resting", "queued",
                                                     "urgent", "running", "saving"};

static void on_due(struct timer *timer);
static void pump(struct tokens *tokens);

static struct account *account_of(struct token *token)
{
    return container_of(token, struct account, token);
}

/* Some at a time: each is a system call, and 100,000 accounts want one at the
 * start. */
uint64_t token_random(void)
{
    static uint64_t numbers[64];
    static size_t left;

    if (!left) {
        randombytes_buf(numbers, sizeof(numbers));
        left = sizeof(numbers) / sizeof(numbers[0]);
    }
    return numbers[--left];
}

void token_rest(struct token *token, uint64_t delay_ms)
{
    token_move(token, TOKEN_RESTING);
    loop_timer_set(token->tokens->loop, &token->due, delay_ms);
}

/* Until a refresh is due, at the usual time or before, where that is crowded. */
static void rest_until_due(struct token *token, uint64_t usual_ms)
{
    struct tokens *tokens = token->tokens;
    uint64_t now = loop_now(tokens->loop), random[CALENDAR_DRAWS], delay;

    for (size_t i = 0; i < CALENDAR_DRAWS; i++)
        random[i] = token_random();
    delay = calendar_choose(&tokens->calendar, now, usual_ms, random);
    token_rest(token, delay);
    token->due_slot = calendar_add(&tokens->calendar, now + delay);
}

static void enqueue(struct token *token, bool urgent)
{
    token_move(token, urgent ? TOKEN_URGENT : TOKEN_QUEUED);
    pump(token->tokens);
}

static bool is_throttled(const struct token *token)
{
    return token->last_class == OAUTH_THROTTLED &&
           loop_now(token->tokens->loop) < token->not_before;
}

static bool is_insisted_on(const struct token *token)
{
    list_foreach (&token->waiters, node) {
        if (container_of(node, struct token_waiter, node)->insists)
            return true;
    }
    return false;
}

/* Only a verification comes before a throttle's time is over. */
static void on_due(struct timer *timer)
{
    struct token *token = container_of(timer, struct token, due);
    uint64_t now = loop_now(token->tokens->loop);

    if (!list_empty(&token->waiters) && is_throttled(token)) {
        token_rest(token, token->not_before - now);
        token_tell(token, OAUTH_THROTTLED, token->down_text ? token->down_text : "");
        return;
    }
    enqueue(token, is_insisted_on(token));
}

static void on_pace(struct timer *timer)
{
    pump(container_of(timer, struct tokens, pace_timer));
}

void tokens_init(struct tokens *tokens, struct loop *loop, struct http *http, struct store *store)
{
    *tokens = (struct tokens){.loop = loop, .http = http, .store = store};
    for (size_t i = 0; i < TOKEN_PHASES; i++)
        list_init(&tokens->phases[i]);
    list_init(&tokens->turns);
    saving_init(tokens);
    kept_init(tokens);
    timer_init(&tokens->pace_timer, on_pace);
}

void tokens_clear(struct tokens *tokens)
{
    loop_timer_cancel(tokens->loop, &tokens->keep_timer);
    loop_timer_cancel(tokens->loop, &tokens->pace_timer);
    clocks_clear(&tokens->clocks);
}

void tokens_set_stage(struct tokens *tokens, enum tokens_stage stage)
{
    tokens->stage = stage;
}

bool tokens_busy(const struct tokens *tokens)
{
    return tokens->phases[TOKEN_RUNNING].count || tokens->phases[TOKEN_SAVING].count ||
           tokens->saves_running;
}

void tokens_spread(struct tokens *tokens, size_t count)
{
    uint64_t span = count > tokens->conf->oauth_concurrency ? count * SPREAD_MS : 0;
    struct list_node *node;

    if (span > SPREAD_MAX_MS)
        span = SPREAD_MAX_MS;
    while ((node = list_first(&tokens->phases[TOKEN_NEW]))) {
        struct token *token = container_of(node, struct token, node);

        if (span)
            token_rest(token, policy_between(0, span, token_random()));
        else
            token_move(token, TOKEN_QUEUED);
    }
    pump(tokens);
}

/* --- accounts come, change and go ------------------------------------------- */

bool token_init(struct tokens *tokens, struct account *account)
{
    struct token *token = &account->token;

    *token = (struct token){.tokens = tokens};
    timer_init(&token->due, on_due);
    list_init(&token->waiters);
    token->waits_for = GATES;
    if (!gates_join(tokens, account))
        return false;
    token->phase = account->record->disabled ? TOKEN_OFF : TOKEN_NEW;
    list_push_tail(&tokens->phases[token->phase], &token->node);
    superseded_take(account);
    if (kept_begin(account) && token->phase == TOKEN_NEW) {
        uint64_t left = token->expires_ms - loop_now(tokens->loop);
        uint64_t delay = policy_kept_delay(
            left, token->life_ms, account->record->terms->refresh_ahead_ms, token_random());

        if (delay) /* else it is due, as the others that are new */
            rest_until_due(token, delay);
    }
    return true;
}

/* Everything that belongs to the old credentials but the refresh token. */
static void forget(struct token *token)
{
    if (token->request)
        http_cancel(token->request);
    token->request = NULL;
    token->outdated = false;
    secret_free(&token->value);
    kept_forget(token);
    token_set_down_text(token, NULL);
    token->failures = token->rejects = 0;
    token->waits_for = GATES;
    token->confirming = token->forced = false;
    token->forced_serial = token->not_before = 0;
    token->last_class = OAUTH_OK;
}

void token_clear(struct account *account)
{
    struct token *token = &account->token;
    struct tokens *tokens = token->tokens;

    forget(token);
    saving_forget(token);
    free(token->superseded);
    token->superseded = NULL;
    token->superseded_count = 0;
    token_move(token, TOKEN_OFF); /* from its endpoint's queue, if it is there */
    gates_leave(tokens, account);
    list_remove(&tokens->phases[token->phase], &token->node);
    token_tell(token, OAUTH_TRANSIENT, "the account was removed");
    pump(tokens);
}

void token_grant_clear(struct token_grant *grant)
{
    secret_free(&grant->value);
}

static void publish_grant(struct account *account, struct token_grant *grant)
{
    char *value = grant->value;

    grant->value = NULL;
    account->token.failures = 0;
    account->token.confirming = false;
    token_publish(account, value, grant->life_ms, grant->came_ms, false);
}

/* What is under way may end in a new refresh token, which replaces the record's. */
static void outdate(struct account *account)
{
    account->token.outdated = true;
    secret_free(&account->token.value);
    kept_forget(&account->token);
    account_hold(account, HOLD_TOKEN, ACCOUNT_ACTIVE, 0, NULL);
}

void token_reset(struct account *account, bool same_refresh_token, struct token_grant *grant)
{
    struct token *token = &account->token;

    if (same_refresh_token && (token->phase == TOKEN_RUNNING || token->phase == TOKEN_SAVING)) {
        outdate(account);
        return;
    }
    forget(token);
    if (!same_refresh_token)
        saving_forget(token);
    token_move(token, TOKEN_OFF);
    gates_leave(token->tokens, account);
    account_hold(account, HOLD_TOKEN, ACCOUNT_ACTIVE, 0, NULL);
    if (!gates_join(token->tokens, account)) {
        token_tell(token, OAUTH_TRANSIENT, "out of memory");
        return;
    }
    if (grant && grant->value)
        publish_grant(account, grant);
    else if (!account->record->disabled || !list_empty(&token->waiters))
        enqueue(token, false);
}

void token_adopt(struct account *account, struct token_grant *grant)
{
    enum token_phase phase = account->token.phase;

    if (grant->value && account->token.gates[0] && phase != TOKEN_RUNNING && phase != TOKEN_SAVING)
        publish_grant(account, grant);
}

/* --- who waits for the endpoint's word ------------------------------------- */

void token_tell(struct token *token, enum oauth_class class_, const char *text)
{
    struct list_node *node;

    while ((node = list_pop_head(&token->waiters))) {
        struct token_waiter *waiter = container_of(node, struct token_waiter, node);

        waiter->list = NULL;
        waiter->done(waiter, class_, text);
    }
}

void token_verify(struct account *account, struct token_waiter *waiter)
{
    struct token *token = &account->token;

    list_push_tail(&token->waiters, &waiter->node);
    waiter->list = &token->waiters;
    if (waiter->insists)
        gates_hasten(account, loop_now(token->tokens->loop));
    switch (token->phase) {
    case TOKEN_NEW:
    case TOKEN_OFF:
    case TOKEN_RESTING:
        /* Its turn comes in a turn of the loop of its own, so that nobody is called
         * back from inside. */
        token_rest(token, 0);
        break;
    case TOKEN_QUEUED:
        if (waiter->insists)
            token_rest(token, 0);
        break;
    case TOKEN_URGENT:
    case TOKEN_RUNNING:
    case TOKEN_SAVING:
    case TOKEN_PHASES:
        break;
    }
}

void token_verify_cancel(struct token_waiter *waiter)
{
    if (waiter->list)
        list_remove(waiter->list, &waiter->node);
    waiter->list = NULL;
}

/* What the store keeps is sealed for the old id. */
void token_renamed(struct account *account)
{
    if (account->token.value)
        kept_mark(account);
}

void token_settings_changed(struct account *account)
{
    struct token *token = &account->token;

    if (!token->gates[0]) /* memory was out; the next reload tries again */
        return;
    if (account->record->disabled && token->phase != TOKEN_RUNNING &&
        token->phase != TOKEN_SAVING && list_empty(&token->waiters))
        token_move(token, TOKEN_OFF);
    else if (!account->record->disabled && token->phase == TOKEN_OFF)
        enqueue(token, false);
}

uint64_t token_now_wall_ms(const struct account *account)
{
    const struct gate *endpoint = account->token.gates[GATE_ENDPOINT];

    return host_clock_now(endpoint ? endpoint->clock : NULL, clock_wall_ms());
}

bool token_valid(const struct account *account)
{
    const struct token *token = &account->token;

    return (token->value || token->kept) && loop_now(token->tokens->loop) < token->expires_ms &&
           token_now_wall_ms(account) < token->expires_wall_ms;
}

uint64_t token_expires_wall_ms(const struct account *account)
{
    uint64_t now = token_now_wall_ms(account), ends = account->token.expires_wall_ms;

    return clock_wall_ms() + (ends > now ? ends - now : 0);
}

void token_publish(struct account *account, char *value, uint64_t life_ms, uint64_t came_ms,
                   bool kept)
{
    struct token *token = &account->token;
    uint64_t now = loop_now(token->tokens->loop), age = now > came_ms ? now - came_ms : 0;
    uint64_t left = life_ms > age ? life_ms - age : 0;

    secret_free(&token->value);
    kept_forget(token);
    token->value = value;
    token->serial++;
    token->life_ms = life_ms < UINT32_MAX ? (uint32_t)life_ms : UINT32_MAX;
    token->last_class = OAUTH_OK;
    token->refreshed_wall_ms = clock_wall_ms() - age;
    token->expires_ms = now + left;
    token->expires_wall_ms = token_now_wall_ms(account) + left;
    token->half_ms = now + left / 2;
    if (token->forced)
        token->forced_serial = token->serial;
    else
        token->rejects = 0;
    token->forced = false;
    token->not_before = 0;
    token->waits_for = GATES;
    token_set_down_text(token, NULL);
    rest_until_due(token, policy_refresh_delay(left, account->record->terms->refresh_ahead_ms,
                                               token_random()));
    account_hold(account, HOLD_TOKEN, ACCOUNT_ACTIVE, 0, NULL);
    tell_token(account);
    if (!kept)
        kept_mark(account);
    pump(token->tokens);
    token_tell(token, OAUTH_OK, "");
    token_settings_changed(account); /* disabled in the meantime, or only verified */
}

void token_restart(struct account *account)
{
    token_move(&account->token, TOKEN_OFF);
    token_reset(account, true, NULL);
}

const char *token_newest_refresh_token(const struct account *account)
{
    return account->token.unsaved ? account->token.unsaved : account->record->refresh_token;
}

static bool is_rotated(const struct account *account, const struct oauth_response *response)
{
    return response->refresh_token && account->record->grant == GRANT_REFRESH_TOKEN &&
           strcmp(response->refresh_token, token_newest_refresh_token(account)) != 0;
}

/* The answer to what the record said before: all that counts is the refresh token. */
static void take_outdated(struct account *account, struct oauth_response *response)
{
    struct tokens_stats *stats = &account->token.tokens->stats;

    stats->ok += response->class_ == OAUTH_OK;
    stats->failures += response->class_ != OAUTH_OK;
    if (response->class_ != OAUTH_OK || !is_rotated(account, response) ||
        !saving_begin(account, response->refresh_token, NULL, 0))
        token_restart(account);
}

static void take_success(struct account *account, struct oauth_response *response)
{
    struct token *token = &account->token;
    uint64_t life =
        response->expires_ms ? response->expires_ms : token->tokens->conf->token_default_life_ms;
    bool rotated = is_rotated(account, response);
    char *value = response->access_token;

    response->access_token = NULL;
    token->tokens->stats.ok++;
    token->failures = 0;
    token->confirming = false;
    log_event(LOG_INFO, "token_refreshed", log_s("account", account->record->id),
              log_u("life_s", life / 1000), log_b("rotated", rotated));
    outcome_tell_gates(account, response);
    if (rotated && saving_begin(account, response->refresh_token, value, life))
        return;
    token_publish(account, value, life, loop_now(token->tokens->loop), false);
}

static void on_answer(void *owner, const struct oauth_answer *answer, const char *why)
{
    struct account *account = owner;
    struct token *token = &account->token;
    struct tokens *tokens = token->tokens;
    struct oauth_response response;

    token->request = NULL;
    if (answer) {
        host_clock_sample(token->gates[GATE_ENDPOINT]->clock, answer->date, answer->wall_ms);
        oauth_response_read(&response, answer);
    } else {
        oauth_response_failed(&response, why);
    }
    oauth_response_mask(&response, token_newest_refresh_token(account));
    oauth_response_mask(&response, account->record->client_secret);
    if (token->outdated)
        take_outdated(account, &response);
    else if (response.class_ == OAUTH_OK)
        take_success(account, &response);
    else
        outcome_failure(account, &response);
    oauth_response_clear(&response);
    pump(tokens);
}

/* False: it could not; `why` tells. */
static bool send_request(struct account *account, const char **why)
{
    struct token *token = &account->token;
    struct form form;

    form_init(&form);
    *why = "out of memory";
    if (!grant_write(&form, account->record, token_newest_refresh_token(account),
                     token_now_wall_ms(account)))
        *why = "the request could not be made, for lack of memory or because the key does not sign";
    else
        token->request =
            http_post(token->tokens->http, account->record->token_url,
                      (struct slice){form.at, form.len}, token->failures > 0, on_answer, account);
    form_clear(&form);
    return token->request != NULL;
}

static void start(struct account *account)
{
    struct token *token = &account->token;
    struct tokens *tokens = token->tokens;
    uint64_t wait = 0;
    struct gate *closed = gates_ask(account, loop_now(tokens->loop), &wait);
    const char *why;

    if (closed) {
        outcome_gated(account, closed, wait);
        token_rest(token, wait + policy_between(0, wait / 4, token_random()));
        token_tell(token, closed->kind == GATE_APP ? OAUTH_APP : OAUTH_TRANSIENT, closed->text);
        token_settings_changed(account);
        return;
    }
    token_move(token, TOKEN_RUNNING);
    tokens->stats.requests++;
    if (!send_request(account, &why)) {
        struct oauth_response response;

        oauth_response_failed(&response, why);
        outcome_failure(account, &response);
    }
}

/* Starts what there is room for. */
static void pump(struct tokens *tokens)
{
    struct token *token;

    while ((token = turns_next(tokens)))
        start(account_of(token));
}

void token_wanted(struct account *account)
{
    struct token *token = &account->token;

    if (token->kept && token_valid(account)) {
        token_load(account);
        return;
    }
    /* Another one is not fetched before the half of this one's life, whatever
     * the relay thinks of it: asking must not become a loop. */
    tell_token(account);
    if (token_valid(account) && loop_now(token->tokens->loop) < token->half_ms)
        return;
    switch (token->phase) {
    case TOKEN_RESTING:
        if (loop_now(token->tokens->loop) >= token->not_before) {
            enqueue(token, true);
            break;
        }
        outcome_hold_down(account);
        tell_state(account);
        break;
    case TOKEN_NEW:
    case TOKEN_QUEUED:
        enqueue(token, true);
        break;
    case TOKEN_OFF:
        tell_state(account);
        break;
    case TOKEN_URGENT:
    case TOKEN_RUNNING:
    case TOKEN_SAVING:
    case TOKEN_PHASES:
        break;
    }
}

void token_rejected(struct account *account, uint64_t serial, const char *text)
{
    struct token *token = &account->token;

    if (serial != token->serial || !token->value) {
        tell_token(account); /* there is a newer one, or one is on its way */
        return;
    }
    token->tokens->stats.rejected++;
    log_event(LOG_WARN, "token_rejected", log_s("account", account->record->id),
              log_u("serial", serial), log_b("fresh", serial == token->forced_serial),
              log_s("text", text));
    secret_free(&token->value);
    kept_refused(account);
    if (serial == token->forced_serial) {
        outcome_rejected(account, text);
        return;
    }
    token->forced = true;
    if (token->phase == TOKEN_RESTING && loop_now(token->tokens->loop) < token->not_before)
        outcome_hold_down(account); /* the endpoint wants us to wait */
    else if (token->phase == TOKEN_RESTING || token->phase == TOKEN_QUEUED)
        enqueue(token, true);
}
