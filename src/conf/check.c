/* What no single option can tell. */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/options.h"

/* RFC 5321 section 4.5.3.2.6: what a client waits for the final reply. */
#define CLIENT_PATIENCE_MS (600u * 1000)

static bool check_readable(const char *option, const char *path, struct reason *why)
{
    if (!*path || access(path, R_OK) == 0)
        return true;
    return reason_set(why, "%s: %s: %s", option, path, strerror(errno));
}

static bool check_files(const struct conf *conf, struct reason *why)
{
    struct stat info;

    if (!check_readable("tls.certificate", conf->tls_certificate, why) ||
        !check_readable("tls.key", conf->tls_key, why) ||
        !check_readable("ca_file", conf->ca_file, why))
        return false;
    if (stat(conf->spill_dir, &info) != 0)
        return reason_set(why, "spill.dir: %s: %s", conf->spill_dir, strerror(errno));
    if (!S_ISDIR(info.st_mode) || access(conf->spill_dir, W_OK | X_OK) != 0)
        return reason_set(why, "spill.dir: %s is not a directory that we may write to",
                          conf->spill_dir);
    return true;
}

static bool check_listeners(const struct conf *conf, struct reason *why)
{
    if (!conf->listener_count)
        return reason_set(why, "listeners: there is none, so nobody could send");
    for (size_t i = 0; i < conf->listener_count; i++) {
        const struct conf_listener *listener = &conf->listeners[i];

        if (listener->tls != CONF_TLS_NONE && (!*conf->tls_certificate || !*conf->tls_key))
            return reason_set(why, "listeners: %s has TLS, which needs tls.certificate and tls.key",
                              listener->address);
        for (size_t j = 0; j < i; j++) {
            if (strcmp(conf->listeners[j].address, listener->address) == 0)
                return reason_set(why, "listeners: %s is there twice", listener->address);
        }
    }
    return true;
}

bool conf_admin_is_local(const struct conf *conf)
{
    const char *host = conf->admin_host;

    return strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0 ||
           strcmp(host, "localhost") == 0 || strncmp(host, "unix:", 5) == 0;
}

bool conf_admin_has_tls(const struct conf *conf)
{
    if (conf->admin_tls == CONF_AUTO)
        return !conf_admin_is_local(conf);
    return conf->admin_tls == CONF_ON && strncmp(conf->admin_host, "unix:", 5) != 0;
}

/* Whoever can reach the admin API can send as anybody: so not in clear text to
 * other machines. The other half, tokens, needs files: broker/admin. */
static bool check_admin(const struct conf *conf, struct reason *why)
{
    if (!conf->admin_port)
        return true;
    if (!conf_admin_is_local(conf) && !conf_admin_has_tls(conf))
        return reason_set(why,
                          "admin.host: %s can be reached from other machines, which needs TLS: "
                          "set admin.tls to auto, or admin.host to 127.0.0.1",
                          conf->admin_host);
    if (conf_admin_has_tls(conf) && (!*conf->tls_certificate || !*conf->tls_key))
        return reason_set(why,
                          "admin.host: %s has TLS, which needs tls.certificate and tls.key; "
                          "127.0.0.1 needs none",
                          conf->admin_host);
    return true;
}

static void note_waits(const struct conf *conf, struct conf_notes *notes)
{
    uint64_t worst = conf->queue_wait_ms + conf->upstream_final_ms;

    if (worst > CLIENT_PATIENCE_MS)
        conf_note(notes,
                  "upstream.queue_wait and upstream.final_timeout make %llu s together; a client "
                  "that gives up after 600 s sends a message again that was delivered",
                  (unsigned long long)(worst / 1000));
}

static void note_memory(const struct conf *conf, struct conf_notes *notes)
{
    if (conf->spill_threshold > conf->memory_limit)
        conf_note(notes, "spill.threshold is larger than limits.memory: messages wait for memory "
                         "before they go to a file");
}

static void note_open_listeners(const struct conf *conf, struct conf_notes *notes)
{
    for (size_t i = 0; i < conf->listener_count; i++) {
        const char *address = conf->listeners[i].address;

        if (conf->listeners[i].tls == CONF_TLS_NONE && !conf->auth_requires_tls &&
            strncmp(address, "127.", 4) != 0 && strncmp(address, "[::1]", 5) != 0 &&
            strncmp(address, "unix:", 5) != 0)
            conf_note(notes,
                      "listeners: %s takes passwords in clear text, as auth.requires_tls is "
                      "false",
                      address);
    }
}

bool conf_check(const struct conf *conf, struct conf_notes *notes, struct reason *why)
{
    if (!check_files(conf, why) || !check_listeners(conf, why) || !check_admin(conf, why) ||
        !apps_check(conf, why))
        return false;
    note_waits(conf, notes);
    note_memory(conf, notes);
    note_open_listeners(conf, notes);
    return true;
}
