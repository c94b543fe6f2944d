#include "sim/token_errors.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "sim/sim.h"

static const struct token_error_row *find(const struct token_error_row *rows, const char *name)
{
    for (; rows->name; rows++) {
        if (strcmp(rows->name, name) == 0)
            return rows;
    }
    return NULL;
}

/* Microsoft has its own words for what both have. */
static const struct token_error_row *choose(const char *name, const struct profile *profile)
{
    const struct token_error_row *row = NULL;
    bool number = strncmp(name, "AADSTS", 6) == 0;

    if (number)
        name += 6;
    if (number || profile == &profile_m365)
        row = find(token_errors_microsoft, name);
    if (!row)
        row = find(token_errors_common, name);
    return row ? row : find(token_errors_microsoft, name);
}

bool token_error_known(const char *name)
{
    return choose(name, NULL) != NULL;
}

bool token_fault(struct token_fault *fault, const char *name, const char *detail, ...)
{
    va_list arguments;

    *fault = (struct token_fault){.name = name};
    if (detail) {
        va_start(arguments, detail);
        vsnprintf(fault->detail, sizeof(fault->detail), detail, arguments);
        va_end(arguments);
    }
    return false;
}

/* The description with the detail in place of what stands in braces. */
static void describe(const struct token_error_row *row, const char *detail, char *out, size_t cap)
{
    const char *open = strchr(row->description, '{'), *close = open ? strchr(open, '}') : NULL;
    size_t usual = close ? (size_t)(close - open - 1) : 0;

    if (!close || *row->description == '{') {
        snprintf(out, cap, "%s", row->description);
        return;
    }
    snprintf(out, cap, "%.*s%.*s%s", (int)(open - row->description), row->description,
             (int)(detail && *detail ? strlen(detail) : usual),
             detail && *detail ? detail : open + 1, close + 1);
}

static void now_text(struct sim *sim, char *out, size_t cap)
{
    time_t now = (time_t)(sim_wall_ms(sim) / 1000);
    struct tm tm;

    strftime(out, cap, "%Y-%m-%d %H:%M:%SZ", gmtime_r(&now, &tm));
}

static json_t *microsoft_body(struct sim *sim, const struct token_error_row *row, const char *what)
{
    static const char trace[] = "f1c20e9a-3a0c-4b39-9a5f-6bb2d1a40000";
    static const char correlation[] = "0b6b3b3a-50ac-4cf3-8f0c-2a54f3fd0000";
    char now[32], text[768];
    json_t *body;

    now_text(sim, now, sizeof(now));
    snprintf(text, sizeof(text), "%s Trace ID: %s Correlation ID: %s Timestamp: %s", what, trace,
             correlation, now);
    body =
        json_pack("{s:s, s:s, s:[i], s:s, s:s, s:s, s:s}", "error", row->error, "error_description",
                  text, "error_codes", (int)strtol(row->description + 6, NULL, 10), "timestamp",
                  now, "trace_id", trace, "correlation_id", correlation, "error_uri",
                  "https://login.microsoftonline.com/error");
    if (row->subtype)
        json_object_set_new(body, "suberror", json_string(row->subtype));
    return body;
}

static json_t *google_body(const struct token_error_row *row, const char *what)
{
    json_t *body = json_pack("{s:s, s:s}", "error", row->error, "error_description", what);

    if (row->subtype)
        json_object_set_new(body, "error_subtype", json_string(row->subtype));
    return body;
}

static void set_body(struct sim *sim, const struct token_error_row *row, const char *detail,
                     struct http_reply *reply)
{
    char what[512];
    json_t *body;

    describe(row, detail, what, sizeof(what));
    body = strncmp(row->description, "AADSTS", 6) == 0 ? microsoft_body(sim, row, what)
                                                       : google_body(row, what);
    reply->body = json_dumps(body, JSON_COMPACT);
    json_decref(body);
}

bool token_error(struct sim *sim, const struct token_fault *fault, const struct profile *profile,
                 struct http_reply *reply)
{
    const struct token_error_row *row = choose(fault->name, profile);

    if (!row)
        return false;
    reply->status = row->status;
    if (row->error) {
        set_body(sim, row, fault->detail, reply);
        return true;
    }
    reply->type = row->type;
    reply->body = strdup(row->description);
    return true;
}

json_t *token_error_names(void)
{
    json_t *out = json_array();

    for (const struct token_error_row *row = token_errors_common; row->name; row++)
        json_array_append_new(out, json_string(row->name));
    for (const struct token_error_row *row = token_errors_microsoft; row->name; row++) {
        if (!find(token_errors_common, row->name))
            json_array_append_new(out, json_string(row->name));
    }
    return out;
}
