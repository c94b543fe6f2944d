#include "broker/tell.h"

#include "broker/registry.h"
#include "broker/relay_link.h"

static bool is_told(const struct account *account)
{
    return account->in_relay && account->registry->link;
}

static struct ipc_account describe(const struct account *account)
{
    const struct account_record *record = account->record;
    bool bind = account->registry->conf->source_ip_binding;

    return (struct ipc_account){
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
        .max_connections = record->max_connections,
        .max_messages_per_connection = record->max_messages_per_connection,
        .max_concurrent = record->max_concurrent,
        .max_age_ms = record->max_age_ms,
        .idle_ms = record->idle_ms,
    };
}

void tell_introduce(struct account *account)
{
    if (!account->registry->link)
        return;
    account->in_relay = true;
    tell_put(account);
    tell_state(account);
    tell_token(account);
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

    if (!is_told(account) || !token_valid(account))
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
