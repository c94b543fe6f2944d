#include "sim/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sim/sim.h"

#define PATH_BYTES 1024

static void path_of(const char *dir, const char *name, char *out)
{
    snprintf(out, PATH_BYTES, "%s/%s", dir, name);
}

bool file_exists(const char *dir, const char *name)
{
    char path[PATH_BYTES];

    path_of(dir, name, path);
    return access(path, F_OK) == 0;
}

char *file_read(const char *dir, const char *name, struct reason *why)
{
    char path[PATH_BYTES], *text = NULL;
    struct stat status;
    FILE *in;

    path_of(dir, name, path);
    in = fopen(path, "re");
    if (in && fstat(fileno(in), &status) == 0)
        text = calloc(1, (size_t)status.st_size + 1);
    if (!text || fread(text, 1, (size_t)status.st_size, in) != (size_t)status.st_size) {
        reason_set(why, "cannot read %s: %s", path, strerror(errno));
        free(text);
        text = NULL;
    }
    if (in)
        fclose(in);
    return text;
}

bool file_write(const char *dir, const char *name, struct slice content, struct reason *why)
{
    char path[PATH_BYTES], temporary[PATH_BYTES + 8];
    bool ok;
    int fd;

    path_of(dir, name, path);
    snprintf(temporary, sizeof(temporary), "%s.new", path);
    fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ok = fd >= 0 && write(fd, content.ptr, content.len) == (ssize_t)content.len;
    if (fd >= 0)
        ok = close(fd) == 0 && ok;
    ok = ok && rename(temporary, path) == 0;
    return ok || reason_set(why, "cannot write %s: %s", path, strerror(errno));
}

static bool write_json(struct sim *sim, const char *name, json_t *json, struct reason *why)
{
    char *text = json_dumps(json, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    bool ok = text && file_write(sim->options.state_dir, name, slice_of(text), why);

    free(text);
    json_decref(json);
    return ok;
}

/* Where an account of this profile submits: STARTTLS first, as the providers'
 * port 587; any listener is better than none. */
static const struct listener *listener_for(const struct sim *sim, const struct profile *profile)
{
    const struct listener *best = NULL;
    int best_score = -1;

    for (size_t i = 0; i < sim->listener_count; i++) {
        const struct listen_spec *spec = &sim->listeners[i].spec;
        int score = (spec->profile == profile) * 2 + !spec->implicit_tls;

        if (score > best_score) {
            best = &sim->listeners[i];
            best_score = score;
        }
    }
    return best;
}

static json_t *show_account(const struct sim *sim, const struct account *account)
{
    const struct listener *listener = listener_for(sim, account->profile);
    const struct client *client = account->client;
    const struct grant *grant = account_live_grant(account, client);
    char id[320], endpoint[64], url[64];
    json_t *out;

    snprintf(id, sizeof(id), "%s_%s", account->profile->provider, account->email);
    for (char *c = id; *c; c++) {
        if (*c == '@' || *c == '.')
            *c = '_';
    }
    snprintf(endpoint, sizeof(endpoint), "localhost:%d", listener ? listener->port : 0);
    snprintf(url, sizeof(url), "https://localhost:%d/token", sim->http.port);
    out = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "account_id", id, "email",
                    account->email, "ip_address", "", "vmta_name", "", "provider",
                    account->profile->provider, "client_id", client->id, "refresh_token",
                    grant ? grant->token : "", "oauth_endpoint", endpoint, "oauth_token_url", url);
    if (client->secret)
        json_object_set_new(out, "client_secret", json_string(client->secret));
    /* Only where the port does not say it. */
    if (listener && listener->spec.implicit_tls)
        json_object_set_new(out, "tls", json_string("implicit"));
    return out;
}

json_t *files_accounts(struct sim *sim)
{
    struct account *account, *next;
    json_t *out = json_array();

    HASH_ITER (hh, sim->accounts.by_email, account, next) {
        json_array_append_new(out, show_account(sim, account));
    }
    return out;
}

static json_t *show_listeners(const struct sim *sim)
{
    json_t *out = json_array();

    for (size_t i = 0; i < sim->listener_count; i++) {
        const struct listener *listener = &sim->listeners[i];

        json_array_append_new(out,
                              json_pack("{s:s, s:i, s:s}", "kind",
                                        listener->spec.implicit_tls ? "smtps" : "smtp", "port",
                                        listener->port, "profile", listener->spec.profile->name));
    }
    return out;
}

static json_t *show_ports(const struct sim *sim)
{
    json_t *out = json_object();

    for (size_t i = sim->listener_count; i-- > 0;) {
        const struct listener *listener = &sim->listeners[i];

        /* Walked backwards: the first of a kind wins. */
        json_object_set_new(out, listener->spec.implicit_tls ? "smtps" : "smtp",
                            json_integer(listener->port));
    }
    if (sim->http.port)
        json_object_set_new(out, "http", json_integer(sim->http.port));
    if (sim->control.port)
        json_object_set_new(out, "control", json_integer(sim->control.port));
    json_object_set_new(out, "listeners", show_listeners(sim));
    return out;
}

bool files_announce(struct sim *sim, struct reason *why)
{
    json_t *ports = show_ports(sim);
    char *line = json_dumps(ports, JSON_COMPACT | JSON_PRESERVE_ORDER);

    if (!keys_write_service_account(&sim->keys, sim->options.state_dir, sim->http.port, why) ||
        !write_json(sim, "accounts.json", files_accounts(sim), why) ||
        !write_json(sim, "ports.json", ports, why)) {
        free(line);
        return false;
    }
    printf("ready %s\n", line);
    fflush(stdout);
    free(line);
    return true;
}
