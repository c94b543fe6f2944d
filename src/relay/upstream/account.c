#include "relay/upstream/account.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "relay/upstream/capacity.h"
#include "relay/upstream/diagnosis.h"
#include "relay/upstream/group.h"
#include "relay/upstream/pool.h"
#include "relay/upstream/probe.h"
#include "relay/upstream/warm.h"

#define TOKEN_MARGIN_MS 5000 /* a login takes a moment; less for a token of short life */
#define REJECTED_FOR_MS (15 * 60 * 1000ull)
#define HOLD_MAX_MS (24 * 3600 * 1000ull)

static void on_bury(struct timer *timer)
{
    client_bury(container_of(timer, struct account_table, bury));
}

static void on_tell(struct timer *timer)
{
    ledger_tell_all(container_of(timer, struct account_table, tell));
}

static void on_wake(struct timer *timer)
{
    struct account_table *table = container_of(timer, struct account_table, wake);
    struct account *account, *next;

    HASH_ITER (hh, table->accounts, account, next)
        pool_pump(account);
}

struct account_table *upstream_new(struct worker *worker)
{
    struct account_table *table = calloc(1, sizeof(*table));

    if (!table)
        abort(); /* at start-up */
    table->worker = worker;
    list_init(&table->blocked);
    list_init(&table->gone);
    list_init(&table->untold);
    timer_init(&table->bury, on_bury);
    timer_init(&table->tell, on_tell);
    timer_init(&table->wake, on_wake);
    return table;
}

struct account *account_find(struct account_table *table, struct slice id)
{
    struct account *account;

    HASH_FIND(hh, table->accounts, id.ptr, id.len, account);
    return account;
}

static void on_pump_timer(struct timer *timer)
{
    pool_pump(container_of(timer, struct account, pump_timer));
}

static void drop_token(struct account *account)
{
    if (account->token)
        explicit_bzero(account->token, account->token_len);
    free(account->token);
    account->token = NULL;
    account->token_len = 0;
}

static void account_free(struct account *account)
{
    struct account_table *table = account->table;

    HASH_DELETE(hh, table->accounts, account);
    stats_sub(&table->worker->stats->accounts, 1);
    loop_timer_cancel(&table->worker->loop, &account->pump_timer);
    warm_clear(account);
    endpoint_leave_crowd(account->endpoint, &account->crowd_node);
    if (list_node_linked(&account->blocked_node))
        list_remove(&table->blocked, &account->blocked_node);
    ledger_tell(&account->ledger);
    drop_token(account);
    endpoint_put(account->endpoint);
    smtp_reply_clear(&account->last_failure);
    capacity_clear(account);
    free(account->state_text);
    free(account->id);
    free(account->sasl_user);
    free(account->provider);
    free(account);
}

void account_maybe_free(struct account *account)
{
    if (account->removed && !account->jobs && list_empty(&account->probes) && !account->diagnosis &&
        !pool_connections(account))
        account_free(account);
}

static bool set_text(char **field, struct slice value)
{
    char *copy = slice_dup(value);

    if (!copy)
        return false;
    free(*field);
    *field = copy;
    return true;
}

static struct account *account_new(struct account_table *table, struct slice id)
{
    struct account *account = calloc(1, sizeof(*account));

    if (!account || !(account->id = slice_dup(id))) {
        free(account);
        return NULL;
    }
    account->table = table;
    account->worker = table->worker;
    for (size_t i = 0; i < POOL_LISTS; i++)
        list_init(&account->pool[i]);
    account->ledger =
        (struct ledger){.worker = table->worker, .limits = &account->limits, .name = account->id};
    line_init(&account->waiting);
    list_init(&account->running);
    list_init(&account->probes);
    timer_init(&account->pump_timer, on_pump_timer);
    warm_init(account);
    smtp_reply_init(&account->last_failure);
    HASH_ADD_KEYPTR(hh, table->accounts, account->id, strlen(account->id), account);
    stats_add(&table->worker->stats->accounts, 1);
    return account;
}

static bool take_source(struct account *account, struct slice text)
{
    char address[NET_ADDRESS_TEXT];
    struct text builder;

    account->source.len = 0;
    if (!text.len)
        return true;
    text_init(&builder, address, sizeof(address));
    text_addf(&builder, memchr(text.ptr, ':', text.len) ? "[%.*s]:0" : "%.*s:0", (int)text.len,
              text.ptr);
    return net_address_parse(address, &account->source, NULL);
}

/* The account as it was half taken cannot send; what waits is told. */
static void refuse_account(struct worker *worker, struct slice id)
{
    log_event(LOG_ERROR, "account_not_taken", log_sl("account", id),
              log_s("reason", "out of memory or a bad source address"));
    upstream_remove(worker, id);
}

static bool take_fields(struct account *account, const struct ipc_account *from)
{
    struct endpoint *endpoint =
        endpoint_get(&account->table->endpoints, account->worker, from->host, from->port);

    if (!endpoint)
        return false;
    endpoint_leave_crowd(account->endpoint, &account->crowd_node);
    endpoint_put(account->endpoint);
    account->endpoint = endpoint;
    account->generation = from->generation;
    account->tls = (enum conf_upstream_tls)from->tls;
    account->mechanism = (enum conf_mechanism)from->mechanism;
    account->bdat = (enum conf_auto)from->bdat;
    account->max_connections = from->max_connections ? from->max_connections : 1;
    account->max_messages = from->max_messages_per_connection;
    account->max_concurrent = from->max_concurrent;
    account->max_age_ms = from->max_age_ms;
    account->idle_ms = from->idle_ms;
    account->removed = !set_text(&account->sasl_user, from->sasl_user) ||
                       !set_text(&account->provider, from->provider) ||
                       !take_source(account, from->source_address);
    warm_set(account, from);
    if (!capacity_set(account, from))
        account->removed = true;
    return !account->removed;
}

void upstream_put(struct worker *worker, const struct ipc_account *from)
{
    struct account *account = account_find(worker->accounts, from->id);
    bool changed = account && account->generation != from->generation;

    if (!account)
        account = account_new(worker->accounts, from->id);
    if (!account || !take_fields(account, from)) {
        refuse_account(worker, from->id);
        return;
    }
    if (changed) {
        /* Nothing learned with the old credentials counts for the new ones. */
        drop_token(account);
        account->rejections = 0;
        capacity_forgive(account);
        account->login_not_before = 0;
        account->token_asked_at = 0;
        account->state = ACCOUNT_ACTIVE;
    }
    pool_retire(account);
    pool_pump(account);
}

void upstream_remove(struct worker *worker, struct slice id)
{
    struct account *account = account_find(worker->accounts, id);
    struct smtp_reply reply;

    if (!account)
        return;
    account->removed = true;
    smtp_reply_init(&reply);
    smtp_reply_set(&reply, 451, (struct smtp_enhanced){4, 7, 0}, "the account was removed");
    account->jobs++; /* keeps it while its lists are emptied */
    pool_fail_waiting(account, &reply);
    probe_fail_all(account, "the account was removed");
    diagnosis_fail(account, "the account was removed");
    pool_retire(account);
    account->jobs--;
    smtp_reply_clear(&reply);
    account_maybe_free(account);
}

void upstream_token(struct worker *worker, const struct ipc_token *token)
{
    struct account *account = account_find(worker->accounts, token->id);
    uint64_t now = clock_wall_ms();

    if (!account || account->generation != token->generation)
        return;
    drop_token(account);
    account->token = slice_dup(token->token);
    account->token_len = account->token ? token->token.len : 0;
    account->token_serial = token->serial;
    account->token_expires_wall_ms = token->expires_wall_ms;
    account->token_margin_ms =
        token->expires_wall_ms > now ? (token->expires_wall_ms - now) / 8 : 0;
    if (account->token_margin_ms > TOKEN_MARGIN_MS)
        account->token_margin_ms = TOKEN_MARGIN_MS;
    account->token_asked_at = 0;
    pool_pump(account);
}

/* A pause ends soon, and its connections serve then. What lasts may be about
 * the connections themselves: the address they come from, what they logged in
 * with. */
bool account_keeps_connections(const struct account *account)
{
    return account->state <= ACCOUNT_PARKED ||
           (account->until_wall_ms && account->until_wall_ms <= clock_wall_ms());
}

static void set_state(struct account *account, enum account_state state, uint64_t until_wall_ms,
                      struct slice text)
{
    bool was_kept = account_keeps_connections(account);

    account->on_trial = account->on_trial || account->state != ACCOUNT_ACTIVE;
    account->state = state;
    account->until_wall_ms = until_wall_ms;
    set_text(&account->state_text, text);
    if (!account_keeps_connections(account)) {
        pool_retire(account);
    } else if (!was_kept) {
        capacity_forgive(account);
    }
    pool_pump(account);
}

void upstream_state(struct worker *worker, const struct ipc_state *state)
{
    struct account *account = account_find(worker->accounts, state->id);

    if (account && account->generation == state->generation && state->state < ACCOUNT_STATES)
        set_state(account, (enum account_state)state->state, state->until_wall_ms, state->text);
}

bool account_token_valid(const struct account *account)
{
    return account->token &&
           account->token_expires_wall_ms > clock_wall_ms() + account->token_margin_ms;
}

bool account_may_send(struct account *account, struct smtp_reply *out)
{
    if (account->removed) {
        smtp_reply_set(out, 451, (struct smtp_enhanced){4, 7, 0}, "the account was removed");
        return false;
    }
    if (account->state == ACCOUNT_ACTIVE)
        return true;
    if (account->until_wall_ms && account->until_wall_ms <= clock_wall_ms()) {
        account->state = ACCOUNT_ACTIVE;
        account->on_trial = true;
        return true;
    }
    verdict_state_reply(account->state, account->state_text, out);
    return false;
}

static void observe(struct account *account, enum account_state state, uint64_t for_ms,
                    const char *text)
{
    struct ipc_message message = {
        .type = IPC_OBSERVED,
        .u.observed = {.id = slice_of(account->id),
                       .generation = account->generation,
                       .state = state,
                       .for_ms = for_ms,
                       .text = slice_of(text)},
    };

    tell_broker(account->worker, &message);
}

void account_describe(const struct smtp_reply *reply, char *out, size_t cap)
{
    char line[600];
    struct text text;

    smtp_reply_oneline(reply, line, sizeof(line));
    text_init(&text, out, cap);
    text_addf(&text, "%d", reply->code);
    if (reply->enhanced.class_)
        text_addf(&text, " %u.%u.%u", reply->enhanced.class_, reply->enhanced.subject,
                  reply->enhanced.detail);
    text_addf(&text, " %s", line);
}

/* A quota that was not free again after an hour is asked for less often, and what
 * the provider blocks for its errors even more so. */
static uint64_t hold_time(struct account *account, const struct verdict *verdict)
{
    uint64_t for_ms = verdict->for_ms;

    if (verdict->state != ACCOUNT_PARKED && verdict->state != ACCOUNT_BLOCKED)
        return for_ms;
    for (unsigned i = 0; i < account->relapses && for_ms < HOLD_MAX_MS; i++)
        for_ms *= 2;
    return for_ms < HOLD_MAX_MS ? for_ms : HOLD_MAX_MS;
}

void account_apply(struct account *account, const struct verdict *verdict,
                   const struct smtp_reply *reply)
{
    uint64_t for_ms;
    char text[700];

    if (verdict->pause_logins)
        account->login_not_before = loop_now(&account->worker->loop) + verdict->for_ms;
    if (verdict->bdat_broken)
        endpoint_demote_bdat(account->endpoint, verdict->rule);
    if (verdict->state == ACCOUNT_ACTIVE)
        return;
    /* Of several messages under way each is refused: that is one hold. */
    account->relapses += account->on_trial && account->state == ACCOUNT_ACTIVE;
    for_ms = hold_time(account, verdict);
    account_describe(reply, text, sizeof(text));
    log_event(LOG_WARN, "account_observed", log_s("account", account->id),
              log_s("state", account_state_names[verdict->state]), log_s("rule", verdict->rule),
              log_s("reply", text), log_u("for_ms", for_ms));
    /* At once here; the broker's word for everybody follows. */
    account->state = verdict->state;
    account->until_wall_ms = clock_wall_ms() + for_ms;
    set_text(&account->state_text, slice_of(text));
    observe(account, verdict->state, for_ms, text);
}

void account_token_refused(struct account *account, uint64_t serial, const struct verdict *verdict,
                           const struct smtp_reply *reply)
{
    struct verdict final = *verdict;
    struct ipc_message message = {.type = IPC_TOKEN_REJECTED};
    char text[700];

    /* Of several logins with one token, each is refused, and that is one
     * refusal; an older token says nothing of the newer one. */
    if (serial != account->token_serial || !account->token)
        return;
    drop_token(account);
    account->rejections++;
    account->token_asked_at = loop_now(&account->worker->loop); /* the rejection asks for one */
    account_describe(reply, text, sizeof(text));
    message.u.token_rejected = (struct ipc_token_rejected){
        .id = slice_of(account->id), .serial = serial, .text = slice_of(text)};
    tell_broker(account->worker, &message);
    log_event(LOG_WARN, "token_rejected", log_s("account", account->id), log_s("reply", text),
              log_u("rejections", account->rejections));
    if (account->rejections < 2)
        return; /* one forced refresh, one retry */
    final.state = ACCOUNT_MISCONFIGURED;
    final.for_ms = REJECTED_FOR_MS;
    account_apply(account, &final, reply);
}

void upstream_settings_changed(struct worker *worker)
{
    struct endpoint *endpoint, *next_endpoint;

    /* A resumed session is not verified again: it must not outlive the trust
     * store that it was verified with. */
    HASH_ITER (hh, worker->accounts->endpoints, endpoint, next_endpoint)
        tls_peer_clear(&endpoint->tls);
    pool_serve_blocked(worker->accounts); /* the global limit may be another */
    /* So may logins_per_minute and concurrent_dials. */
    loop_timer_set(&worker->loop, &worker->accounts->wake, 0);
}

void upstream_drain(struct worker *worker)
{
    struct account *account, *next;

    HASH_ITER (hh, worker->accounts->accounts, account, next) {
        probe_fail_all(account, "the relay is shutting down");
        diagnosis_fail(account, "the relay is shutting down");
        pool_close_idle(account);
    }
}

size_t upstream_busy(const struct worker *worker)
{
    return worker->accounts ? worker->accounts->jobs : 0;
}

void upstream_free(struct account_table *table)
{
    struct account *account, *next;

    HASH_ITER (hh, table->accounts, account, next) {
        account->removed = true;
        account->jobs++;
        probe_fail_all(account, "the relay is shutting down");
        for (size_t i = 0; i < POOL_LISTS; i++) {
            struct list_node *node;

            while ((node = list_first(&account->pool[i])))
                client_close(container_of(node, struct client, pool_node), "shutdown");
        }
        diagnosis_abandon(account);
        account->jobs--;
        assert(!account->jobs);
        account_free(account);
    }
    share_free_all(table);
    group_free_all(table);
    loop_timer_cancel(&table->worker->loop, &table->bury);
    loop_timer_cancel(&table->worker->loop, &table->tell);
    loop_timer_cancel(&table->worker->loop, &table->wake);
    client_bury(table);
    free(table);
}
