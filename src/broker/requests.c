/* What the relay asks for. It parses the network, so its words are taken like
 * those of a stranger: ids must exist, numbers are clamped, and nothing that it
 * can say gives out a refresh token or changes a record. */
#include "base/clock.h"
#include "base/log.h"
#include "broker/broker.h"
#include "broker/tell.h"

#define OBSERVED_MAX_MS (24 * 3600000ull)
#define OBSERVED_DEFAULT_MS 3600000ull

static struct account *find(struct broker *broker, struct slice id)
{
    return registry_by_id(&broker->registry, id);
}

static void reply(struct broker *broker, const struct ipc_message *message)
{
    if (broker->registry.link)
        relay_link_send(broker->registry.link, message);
}

static void take_lookup(struct broker *broker, const struct ipc_lookup *lookup)
{
    struct account *account = registry_by_login(&broker->registry, lookup->login);
    struct ipc_message message = {.type = IPC_LOOKUP_DONE,
                                  .u.lookup_done = {lookup->request, account != NULL}};

    if (account) {
        tell_introduce(account);
        if (!token_valid(account))
            token_wanted(account); /* mail is about to come */
    }
    reply(broker, &message);
}

static void on_password(void *owner, uint64_t request, enum password_verdict verdict,
                        uint64_t generation)
{
    static const uint8_t answers[] = {
        [PASSWORD_WRONG] = 0, [PASSWORD_RIGHT] = 1, [PASSWORD_BUSY] = 2};
    struct ipc_message message = {.type = IPC_PASSWORD_DONE,
                                  .u.password_done = {request, answers[verdict], generation}};

    reply(owner, &message);
}

static void take_password(struct broker *broker, const struct ipc_password *password)
{
    struct account *account = find(broker, password->id);

    passwords_check(broker->passwords, account ? account->record->password_hash : "",
                    password->password, account ? account->generation : 0, on_password, broker,
                    password->request);
}

static void on_resolved(void *owner, uint64_t request, const struct resolve_answer *answer)
{
    struct ipc_message message = {.type = IPC_RESOLVE_DONE};

    message.u.resolve_done = (struct ipc_resolve_done){request, slice_of(answer->addresses),
                                                       answer->ttl_ms, slice_of(answer->error)};
    reply(owner, &message);
}

static void take_resolve(struct broker *broker, const struct ipc_resolve *resolve)
{
    resolver_find(broker->resolver, resolve->host, resolve->port, on_resolved, broker,
                  resolve->request);
}

static void take_rejected(struct broker *broker, const struct ipc_token_rejected *rejected)
{
    struct account *account = find(broker, rejected->id);
    char text[512];

    slice_copy(rejected->text, text, sizeof(text));
    if (!account) {
        logins_token_rejected(&broker->logins, rejected->id, text);
        return;
    }
    token_rejected(account, rejected->serial, text);
}

/* A state that nobody lifts ends by itself: then the provider is asked again. */
static void take_observed(struct broker *broker, const struct ipc_observed *observed)
{
    struct account *account = find(broker, observed->id);
    enum account_state state = (enum account_state)observed->state;
    uint64_t for_ms = observed->for_ms ? observed->for_ms : OBSERVED_DEFAULT_MS;
    char text[IPC_TEXT_MAX + 1];

    if (!account || account->generation != observed->generation || state == ACCOUNT_DISABLED)
        return;
    if (state == ACCOUNT_ACTIVE) {
        account_hold(account, HOLD_PROVIDER, ACCOUNT_ACTIVE, 0, NULL);
        return;
    }
    if (for_ms > OBSERVED_MAX_MS)
        for_ms = OBSERVED_MAX_MS;
    slice_copy(observed->text, text, sizeof(text));
    account_hold(account, HOLD_PROVIDER, state, clock_wall_ms() + for_ms, text);
    if (account->worst != HOLD_PROVIDER)
        tell_state(account); /* the relay went by what it saw, and there is worse */
}

static void take_ledger(struct broker *broker, const struct ipc_ledger *ledger)
{
    if ((ledger->group || find(broker, ledger->id)) &&
        !ledgers_take(&broker->ledgers, ledger, clock_wall_ms()))
        broker_protocol_error(broker, "ledger");
}

void requests_take(struct broker *broker, const struct ipc_message *message)
{
    struct account *account;

    switch (message->type) {
    case IPC_READY:
        broker_relay_ready(broker);
        break;
    case IPC_LOOKUP:
        take_lookup(broker, &message->u.lookup);
        break;
    case IPC_PASSWORD:
        take_password(broker, &message->u.password);
        break;
    case IPC_RESOLVE:
        take_resolve(broker, &message->u.resolve);
        break;
    case IPC_TOKEN_WANTED:
        account = find(broker, message->u.token_wanted.id);
        if (account)
            token_wanted(account);
        break;
    case IPC_TOKEN_REJECTED:
        take_rejected(broker, &message->u.token_rejected);
        break;
    case IPC_OBSERVED:
        take_observed(broker, &message->u.observed);
        break;
    case IPC_LEDGER:
        take_ledger(broker, &message->u.ledger);
        break;
    case IPC_DRAINED:
        broker_relay_drained(broker);
        break;
    case IPC_POOL:
    case IPC_SNAPSHOT_DONE:
    case IPC_PROBE_DONE:
    case IPC_DIAGNOSIS_STEP:
    case IPC_DIAGNOSIS_DONE:
        if (!relay_view_take(broker->view, message))
            broker_protocol_error(broker, ipc_name(message->type));
        break;
    default:
        broker_protocol_error(broker, ipc_name(message->type));
        break;
    }
}
