/* What operators do to the process: reload, drain, the log's level. */
#include <stdlib.h>

#include "broker/admin/handlers.h"
#include "broker/broker.h"

/* --- reload ----------------------------------------------------------------------- */

struct reloading {
    struct reload_waiter waiter;
    struct admin_request *request;
};

static json_t *texts_of(char *const *lines, size_t count)
{
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_string(lines[i]));
    return list;
}

static json_t *problems_of(const struct problems *problems)
{
    json_t *list = json_array();

    for (size_t i = 0; problems && i < problems->count; i++)
        json_array_append_new(list, json_pack("{s:b,s:s}", "skipped", problems->items[i].skipped,
                                              "text", problems->items[i].text));
    return list;
}

static json_t *report_of(const struct broker *broker, const struct reload_report *report)
{
    const struct registry_changes *changes = &report->changes;

    return json_pack("{s:b,s:s,s:I,s:I,s:I,s:I,s:I,s:o,s:o}", "success", 1, "message",
                     "Configuration and accounts reloaded", "total_accounts",
                     (json_int_t)registry_count(&broker->registry), "added",
                     (json_int_t)changes->added, "changed", (json_int_t)changes->changed, "removed",
                     (json_int_t)changes->removed, "skipped", (json_int_t)broker->skipped, "notes",
                     texts_of(report->notes.lines, report->notes.count), "problems",
                     problems_of(report->problems));
}

static void on_reloaded(struct reload_waiter *waiter, const struct reload_report *report)
{
    struct reloading *reloading = container_of(waiter, struct reloading, waiter);
    struct admin_request *request = reloading->request;

    free(reloading);
    if (report->error)
        admin_error(request, 400, "%s; nothing was changed", report->error);
    else
        admin_reply(request, 200, report_of(admin_broker(request), report));
}

void control_reload(struct admin_request *request)
{
    struct reloading *reloading;
    bool wait;

    if (!admin_query_flag(request, "wait", false, &wait))
        return;
    if (!wait) {
        reload_begin(admin_broker(request));
        admin_reply(request, 202,
                    json_pack("{s:b,s:s}", "success", 1, "message",
                              "Reload begun; the log tells how it ends, as does wait=true"));
        return;
    }
    reloading = calloc(1, sizeof(*reloading));
    if (!reloading) {
        admin_error(request, 500, "out of memory");
        return;
    }
    reloading->request = request;
    reloading->waiter.done = on_reloaded;
    reload_begin_for(admin_broker(request), &reloading->waiter);
}

/* --- drain ------------------------------------------------------------------------- */

void control_drain(struct admin_request *request)
{
    struct broker *broker = admin_broker(request);
    bool before = broker->draining;

    broker_drain(broker);
    admin_reply(request, 202,
                json_pack("{s:b,s:s}", "success", 1, "message",
                          before ? "Draining already" : "Draining; bearerd ends when it is done"));
}

/* --- the log's level ----------------------------------------------------------------- */

static void reply_level(struct admin_request *request)
{
    admin_reply(request, 200,
                json_pack("{s:b,s:s}", "success", 1, "level", log_level_names[broker_log_level()]));
}

void control_log_show(struct admin_request *request)
{
    reply_level(request);
}

void control_log_set(struct admin_request *request)
{
    const json_t *body = admin_json(request);
    const char *name = json_string_value(json_object_get(body, "level"));

    if (!body)
        return;
    for (int level = 0; name && level < LOG_LEVELS; level++) {
        if (strcmp(name, log_level_names[level]) != 0)
            continue;
        broker_set_log_level(admin_broker(request), (enum log_level)level);
        reply_level(request);
        return;
    }
    admin_error_field(request, 400, "level",
                      "level: \"%.40s\": must be error, warn, info, debug or trace",
                      name ? name : "");
}
