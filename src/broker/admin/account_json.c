#include "broker/admin/account_json.h"

#include "base/clock.h"
#include "broker/admin/hints.h"
#include "broker/admin/request.h"
#include "broker/registry.h"
#include "conf/options.h"

static const char *const hold_names[HOLDS] = {[HOLD_OPERATOR] = "operator",
                                              [HOLD_PROVIDER] = "provider",
                                              [HOLD_TOKEN] = "token",
                                              [HOLD_ADDRESS] = "address"};

/* Texts of the provider may be of any octets. */
static json_t *text_json(const char *text)
{
    json_t *json = text && *text ? json_string(text) : json_null();

    return json ? json : json_string("(not UTF-8)");
}

json_t *account_item_json(const struct account *account)
{
    const struct account_record *record = account->record;
    const struct hold *hold = account_worst(account);
    json_t *item = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:b}", "account_id", record->id, "email",
        record->email, "ip_address", record->source_address, "vmta_name", record->vmta_name,
        "provider", record->provider, "oauth_endpoint", record->endpoint, "oauth_token_url",
        record->token_url, "state", account_state_names[hold->state], "disabled", record->disabled,
        "has_password", record->password_hash[0] != '\0');

    if (!item)
        return NULL;
    json_object_set_new(item, "state_text", text_json(hold->text));
    json_object_set_new(item, "state_since", admin_time(hold->since_wall_ms));
    json_object_set_new(item, "state_until", admin_time(hold->until_wall_ms));
    return item;
}

/* When something will be tried by itself, as wall time; 0: not by itself. */
static uint64_t next_try(const struct account *account)
{
    const struct token *token = &account->token;
    const struct hold *hold = account_worst(account);
    uint64_t now = loop_now(account->registry->loop);

    if (account->worst == HOLD_TOKEN && timer_active(&token->due))
        return clock_wall_ms() + (token->due.deadline > now ? token->due.deadline - now : 0);
    return hold->until_wall_ms;
}

static json_t *state_json(const struct account *account)
{
    const struct hold *hold = account_worst(account);
    const struct hint *hint = hold->state == ACCOUNT_ACTIVE ? NULL : hint_find(account);
    json_t *state = json_pack("{s:s}", "state", account_state_names[hold->state]);

    if (!state)
        return NULL;
    json_object_set_new(state, "since", admin_time(hold->since_wall_ms));
    json_object_set_new(state, "until", admin_time(hold->until_wall_ms));
    json_object_set_new(state, "by", hint ? json_string(hold_names[account->worst]) : json_null());
    json_object_set_new(state, "cause", hint ? json_string(hint->cause) : json_null());
    json_object_set_new(state, "text", text_json(hold->text));
    json_object_set_new(state, "next_try", hint ? admin_time(next_try(account)) : json_null());
    json_object_set_new(state, "hint", hint ? json_string(hint->text) : json_null());
    return state;
}

json_t *account_token_json(const struct account *account)
{
    const struct token *token = &account->token;
    uint64_t wall = clock_wall_ms(), now = loop_now(account->registry->loop), next = 0;
    bool valid = token_valid(account);
    json_t *json =
        json_pack("{s:s, s:s, s:s, s:b, s:i, s:b}", "account_id", account->record->id, "email",
                  account->record->email, "phase", token_phase_names[token->phase], "valid", valid,
                  "failures", (int)token->failures, "refresh_token_saved", token->unsaved == NULL);

    if (!json)
        return NULL;
    if (timer_active(&token->due))
        next = wall + (token->due.deadline > now ? token->due.deadline - now : 0);
    json_object_set_new(json, "age_seconds",
                        valid && wall >= token->refreshed_wall_ms
                            ? json_integer((json_int_t)(wall - token->refreshed_wall_ms) / 1000)
                            : json_null());
    json_object_set_new(json, "expires_at", admin_time(valid ? token_expires_wall_ms(account) : 0));
    json_object_set_new(json, "last_refresh", admin_time(token->refreshed_wall_ms));
    json_object_set_new(json, "next_refresh", admin_time(next));
    json_object_set_new(json, "error", text_json(token->down_text));
    return json;
}

/* The words of an option's choice, so that nothing is named twice. */
static json_t *choice_json(const char *option, uint32_t value)
{
    const struct option_row *row = scope_option(&scope_provider, option);

    for (const struct option_word *word = row->words; word->text; word++) {
        if (word->value == (int)value)
            return json_string(word->text);
    }
    return json_null();
}

static void add_settings(json_t *json, const struct account_record *record)
{
    json_t *connections =
        json_pack("{s:i, s:i, s:I, s:I}", "max", (int)record->terms->max_connections,
                  "max_messages", (int)record->terms->max_messages_per_connection,
                  "max_age_seconds", (json_int_t)record->terms->max_age_ms / 1000, "idle_seconds",
                  (json_int_t)record->terms->idle_ms / 1000);

    json_object_set_new(json, "sasl_user", json_string(record->sasl_user));
    json_object_set_new(json, "scope", json_string(record->scope));
    json_object_set_new(json, "tenant", json_string(record->tenant));
    json_object_set_new(json, "grant", json_string(record_grant_names[record->grant]));
    json_object_set_new(json, "app", record->app[0] ? json_string(record->app) : json_null());
    json_object_set_new(json, "has_private_key", json_boolean(record->key));
    json_object_set_new(json, "secret_expires", admin_time(record->secret_expires_ms));
    json_object_set_new(json, "client_id", json_string(record->client_id));
    json_object_set_new(json, "has_client_secret", json_boolean(record->client_secret[0]));
    json_object_set_new(json, "has_refresh_token", json_boolean(record->refresh_token[0]));
    json_object_set_new(json, "tls", choice_json("tls", record->tls));
    json_object_set_new(json, "mechanism", choice_json("mechanism", record->mechanism));
    json_object_set_new(json, "bdat", choice_json("bdat", record->bdat));
    json_object_set_new(json, "max_concurrent_messages",
                        json_integer((json_int_t)record->terms->max_concurrent));
    json_object_set_new(json, "connections", connections);
}

json_t *account_detail_json(const struct account *account)
{
    json_t *json = account_item_json(account);

    if (!json)
        return NULL;
    add_settings(json, account->record);
    json_object_set_new(json, "state_detail", state_json(account));
    json_object_set_new(json, "token", account_token_json(account));
    json_object_set_new(json, "pool", json_null());
    return json;
}
