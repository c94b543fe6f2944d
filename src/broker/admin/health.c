/* /health: whether bearerd works, for watchers, and what is amiss, for operators.
 * Everything is counted where it happens, so that asking costs nothing. */
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/date.h"
#include "broker/admin/handlers.h"
#include "broker/admin/server.h"
#include "broker/broker.h"

#define WEBHOOK_FAILURES 3
#define LATELY_MS (10 * 60000ull)
#define GATES_NAMED 5
#define REASONS_MAX 50

static bool is_ready(const struct broker *broker)
{
    return broker->ready && !broker->draining && broker->process &&
           relay_process_is_ready(broker->process);
}

static void add_reason(json_t *reasons, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add_reason(json_t *reasons, const char *format, ...)
{
    char text[768];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    json_array_append_new(reasons, json_string(text));
}

/* --- what keeps mail from flowing at all --------------------------------------- */

static void add_outages(const struct broker *broker, json_t *reasons)
{
    if (broker->draining)
        add_reason(reasons, "bearerd is ending: it finishes what runs and takes nothing new");
    else if (!broker->ready)
        add_reason(reasons, "the relay process has not started yet");
    else if (!is_ready(broker))
        add_reason(reasons, "the relay process has ended and is being started again");
}

/* --- what is amiss ---------------------------------------------------------------- */

static void add_accounts(const struct broker *broker, json_t *reasons)
{
    static const struct {
        enum account_state state;
        const char *cure;
    } bad[] = {
        {ACCOUNT_NEEDS_CONSENT, "their refresh tokens are dead, and their owners must consent "
                                "again"},
        {ACCOUNT_MISCONFIGURED, "something in their records, their applications or the addresses "
                                "of this machine is wrong"},
        {ACCOUNT_BLOCKED, "their provider has blocked them"},
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        size_t count = broker->registry.states[bad[i].state];

        if (count)
            add_reason(reasons, "accounts in state %s: %zu; %s", account_state_names[bad[i].state],
                       count, bad[i].cure);
    }
    if (broker->skipped)
        add_reason(reasons,
                   "records of accounts that could not be used when they were read: %zu; "
                   "bearerd --check says why",
                   broker->skipped);
}

static void add_store(const struct broker *broker, json_t *reasons)
{
    const char *path;
    char folder[SETUP_PATH_MAX];

    if (broker->tokens.unsaved.count)
        add_reason(reasons, "refresh tokens that could not be saved and are in memory only: %zu",
                   broker->tokens.unsaved.count);
    store_find(broker->accounts_path, &path);
    admin_store_folder(broker->accounts_path, folder, sizeof(folder));
    if (access(path, W_OK) != 0 || access(folder, W_OK | X_OK) != 0)
        add_reason(reasons,
                   "%.300s or its folder is not writable: a new refresh token could not "
                   "be saved",
                   path);
}

static void add_gate(const struct gate *gate, json_t *reasons)
{
    const struct list_node *node = list_first(&gate->accounts);
    const struct token *token =
        node ? container_of(node, const struct token, gate_nodes[gate->kind]) : NULL;
    const struct account_record *record =
        token ? container_of(token, const struct account, token)->record : NULL;

    if (!record)
        return;
    if (gate->kind == GATE_ENDPOINT)
        add_reason(reasons, "the token endpoint %.200s fails for all accounts: %.300s",
                   record->token_url, gate->text);
    else
        add_reason(reasons, "the application %.100s is refused by %.200s: %.300s",
                   record->client_id, record->token_url, gate->text);
}

static void add_gates(const struct broker *broker, json_t *reasons)
{
    size_t named = 0;

    for (size_t kind = 0; kind < GATES; kind++) {
        struct gate *gate, *next;

        if (!broker->tokens.gates_closed[kind])
            continue;
        HASH_ITER (hh, broker->tokens.gates[kind], gate, next) {
            if (gate->closed && named++ < GATES_NAMED)
                add_gate(gate, reasons);
        }
    }
    if (named > GATES_NAMED)
        add_reason(reasons, "further token endpoints and applications that fail: %zu",
                   named - GATES_NAMED);
}

static void add_expiring(const struct expiring *one, void *arg)
{
    const char *what = one->is_certificate ? "certificate" : "client secret";
    char day[DATE_TEXT];

    date_format(one->expires_wall_ms, day);
    day[10] = '\0';
    if (json_array_size(arg) < REASONS_MAX)
        add_reason(arg, "the %s of the application %.100s %s on %s; accounts: %zu", what,
                   one->app[0] ? one->app : one->client_id,
                   one->expires_wall_ms <= clock_wall_ms() ? "has expired" : "expires", day,
                   one->accounts);
}

static void add_clock(const struct broker *broker, json_t *reasons)
{
    const struct host_clock *clock = clocks_worst(&broker->tokens.clocks);

    if (clock)
        add_reason(reasons, "our clock is %lld s %s that of %.200s: set it, or have it set by NTP",
                   (long long)(clock->skew_ms > 0 ? clock->skew_ms : -clock->skew_ms) / 1000,
                   clock->skew_ms > 0 ? "behind" : "ahead of", clock->origin);
}

/* Not one alone: a receiver may be restarted. */
static void add_webhook(const struct broker *broker, json_t *reasons)
{
    if (broker->webhook.failures >= WEBHOOK_FAILURES)
        add_reason(reasons,
                   "the receiver of events (events.webhook_url) fails: events that wait: %zu; the "
                   "log says why (webhook_down, webhook_refused)",
                   broker->webhook.queue.count);
}

static void add_relay(const struct broker *broker, json_t *reasons)
{
    if (broker->relay_lost_ms && loop_now(&broker->loop) - broker->relay_lost_ms < LATELY_MS)
        add_reason(reasons, "the relay process ended unexpectedly within the last ten minutes; the "
                            "log says how (relay_exited)");
}

/* --- answers --------------------------------------------------------------------- */

static const char *status_of(const struct broker *broker, size_t reasons)
{
    if (!is_ready(broker))
        return broker->ready || broker->draining ? "unhealthy" : "starting";
    return reasons ? "degraded" : "healthy";
}

static void add_details(const struct broker *broker, json_t *body, json_t *reasons)
{
    json_object_set(body, "reasons", reasons);
    json_object_set_new(body, "version", json_string(BEARERD_VERSION));
    json_object_set_new(body, "uptime_seconds",
                        json_integer((json_int_t)((clock_ms() - broker->started_ms) / 1000)));
    json_object_set_new(body, "accounts",
                        json_integer((json_int_t)registry_count(&broker->registry)));
    json_object_set_new(
        body, "relay",
        json_pack("{s:b,s:I}", "ready", broker->process && relay_process_is_ready(broker->process),
                  "restarts",
                  (json_int_t)(broker->process ? relay_process_restarts(broker->process) : 0)));
}

void health_show(struct admin_request *request)
{
    const struct broker *broker = admin_broker(request);
    json_t *reasons = json_array(), *body = json_object();

    add_outages(broker, reasons);
    add_accounts(broker, reasons);
    add_store(broker, reasons);
    add_gates(broker, reasons);
    add_clock(broker, reasons);
    add_webhook(broker, reasons);
    secret_expiry_each(&broker->secret_expiry, clock_wall_ms(), EXPIRY_SOON_MS, add_expiring,
                       reasons);
    add_relay(broker, reasons);
    json_object_set_new(body, "status", json_string(status_of(broker, json_array_size(reasons))));
    json_object_set_new(body, "service", json_string("xoauth2-proxy-admin"));
    json_object_set_new(body, "live", json_true());
    json_object_set_new(body, "ready", json_boolean(is_ready(broker)));
    if (admin_may(request, ADMIN_READ))
        add_details(broker, body, reasons);
    json_decref(reasons);
    admin_reply(request, is_ready(broker) ? 200 : 503, body);
}

void health_live(struct admin_request *request)
{
    admin_reply(request, 200, json_pack("{s:s}", "status", "live"));
}

void health_ready(struct admin_request *request)
{
    bool ready = is_ready(admin_broker(request));

    admin_reply(request, ready ? 200 : 503,
                json_pack("{s:s}", "status", ready ? "ready" : "not ready"));
}
