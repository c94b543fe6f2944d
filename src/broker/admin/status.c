/* /admin/status: what runs, and what it has done. */
#include <unistd.h>

#include "base/clock.h"
#include "broker/admin/handlers.h"
#include "broker/broker.h"

static json_t *number(uint64_t value)
{
    return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

static json_t *accounts_of(const struct registry *registry)
{
    json_t *accounts = json_pack("{s:o}", "total", number(registry_count(registry)));

    for (size_t i = 0; i < ACCOUNT_STATES; i++)
        json_object_set_new(accounts, account_state_names[i], number(registry->states[i]));
    return accounts;
}

static json_t *relay_of(const struct relay_process *process)
{
    return json_pack("{s:b,s:I,s:I}", "ready", process && relay_process_is_ready(process), "pid",
                     (json_int_t)(process ? relay_process_pid(process) : 0), "restarts",
                     (json_int_t)(process ? relay_process_restarts(process) : 0));
}

/* Histograms are for /metrics. */
static json_t *counters_of(const struct broker *broker)
{
    json_t *counters = json_object();
    struct stats sums;

    broker_read_stats(broker, &sums);
    for (const struct stats_info *info = stats_table; info->name; info++) {
        if (info->kind != STATS_KIND_HISTOGRAM)
            json_object_set_new(counters, info->name, number(stats_number(&sums, info)));
    }
    return counters;
}

static json_t *tokens_of(const struct tokens *tokens)
{
    const struct tokens_stats *stats = &tokens->stats;
    json_t *object = json_object();

    json_object_set_new(object, "requests", number(stats->requests));
    json_object_set_new(object, "ok", number(stats->ok));
    json_object_set_new(object, "failures", number(stats->failures));
    json_object_set_new(object, "rejected", number(stats->rejected));
    json_object_set_new(object, "saves", number(stats->saves));
    json_object_set_new(object, "save_failures", number(stats->save_failures));
    json_object_set_new(object, "unsaved", number(tokens->unsaved.count));
    json_object_set_new(object, "running", number(tokens->phases[TOKEN_RUNNING].count));
    return object;
}

void status_show(struct admin_request *request)
{
    const struct broker *broker = admin_broker(request);
    char listeners[1024];
    json_t *body =
        json_pack("{s:b,s:s,s:I,s:o}", "success", 1, "version", BEARERD_VERSION, "pid",
                  (json_int_t)getpid(), "started_at", admin_time(broker->started_wall_ms));

    listeners_format(&broker->listeners, listeners, sizeof(listeners));
    json_object_set_new(body, "uptime_seconds", number((clock_ms() - broker->started_ms) / 1000));
    json_object_set_new(body, "draining", json_boolean(broker->draining));
    json_object_set_new(body, "workers", number(broker->setup->conf->workers));
    json_object_set_new(body, "listeners", json_string(listeners));
    json_object_set_new(body, "store", json_string(broker->accounts_path));
    json_object_set_new(body, "accounts", accounts_of(&broker->registry));
    json_object_set_new(body, "relay", relay_of(broker->process));
    json_object_set_new(body, "counters", counters_of(broker));
    json_object_set_new(body, "tokens", tokens_of(&broker->tokens));
    admin_reply(request, 200, body);
}
