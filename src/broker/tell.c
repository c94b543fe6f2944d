#include "broker/tell.h"

#include "base/clock.h"
#include "broker/ledgers.h"
#include "broker/registry.h"
#include "broker/relay_link.h"

static bool is_told(const struct account *account)
{
    return account->in_relay && account->registry->link;
}

static void describe_limits(const struct conf_limits *limits, struct ipc_account *out)
{
    out->connections_start = limits->connections_start;
    out->recipients_per_message = limits->recipients_per_message;
    if (limits->rates_on) {
        out->messages_per_minute = limits->messages_per_minute;
        out->messages_per_hour = limits->messages_per_hour;
        out->messages_per_day = limits->messages_per_day;
        out->recipients_per_day = limits->recipients_per_day;
    }
    if (limits->rates_on) {
        out->group_messages_per_minute = limits->group_messages_per_minute;
        out->group_messages_per_hour = limits->group_messages_per_hour;
        out->group_messages_per_day = limits->group_messages_per_day;
        out->group_recipients_per_day = limits->group_recipients_per_day;
    }
    out->breaker_failures = limits->breaker_on ? limits->breaker_failures : 0;
    out->breaker_trials = limits->breaker_trials;
    out->breaker_recovery_ms = limits->breaker_recovery_ms;
}

static void describe_prewarm(const struct conf_prewarm *prewarm, struct ipc_account *out)
{
    out->prewarm_min_connections = prewarm->min_connections;
    out->prewarm_max_connections = prewarm->enabled ? prewarm->max_connections : 0;
    out->prewarm_min_messages = prewarm->min_messages;
    out->prewarm_messages_per_connection = prewarm->messages_per_connection;
    out->prewarm_concurrency = prewarm->concurrency;
}

/* A tenant is usually a domain. */
static struct slice group_of(const struct account_record *record, const struct ipc_account *limits)
{
    const char *at = strrchr(record->login, '@');

    if (!limits->group_messages_per_minute && !limits->group_messages_per_hour &&
        !limits->group_messages_per_day && !limits->group_recipients_per_day)
        return SLICE("");
    if (record->limit_group[0])
        return slice_of(record->limit_group);
    return slice_of(at ? at + 1 : record->login);
}

static struct ipc_account describe(const struct account *account)
{
    const struct account_record *record = account->record;
    bool bind = account->registry->conf->source_ip_binding;
    struct ipc_account out = {
        .id = slice_of(record->id),
        .login = slice_of(record->login),
        .sasl_user = slice_of(record->sasl_user),
        .provider = slice_of(record->provider),
        .host = slice_of(record->host),
        .port = record->port,
        .tls = record->tls,
        .mechanism = record->mechanism,
        .source_address = bind ? slice_of(record->source_address) : SLICE(""),
        .generation = account->generation,
        .has_password = record->password_hash[0] != '\0',
        .bdat = (uint8_t)record->bdat,
        .max_connections = record->terms->max_connections,
        .max_messages_per_connection = record->terms->max_messages_per_connection,
        .max_concurrent = record->terms->max_concurrent,
        .max_age_ms = record->terms->max_age_ms,
        .idle_ms = record->terms->idle_ms,
    };

    describe_limits(&record->terms->limits, &out);
    describe_prewarm(&record->terms->prewarm, &out);
    out.group = group_of(record, &out);
    return out;
}

/* Before it can send anything: the token follows. */
static void tell_ledger(const struct account *account, bool group, struct slice id)
{
    struct ipc_message message = {.type = IPC_LEDGER_PUT};
    struct ledgers *ledgers = account->registry->ledgers;

    if (ledgers && id.len &&
        ledgers_find(ledgers, group, id, clock_wall_ms(), &message.u.ledger_put))
        relay_link_send(account->registry->link, &message);
}

void tell_introduce(struct account *account)
{
    if (!account->registry->link)
        return;
    account->in_relay = true;
    tell_put(account);
    tell_ledger(account, false, slice_of(account->record->id));
    tell_ledger(account, true, describe(account).group);
    tell_state(account);
    tell_token(account);
    token_load(account);
}

void tell_put(const struct account *account)
{
    struct ipc_message message = {.type = IPC_ACCOUNT_PUT};

    if (!is_told(account))
        return;
    message.u.account = describe(account);
    relay_link_send(account->registry->link, &message);
}

void tell_state(const struct account *account)
{
    const struct hold *hold = account_worst(account);
    struct ipc_message message = {.type = IPC_STATE};
    struct slice text = slice_of(hold->text ? hold->text : "");

    if (!is_told(account))
        return;
    if (text.len > IPC_TEXT_MAX)
        text.len = IPC_TEXT_MAX;
    message.u.state = (struct ipc_state){.id = slice_of(account->record->id),
                                         .generation = account->generation,
                                         .state = (uint32_t)hold->state,
                                         .until_wall_ms = hold->until_wall_ms,
                                         .text = text};
    relay_link_send(account->registry->link, &message);
}

void tell_token(const struct account *account)
{
    struct ipc_message message = {.type = IPC_TOKEN};

    if (!is_told(account) || !token_valid(account) || !account->token.value)
        return;
    message.u.token = (struct ipc_token){.id = slice_of(account->record->id),
                                         .token = slice_of(account->token.value),
                                         .generation = account->generation,
                                         .serial = account->token.serial,
                                         .expires_wall_ms = token_expires_wall_ms(account)};
    relay_link_send(account->registry->link, &message);
}

void tell_remove(struct account *account)
{
    struct ipc_message message = {.type = IPC_ACCOUNT_REMOVE};

    if (!is_told(account))
        return;
    message.u.account_remove = (struct ipc_account_remove){slice_of(account->record->id),
                                                           slice_of(account->record->login)};
    relay_link_send(account->registry->link, &message);
    account->in_relay = false;
}
