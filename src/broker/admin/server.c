#include "broker/admin/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "broker/admin/request_private.h"
#include "broker/broker.h"

#define SOCKET_NAME "bearerd.sock"
#define TOKENS_NAME "api-tokens.json"
#define FAILURES_WINDOW_MS 60000
#define FAILURES_MAX 20

/* --- places ------------------------------------------------------------------ */

void admin_store_folder(const char *location, char *out, size_t cap)
{
    const char *file, *slash;
    struct slice path;

    store_find(location, &file);
    path = slice_of(file);
    slash = strrchr(file, '/');
    if (!slash)
        path = SLICE(".");
    else
        path.len = slash == path.ptr ? 1 : (size_t)(slash - path.ptr);
    slice_copy(path, out, cap);
}

static bool beside_accounts(const char *accounts, const char *name, char *out, size_t cap)
{
    char folder[4096];
    struct text text;

    admin_store_folder(accounts, folder, sizeof(folder));
    text_init(&text, out, cap);
    text_addf(&text, "%s/%s", folder, name);
    return !text.cut;
}

static bool find_tokens(const struct conf *conf, const char *accounts, char *out, size_t cap)
{
    return conf->admin_token_file[0] ? slice_copy(slice_of(conf->admin_token_file), out, cap)
                                     : beside_accounts(accounts, TOKENS_NAME, out, cap);
}

static bool has_host(const struct conf *conf)
{
    return conf->admin_port || strncmp(conf->admin_host, "unix:", 5) == 0;
}

bool admin_check(const struct conf *conf, const char *accounts, struct reason *why)
{
    struct api_tokens tokens;
    char path[4096];
    bool ok;

    if (!find_tokens(conf, accounts, path, sizeof(path)))
        return reason_set(why, "admin.token_file: the path is too long");
    if (!api_tokens_load(&tokens, path, why))
        return false;
    ok = !conf->admin_port || conf_admin_is_local(conf) || tokens.count ||
         reason_set(why,
                    "admin.host: %s can be reached from other machines, which needs an API token, "
                    "and %.120s holds none: start with --admin-host 127.0.0.1, make one with POST "
                    "/admin/api-tokens on the unix socket, and start again",
                    conf->admin_host, path);
    api_tokens_clear(&tokens);
    return ok;
}

/* --- listeners ---------------------------------------------------------------- */

static void host_address(const struct conf *conf, char *out, size_t cap)
{
    const char *host = conf->admin_host;
    struct text text;

    text_init(&text, out, cap);
    if (strncmp(host, "unix:", 5) == 0)
        text_add_str(&text, host);
    else if (strcmp(host, "localhost") == 0)
        text_addf(&text, "127.0.0.1:%u", conf->admin_port);
    else if (strchr(host, ':'))
        text_addf(&text, "[%s]:%u", host, conf->admin_port);
    else
        text_addf(&text, "%s:%u", host, conf->admin_port);
}

static bool open_host(struct admin *admin, struct reason *why)
{
    const struct setup *setup = admin->broker->setup;
    char address[160];
    struct reason detail;

    if (!has_host(admin->conf))
        return true;
    host_address(admin->conf, address, sizeof(address));
    return listener_open(admin, address, conf_admin_has_tls(admin->conf),
                         (struct slice){setup->cert_pem, setup->cert_len},
                         (struct slice){setup->key_pem, setup->key_len}, &detail) ||
           reason_set(why,
                      "admin.host, admin.port: %.200s; choose another port, or 0 for the unix "
                      "socket alone",
                      detail.text);
}

/* Two bearerds may share a folder; the second one goes without. */
static bool open_socket(struct admin *admin, struct reason *why)
{
    const char *option = admin->conf->admin_socket;
    bool by_itself = strcmp(option, "auto") == 0;
    char address[4096] = "unix:";
    struct reason detail;

    if (strcmp(option, "none") == 0)
        return true;
    if (by_itself)
        beside_accounts(admin->broker->accounts_path, SOCKET_NAME, address + 5,
                        sizeof(address) - 5);
    else
        slice_copy(slice_of(option), address + 5, sizeof(address) - 5);
    if (strcmp(address, admin->conf->admin_host) == 0 ||
        listener_open(admin, address, false, SLICE_NONE, SLICE_NONE, &detail))
        return true;
    if (!by_itself)
        return reason_set(why, "admin.socket: %.300s", detail.text);
    log_event(LOG_WARN, "admin_socket_unavailable", log_s("reason", detail.text),
              log_s("text", "the admin API goes without; set admin.socket to a path of its own, "
                            "or to none"));
    return true;
}

void admin_format(const struct admin *admin, char *out, size_t cap)
{
    struct text text;

    text_init(&text, out, cap);
    if (!admin)
        return;
    list_foreach (&admin->listeners, node) {
        const struct admin_listener *listener = container_of(node, struct admin_listener, node);

        if (listener->retiring)
            continue;
        text_addf(&text, "%s%s%s", text.len ? " " : "", listener->address,
                  listener->has_tls ? " (TLS)" : "");
    }
}

/* --- streams' turns ------------------------------------------------------------ */

static void serve_wanting(struct admin *admin)
{
    size_t count = admin->wanting.count;
    struct list_node *node;

    while (count-- && (node = list_pop_head(&admin->wanting)))
        stream_serve(container_of(node, struct admin_request, wanting_node));
}

static void on_wake(uv_timer_t *timer)
{
    serve_wanting(timer->data);
}

void admin_wake(struct admin *admin)
{
    if (admin->wake)
        uv_timer_start(admin->wake, on_wake, 0, 0);
}

/* --- life --------------------------------------------------------------------- */

static void configure(struct admin *admin)
{
    admin->conf = admin->broker->setup->conf;
    clients_configure(admin->clients,
                      &(struct clients_limits){admin->conf->admin_requests_per_second, FAILURES_MAX,
                                               FAILURES_WINDOW_MS});
}

static bool load_tokens(struct admin *admin, struct reason *why)
{
    struct api_tokens fresh;

    if (!find_tokens(admin->conf, admin->broker->accounts_path, admin->tokens_path,
                     sizeof(admin->tokens_path)))
        return reason_set(why, "admin.token_file: the path is too long");
    if (!api_tokens_load(&fresh, admin->tokens_path, why))
        return false;
    api_tokens_take_uses(&fresh, &admin->tokens);
    api_tokens_clear(&admin->tokens);
    admin->tokens = fresh;
    return true;
}

static struct admin *make(struct broker *broker)
{
    struct admin *admin = calloc(1, sizeof(*admin));

    if (!admin)
        return NULL;
    admin->broker = broker;
    admin->loop = &broker->loop;
    list_init(&admin->listeners);
    list_init(&admin->requests);
    list_init(&admin->wanting);
    admin->clients = clients_new();
    admin->wake = calloc(1, sizeof(*admin->wake));
    if (!admin->clients || !admin->wake) {
        clients_free(admin->clients);
        free(admin->wake);
        free(admin);
        return NULL;
    }
    uv_timer_init(&admin->loop->uv, admin->wake);
    admin->wake->data = admin;
    gethostname(admin->hostname, sizeof(admin->hostname) - 1);
    configure(admin);
    return admin;
}

struct admin *admin_start(struct broker *broker, struct reason *why)
{
    struct admin *admin = make(broker);
    char addresses[512];

    if (!admin) {
        reason_set(why, "out of memory");
        return NULL;
    }
    if (!load_tokens(admin, why) || !open_host(admin, why) || !open_socket(admin, why)) {
        admin_stop(admin);
        admin_free(admin);
        return NULL;
    }
    admin_format(admin, addresses, sizeof(addresses));
    log_event(LOG_INFO, "admin_ready", log_s("listeners", addresses),
              log_u("tokens", admin->tokens.count));
    return admin;
}

/* Connections that are open go on with the old certificate. */
static void renew_certificates(struct admin *admin)
{
    const struct setup *setup = admin->broker->setup;
    struct reason why;

    list_foreach_safe (&admin->listeners, node) {
        struct admin_listener *listener = container_of(node, struct admin_listener, node);

        if (listener->has_tls && !listener->retiring &&
            !listener_renew(listener, (struct slice){setup->cert_pem, setup->cert_len},
                            (struct slice){setup->key_pem, setup->key_len}, &why))
            log_event(LOG_ERROR, "admin_lost", log_s("reason", why.text));
    }
}

void admin_reload(struct admin *admin)
{
    struct reason why;

    if (!admin)
        return;
    configure(admin);
    if (!load_tokens(admin, &why))
        log_event(LOG_ERROR, "admin_tokens_kept", log_s("reason", why.text),
                  log_s("text", "the API tokens stay as they were"));
    renew_certificates(admin);
}

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

void admin_stop(struct admin *admin)
{
    struct list_node *node;

    if (!admin || admin->stopping)
        return;
    admin->stopping = true;
    uv_close((uv_handle_t *)admin->wake, free_handle);
    admin->wake = NULL;
    while ((node = list_first(&admin->listeners)))
        listener_close(container_of(node, struct admin_listener, node));
    serve_wanting(admin); /* owners of streams hear that it is over */
}

void admin_free(struct admin *admin)
{
    struct list_node *node;

    if (!admin)
        return;
    while ((node = list_first(&admin->requests)))
        request_free(container_of(node, struct admin_request, node));
    api_tokens_clear(&admin->tokens);
    clients_free(admin->clients);
    free(admin);
}
