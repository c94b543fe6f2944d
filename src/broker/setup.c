#include "broker/setup.h"

#include <stdlib.h>
#include <unistd.h>

#include "broker/apps.h"
#include "broker/store/file_io.h"
#include "broker/webhook.h"
#include "broker/wipe.h"
#include "conf/options.h"
#include "ipc/ipc.h"
#include "net/tls.h"

#define WORKERS_MAX 64 /* as the relay's */
#define WEBHOOK_CREDENTIAL "bearerd.webhook"

/* Where the distributions keep the system's trust store. */
static const char *const ca_places[] = {"/etc/ssl/certs/ca-certificates.crt",
                                        "/etc/pki/tls/certs/ca-bundle.crt",
                                        "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem", NULL};

static bool find_ca(struct setup *setup, struct reason *why)
{
    if (setup->conf->ca_file[0])
        return slice_copy(slice_of(setup->conf->ca_file), setup->ca_path, sizeof(setup->ca_path));
    for (size_t i = 0; ca_places[i]; i++) {
        if (access(ca_places[i], R_OK) == 0)
            return slice_copy(slice_of(ca_places[i]), setup->ca_path, sizeof(setup->ca_path));
    }
    return reason_set(why, "the system has no trust store that we know of; install "
                           "ca-certificates, or name a file with ca_file");
}

/* A PEM file that fits into a message to the relay. */
static char *read_pem(const char *path, size_t max, size_t *len, struct reason *why)
{
    char *text = file_read(path, len, why);

    if (!text || *len <= max)
        return text;
    secret_free_len(text, *len);
    reason_set(why, "%s is larger than %zu octets", path, max);
    return NULL;
}

static bool load_ca(struct setup *setup, struct reason *why)
{
    struct reason detail;
    SSL_CTX *context;

    setup->ca_pem = read_pem(setup->ca_path, IPC_CA_MAX, &setup->ca_len, why);
    if (!setup->ca_pem)
        return false;
    context = tls_client_context((struct slice){setup->ca_pem, setup->ca_len}, &detail);
    SSL_CTX_free(context);
    return context || reason_set(why, "ca_file: %s: %.200s", setup->ca_path, detail.text);
}

static bool load_key_pair(struct setup *setup, struct reason *why)
{
    const struct conf *conf = setup->conf;
    struct reason detail;
    SSL_CTX *context;

    if (!conf->tls_certificate[0] || !conf->tls_key[0])
        return true;
    setup->cert_pem = read_pem(conf->tls_certificate, IPC_PEM_MAX, &setup->cert_len, why);
    if (setup->cert_pem)
        setup->key_pem = read_pem(conf->tls_key, IPC_PEM_MAX, &setup->key_len, why);
    if (!setup->key_pem)
        return false;
    context = tls_server_context((struct slice){setup->cert_pem, setup->cert_len},
                                 (struct slice){setup->key_pem, setup->key_len}, &detail);
    SSL_CTX_free(context);
    return context || reason_set(why, "tls.certificate %.80s, tls.key %.80s: %.200s",
                                 conf->tls_certificate, conf->tls_key, detail.text);
}

/* "" there is none. */
static bool find_webhook_secret(const struct conf *conf, char *path, size_t cap)
{
    const char *credentials = getenv("CREDENTIALS_DIRECTORY");
    struct text text;

    text_init(&text, path, cap);
    if (conf->webhook_secret_file[0])
        text_add_str(&text, conf->webhook_secret_file);
    else if (credentials)
        text_addf(&text, "%s/" WEBHOOK_CREDENTIAL, credentials);
    return conf->webhook_secret_file[0] || (credentials && access(path, F_OK) == 0);
}

/* Behind a name of its own, so that a signature is never made with nothing. An editor leaves a
 * line end behind the secret. */
static bool load_webhook(struct setup *setup, struct reason *why)
{
    char path[SETUP_PATH_MAX];
    size_t len;

    if (!setup->conf->webhook_url[0])
        return true;
    if (!find_webhook_secret(setup->conf, path, sizeof(path)))
        return reason_set(why, "events.webhook_secret_file is missing: events are signed; name a "
                               "file with a secret, such as one of openssl rand -hex 32");
    setup->webhook_secret = file_read(path, &len, why);
    if (!setup->webhook_secret)
        return false;
    while (len && strchr(" \t\r\n", setup->webhook_secret[len - 1]))
        setup->webhook_secret[--len] = '\0';
    return strlen(setup->webhook_secret) >= WEBHOOK_SECRET_MIN ||
           reason_set(why,
                      "events.webhook_secret_file: %.200s: the secret must have at least %d "
                      "octets, and no NUL",
                      path, WEBHOOK_SECRET_MIN);
}

/* The relay's rule, applied here because sockets are bound per worker. */
static uint32_t worker_count(const struct conf *conf)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t count = conf->workers ? conf->workers : cpus > 0 ? (uint32_t)cpus : 1;

    if (conf->global_concurrency && count > conf->global_concurrency)
        count = conf->global_concurrency;
    return count < WORKERS_MAX ? count : WORKERS_MAX;
}

static bool load_conf(struct setup *setup, const struct cli *cli, struct conf_notes *notes,
                      struct reason *why)
{
    if (!cli_find_config(cli, setup->config_path, sizeof(setup->config_path), why))
        return false;
    setup->conf =
        setup->config_path[0] ? conf_load(setup->config_path, notes, why) : conf_default();
    if (!setup->conf)
        return setup->config_path[0] ? false : reason_set(why, "out of memory");
    if (!cli_apply(cli, setup->conf, why) || !conf_check(setup->conf, notes, why) ||
        !apps_prepare(setup->conf, why))
        return false;
    setup->conf->workers = worker_count(setup->conf);
    return true;
}

struct setup *setup_load(const struct cli *cli, struct conf_notes *notes, struct reason *why)
{
    struct setup *setup = calloc(1, sizeof(*setup));

    if (!setup) {
        reason_set(why, "out of memory");
        return NULL;
    }
    setup->refs = 1;
    if (load_conf(setup, cli, notes, why) && find_ca(setup, why) && load_ca(setup, why) &&
        load_key_pair(setup, why) && load_webhook(setup, why))
        return setup;
    setup_unref(setup);
    return NULL;
}

struct setup *setup_ref(struct setup *setup)
{
    setup->refs++;
    return setup;
}

void setup_unref(struct setup *setup)
{
    if (!setup || --setup->refs)
        return;
    conf_free(setup->conf);
    free(setup->ca_pem);
    free(setup->cert_pem);
    secret_free(&setup->webhook_secret);
    secret_free_len(setup->key_pem, setup->key_pem ? setup->key_len : 0);
    free(setup);
}

void setup_keep_fixed(struct setup *setup, const struct setup *running,
                      void (*kept)(void *owner, const char *option), void *owner)
{
    char memory[16384];
    const char *name;

    while ((name = conf_needs_restart(running->conf, setup->conf))) {
        struct option_target target;
        struct text value;

        text_init(&value, memory, sizeof(memory));
        if (!option_find(setup->conf, name, &target, NULL))
            return; /* cannot be; and no reason to go round for ever */
        option_format(target.row, running->conf, &value);
        if (!option_set(target.row, setup->conf, (struct slice){value.at, value.len}, NULL))
            return;
        *option_origin(&target) =
            *option_origin(&(struct option_target){target.row, running->conf});
        kept(owner, name);
    }
}
