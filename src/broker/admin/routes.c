#include "broker/admin/routes.h"

#include "broker/admin/handlers.h"
#include "broker/admin/target.h"

/* "/a/{name}/b" holds "/a/x/b"; the name's octets are stored. */
static bool holds(const char *pattern, const char *path, struct slice *param)
{
    const char *brace = strchr(pattern, '{');
    size_t before = brace ? (size_t)(brace - pattern) : strlen(pattern);
    const char *after = brace ? strchr(brace, '}') + 1 : "";

    *param = SLICE_NONE;
    if (!brace)
        return strcmp(pattern, path) == 0;
    if (strncmp(pattern, path, before) != 0)
        return false;
    param->ptr = path + before;
    param->len = strcspn(param->ptr, "/");
    return param->len && strcmp(param->ptr + param->len, after) == 0;
}

static void allow(struct route_match *match, const char *method)
{
    struct text text = {match->allow, strlen(match->allow), sizeof(match->allow), false};
    const char *at = strstr(match->allow, method);

    if (at && (at[strlen(method)] == ',' || !at[strlen(method)]))
        return;
    text_addf(&text, "%s%s", text.len ? ", " : "", method);
}

static void take_param(struct route_match *match, struct slice param)
{
    match->bad_param =
        !slice_copy(param, match->param, sizeof(match->param)) || !percent_decode(match->param);
}

static void look(const struct admin_route *routes, const char *method, const char *path,
                 struct route_match *match)
{
    struct slice param;

    for (; routes->method; routes++) {
        bool exact = !strchr(routes->path, '{');

        if (!holds(routes->path, path, &param))
            continue;
        allow(match, routes->method);
        if (strcmp(routes->method, "GET") == 0)
            allow(match, "HEAD");
        if (strcmp(routes->method, method) != 0 || (match->route && !exact))
            continue;
        match->route = routes;
        match->param[0] = '\0';
        match->bad_param = false;
        if (!exact)
            take_param(match, param);
    }
}

void route_find(const char *method, const char *path, struct route_match *match)
{
    if (strcmp(method, "HEAD") == 0)
        method = "GET";
    *match = (struct route_match){NULL};
    look(admin_routes, method, path, match);
    look(admin_account_routes, method, path, match);
}

static void each_of(const struct admin_route *routes,
                    void (*each)(const struct admin_route *route, void *arg), void *arg)
{
    for (; routes->method; routes++)
        each(routes, arg);
}

void route_each(void (*each)(const struct admin_route *route, void *arg), void *arg)
{
    each_of(admin_routes, each, arg);
    each_of(admin_account_routes, each, arg);
}

/* --- the table --------------------------------------------------------------- */

const struct admin_route admin_routes[] = {
    {"GET", "/health", ADMIN_OPEN, 0, health_show, "Whether bearerd works, and what is amiss", ""},
    {"GET", "/health/live", ADMIN_OPEN, 0, health_live, "Whether the process answers", ""},
    {"GET", "/health/ready", ADMIN_OPEN, 0, health_ready, "Whether mail is relayed", ""},
    {"GET", "/openapi.json", ADMIN_OPEN, 0, openapi_show, "This API, described", ""},
    {"GET", "/metrics", ADMIN_READ, 0, metrics_show, "Numbers for Prometheus", ""},
    {"GET", "/admin/status", ADMIN_READ, 0, status_show, "What runs, and what it has done", ""},
    {"GET", "/admin/config", ADMIN_READ, 0, config_show,
     "Each option, its value and where that comes from", ""},
    {"GET", "/admin/addresses", ADMIN_READ, 0, addresses_show,
     "The addresses that accounts can send from", ""},
    {"POST", "/admin/reload", ADMIN_WRITE, 0, control_reload,
     "Reads configuration, accounts and API tokens again", "wait"},
    {"POST", "/admin/drain", ADMIN_WRITE, 0, control_drain, "Ends when running mail is done", ""},
    {"GET", "/admin/log", ADMIN_READ, 0, control_log_show, "The log's level", ""},
    {"PUT", "/admin/log", ADMIN_WRITE, 4096, control_log_set,
     "Changes it until the next reload or restart", ""},
    {"POST", "/admin/rekey", ADMIN_OWNER, 0, rekey_begin, "Seals all secrets of the store anew",
     ""},
    {"GET", "/admin/api-tokens", ADMIN_OWNER, 0, api_tokens_list,
     "API tokens, without their values", ""},
    {"POST", "/admin/api-tokens", ADMIN_OWNER, 4096, api_tokens_create, "Makes an API token", ""},
    {"DELETE", "/admin/api-tokens/{name}", ADMIN_OWNER, 0, api_tokens_delete,
     "Removes an API token", ""},
    {"POST", "/admin/logins", ADMIN_WRITE, 16384, logins_begin,
     "Begins to sign somebody in at a provider", ""},
    {"GET", "/admin/logins/{id}", ADMIN_WRITE, 0, logins_show, "How far a login is", ""},
    {"POST", "/admin/logins/{id}", ADMIN_WRITE, 32768, logins_finish,
     "Hands over the address to which the browser was sent", ""},
    {"DELETE", "/admin/logins/{id}", ADMIN_WRITE, 0, logins_delete, "Gives a login up", ""},
    {NULL},
};
