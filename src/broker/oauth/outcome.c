#include <sodium.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/date.h"
#include "base/log.h"
#include "broker/oauth/grant.h"
#include "broker/oauth/policy.h"
#include "broker/oauth/token_private.h"
#include "broker/store/shared_text.h"

void token_set_down_text(struct token *token, const char *text)
{
    const char *old = token->down_text;

    token->down_text = text ? shared_text(text) : NULL;
    if (old)
        shared_text_drop(old);
}

void outcome_hold_down(struct account *account)
{
    const struct token *token = &account->token;

    if (token->down_text)
        account_hold(account, HOLD_TOKEN, token->down_state, token->down_until_wall_ms,
                     token->down_text);
}

static void set_down(struct token *token, enum account_state state, uint64_t delay_ms,
                     const char *text)
{
    token_set_down_text(token, text);
    token->down_state = state;
    token->down_until_wall_ms = clock_wall_ms() + delay_ms;
    token->not_before = loop_now(token->tokens->loop) + delay_ms;
}

/* "next try in 12 s" as long as that says something, else the time itself. */
static void add_next_try(struct text *text, uint64_t delay_ms)
{
    char when[DATE_TEXT];

    if (delay_ms < 600000) {
        text_addf(text, "; next try in %u s", (unsigned)((delay_ms + 999) / 1000));
        return;
    }
    date_format(clock_wall_ms() + delay_ms, when);
    text_addf(text, "; next try at %s", when);
}

/* A grant that nobody consented to cannot be consented to anew: then the mailbox or the
 * application is what must be set right. */
static enum account_state state_for(const struct account_record *record, enum account_state state)
{
    return state == ACCOUNT_NEEDS_CONSENT && !grant_has_person(record) ? ACCOUNT_MISCONFIGURED
                                                                       : state;
}

static void explain(enum account_state state, enum oauth_class class_, uint64_t delay_ms,
                    const char *cause, char *out, size_t cap)
{
    struct text text;

    text_init(&text, out, cap);
    if (state == ACCOUNT_NEEDS_CONSENT)
        text_addf(&text, "the provider no longer accepts the refresh token, sign in again: %s",
                  cause);
    else if (state == ACCOUNT_MISCONFIGURED && class_ == OAUTH_CONSENT)
        text_addf(&text, "the token endpoint refuses a token for this mailbox: %s", cause);
    else if (state == ACCOUNT_MISCONFIGURED)
        text_addf(&text, "the token endpoint refuses the application: %s", cause);
    else
        text_addf(&text, "no access token: %s", cause);
    add_next_try(&text, delay_ms);
}

static void log_failure(const struct account *account, const struct oauth_response *response,
                        uint64_t delay_ms)
{
    log_event(LOG_WARN, "token_failed", log_s("account", account->record->id),
              log_s("class", oauth_class_names[response->class_]),
              log_s("error", response->error[0] ? response->error : NULL),
              log_u("aadsts", response->aadsts), log_u("failures", account->token.failures),
              log_b("valid", token_valid(account)), log_u("next_ms", delay_ms),
              log_s("text", response->text));
}

/* Behind a closed gate, whoever has no token cannot send. */
void outcome_gated(struct account *account, const struct gate *gate, uint64_t delay_ms)
{
    struct token *token = &account->token;
    enum account_state state = gate_state(gate->kind);
    char text[OAUTH_TEXT_MAX + 160];

    explain(state, OAUTH_APP, delay_ms, gate->text, text, sizeof(text));
    set_down(token, state, delay_ms, text);
    token->waits_for = gate->kind;
    if (!token_valid(account) && !account->record->disabled)
        outcome_hold_down(account);
}

static void close_gate(struct gate *gate, uint64_t now_ms)
{
    const struct list_node *first = list_first(&gate->accounts);
    const struct account *any = container_of(first, struct account, token.gate_nodes[gate->kind]);

    log_event(LOG_ERROR, gate->kind == GATE_APP ? "application_refused" : "endpoint_down",
              log_u("accounts", gate->accounts.count), log_s("url", any->record->token_url),
              log_s("client_id", gate->kind == GATE_APP ? any->record->client_id : NULL),
              log_s("text", gate->text));
    list_foreach (&gate->accounts, node) {
        struct account *account = container_of(node, struct account, token.gate_nodes[gate->kind]);

        if (account->token.phase == TOKEN_RESTING && !token_valid(account))
            outcome_gated(account, gate, gate->next_probe_ms - now_ms);
    }
}

static void open_gate(struct gate *gate)
{
    log_event(LOG_INFO, gate->kind == GATE_APP ? "application_accepted" : "endpoint_up",
              log_u("accounts", gate->accounts.count));
    list_foreach (&gate->accounts, node) {
        struct token *token = container_of(node, struct token, gate_nodes[gate->kind]);

        if (token->phase != TOKEN_RESTING || token->waits_for != gate->kind)
            continue;
        token->waits_for = GATES;
        token->not_before = 0;
        token_rest(token, policy_between(0, gate->accounts.count * SPREAD_MS, token_random()));
    }
}

static void tell_throttle(struct gate *endpoint, struct account *account, uint64_t now_ms,
                          uint64_t retry_after_ms)
{
    uint64_t pause = retry_after_ms ? retry_after_ms : POLICY_MIN_MS;

    if (gate_throttled(endpoint, account, now_ms, pause))
        log_event(LOG_WARN, "endpoint_throttled", log_u("accounts", endpoint->accounts.count),
                  log_s("url", account->record->token_url), log_u("gap_ms", endpoint->gap_ms),
                  log_s("text", "the token endpoint wants fewer requests: refreshes for which no "
                                "mail waits keep this distance"));
}

void outcome_tell_gates(struct account *account, const struct oauth_response *response)
{
    struct gate *endpoint = account->token.gates[GATE_ENDPOINT];
    struct gate *app = account->token.gates[GATE_APP];
    uint64_t now = loop_now(account->token.tokens->loop);

    if (response->class_ == OAUTH_TRANSIENT) {
        gate_untold(app, account);
        if (gate_refused(endpoint, account, now, response->text))
            close_gate(endpoint, now);
        return;
    }
    if (gate_accepted(endpoint, account))
        open_gate(endpoint);
    if (response->class_ == OAUTH_APP) {
        if (gate_refused(app, account, now, response->text))
            close_gate(app, now);
    } else if (response->class_ == OAUTH_THROTTLED) {
        gate_untold(app, account);
        tell_throttle(endpoint, account, now, response->retry_after_ms);
    } else if (gate_accepted(app, account)) {
        /* A verdict on the grant, too, means that the client was accepted. */
        open_gate(app);
    }
}

/* Whose recovery would end this failure early. */
static enum gate_kind gate_of(const struct oauth_response *response)
{
    if (response->class_ == OAUTH_APP)
        return GATE_APP;
    if (response->class_ == OAUTH_TRANSIENT && !response->retry_after_ms)
        return GATE_ENDPOINT;
    return GATES;
}

void outcome_failure(struct account *account, const struct oauth_response *response)
{
    struct token *token = &account->token;
    const struct account_record *record = account->record;
    struct policy_limits limits = {record->terms->retry_max_delay_ms, record->terms->retry_backoff,
                                   record->terms->retry_max_attempts};
    struct policy_facts facts = {token_valid(account), token->confirming, token->failures,
                                 response->retry_after_ms, token_random()};
    struct policy_plan plan = policy_after_failure(response->class_, &facts, &limits), down;
    char text[OAUTH_TEXT_MAX + 160];

    facts.valid = false;
    down = policy_after_failure(response->class_, &facts, &limits);
    if (down.state == ACCOUNT_NEEDS_CONSENT && plan.confirming)
        down.state = ACCOUNT_THROTTLED; /* it is not believed yet */
    plan.state = state_for(record, plan.state);
    down.state = state_for(record, down.state);
    token->tokens->stats.failures++;
    token->failures++;
    token->last_class = response->class_;
    token->confirming = plan.confirming;
    log_failure(account, response, plan.delay_ms);
    explain(down.state, response->class_, plan.delay_ms, response->text, text, sizeof(text));
    set_down(token, down.state, plan.delay_ms, text);
    if (plan.state != ACCOUNT_ACTIVE)
        outcome_hold_down(account);
    outcome_tell_gates(account, response);
    token->waits_for = gate_of(response);
    token_rest(token, plan.delay_ms);
    token_tell(token, response->class_, response->text);
    token_settings_changed(account); /* a disabled one was only verified */
}

void outcome_rejected(struct account *account, const char *why)
{
    struct token *token = &account->token;
    uint64_t delay = policy_reject_delay(token->rejects++);
    char text[OAUTH_TEXT_MAX + 160];
    struct text out;

    text_init(&out, text, sizeof(text));
    text_add_str(&out, "the provider refuses a fresh access token: ");
    text_add(&out, why, strlen(why) < OAUTH_TEXT_MAX ? strlen(why) : OAUTH_TEXT_MAX);
    add_next_try(&out, delay);
    token->forced = true; /* one more refusal is one too many again */
    token->waits_for = GATES;
    set_down(token, ACCOUNT_MISCONFIGURED, delay, text);
    outcome_hold_down(account);
    if (token->phase != TOKEN_RUNNING && token->phase != TOKEN_SAVING)
        token_rest(token, delay);
}
