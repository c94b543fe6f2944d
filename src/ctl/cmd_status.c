#include <stdio.h>
#include <string.h>

#include "ctl/account.h"
#include "ctl/out.h"
#include "ctl/simple.h"

static void print_accounts(json_t *accounts)
{
    const char *state;
    char count[48];
    json_t *value;

    out_heading("accounts");
    json_object_foreach(accounts, state, value)
    {
        long long number = json_is_number(value) ? (long long)json_number_value(value) : 0;

        out_count(count, sizeof(count), number);
        if (strcmp(state, "total") == 0)
            out_field(state, count, BOLD);
        else if (number)
            out_field(state, count, out_state_colour(state));
    }
}

/* "messages_delivered_total" is "messages delivered" to people. */
static void print_counters(const char *heading, json_t *counters)
{
    char label[64], count[48];
    const char *name;
    bool any = false;
    json_t *value;

    json_object_foreach(counters, name, value)
    {
        size_t len = strlen(name);

        if (!json_is_number(value) || json_number_value(value) == 0)
            continue;
        if (!any)
            out_heading(heading);
        any = true;
        if (len > 6 && strcmp(name + len - 6, "_total") == 0)
            len -= 6;
        slice_copy((struct slice){name, len}, label, sizeof(label));
        for (char *c = label; *c; c++)
            *c = *c == '_' ? ' ' : *c;
        out_count(count, sizeof(count), get_number(counters, name));
        out_counter(label, count);
    }
}

static void print_relay(const json_t *relay)
{
    bool ready = get_bool(relay, "ready");

    out_heading("relay");
    out_field("ready", ready ? "yes" : "no", ready ? GOOD : BAD);
    out_fieldf("pid", "%lld", get_number(relay, "pid"));
    out_fieldf("restarts", "%lld", get_number(relay, "restarts"));
}

static void print(const struct args *args, const json_t *answer)
{
    char up[32], heading[128];

    (void)args;
    out_duration(up, sizeof(up), get_number(answer, "uptime_seconds"));
    snprintf(heading, sizeof(heading), "bearerd %.40s, up %s", get_text(answer, "version"), up);
    out_heading(heading);
    out_fieldf("pid", "%lld", get_number(answer, "pid"));
    account_time_field("started", get_text(answer, "started_at"));
    out_fieldf("workers", "%lld", get_number(answer, "workers"));
    out_field("account store", get_text(answer, "store"), PLAIN);
    print_relay(json_object_get(answer, "relay"));
    print_accounts(json_object_get(answer, "accounts"));
    print_counters("tokens", json_object_get(answer, "tokens"));
    print_counters("counters since start", json_object_get(answer, "counters"));
}

int cmd_status(const struct args *args)
{
    return simple_call(args, "GET", "/admin/status", NULL, print);
}
