/* health: one line and an exit code, for monitoring. */
#include <stdio.h>
#include <string.h>

#include "ctl/api.h"
#include "ctl/out.h"
#include "ctl/safe.h"

/* What monitoring plug-ins return, since Nagios. */
enum { PLUGIN_OK, PLUGIN_WARNING, PLUGIN_CRITICAL, PLUGIN_UNKNOWN };

struct health {
    const char *status; /* as bearerd says it */
    const char *word;   /* as plug-ins say it */
    int code, plugin;
};

static struct health judge(const struct api_answer *answer)
{
    const char *status = get_text(answer->body, "status");

    if (answer->status == 200 && strcmp(status, "healthy") == 0)
        return (struct health){status, "OK", CTL_OK, PLUGIN_OK};
    if (answer->status == 200 && strcmp(status, "degraded") == 0)
        return (struct health){status, "WARNING", CTL_PARTLY, PLUGIN_WARNING};
    return (struct health){*status ? status : "unhealthy", "CRITICAL", CTL_FAILED, PLUGIN_CRITICAL};
}

static void print_reasons(const json_t *body)
{
    const json_t *reasons = json_object_get(body, "reasons"), *reason;
    size_t index;

    json_array_foreach(reasons, index, reason)
    {
        if (!json_is_string(reason))
            continue;
        fputs(index ? "; " : ": ", stdout);
        safe_put(stdout, json_string_value(reason));
    }
}

static int report(const struct args *args, const struct api_answer *answer)
{
    struct health health = judge(answer);
    bool plugin = args_has(args, "nagios");

    if (args_has(args, "json")) {
        out_json(answer->body);
    } else {
        if (plugin)
            printf("BEARERD %s - ", health.word);
        safe_put(stdout, health.status);
        print_reasons(answer->body);
        putchar('\n');
    }
    if (out_flush() != CTL_OK)
        return plugin ? PLUGIN_UNKNOWN : CTL_FAILED;
    return plugin ? health.plugin : health.code;
}

/* A plug-in's first line of output is what people see: also when nothing
 * answers. */
static int fail(const struct args *args, int rc)
{
    if (!args_has(args, "nagios"))
        return rc;
    puts(rc == CTL_USAGE ? "BEARERD UNKNOWN - the check is not set up right"
                         : "BEARERD CRITICAL - no answer");
    return rc == CTL_USAGE ? PLUGIN_UNKNOWN : PLUGIN_CRITICAL;
}

int cmd_health(const struct args *args)
{
    struct api_answer answer = {0, NULL};
    struct api *api;
    int rc = api_open(&api, args);

    if (rc == CTL_OK)
        rc = api_ask(api, "GET", "/health", NULL, &answer);
    /* 503 with a status is an answer; anything else without one is none. */
    if (rc == CTL_OK && !*get_text(answer.body, "status"))
        rc = api_refused(api, &answer);
    rc = rc == CTL_OK ? report(args, &answer) : fail(args, rc);
    json_decref(answer.body);
    api_close(api);
    return rc;
}
