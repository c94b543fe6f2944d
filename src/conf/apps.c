/* Applications: one profile each, and the files that it names. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "base/wipe.h"
#include "conf/forms.h"
#include "conf/options.h"

#define FILE_MAX 65536u

static void free_files(struct conf_app_files *files)
{
    if (!files)
        return;
    secret_free(&files->client_secret);
    secret_free(&files->certificate);
    secret_free(&files->key);
    secret_free(&files->service_account);
    free(files);
}

void apps_clear(struct conf *conf)
{
    for (size_t i = 0; i < conf->app_count; i++)
        free_files(conf->apps[i].files);
    secret_free_len(conf->apps, conf->app_count * sizeof(*conf->apps));
    conf->apps = NULL;
    conf->app_count = 0;
}

static struct conf_app *find(const struct conf *conf, const char *name)
{
    for (size_t i = 0; i < conf->app_count; i++) {
        if (slice_equal_nocase(slice_of(conf->apps[i].name), slice_of(name)))
            return &conf->apps[i];
    }
    return NULL;
}

const struct conf_app *conf_app(const struct conf *conf, const char *name)
{
    return find(conf, name);
}

static void init(struct conf_app *app, const char *name)
{
    *app = (struct conf_app){.files = NULL};
    slice_copy(slice_of(name), app->name, sizeof(app->name));
    ascii_lower_in_place(app->name);
    for (size_t i = 0; i < app_row_count; i++)
        option_set(&app_rows[i], app, slice_of(app_rows[i].fallback), NULL);
}

/* No realloc: it could leave a secret behind. */
static struct conf_app *insert(struct conf *conf, const char *name)
{
    struct conf_app *apps = calloc(conf->app_count + 1, sizeof(*apps));
    size_t at = 0;

    if (!apps)
        return NULL;
    if (conf->apps) {
        while (at < conf->app_count && strcasecmp(conf->apps[at].name, name) < 0)
            at++;
        memcpy(apps, conf->apps, at * sizeof(*apps));
        memcpy(apps + at + 1, conf->apps + at, (conf->app_count - at) * sizeof(*apps));
    }
    init(&apps[at], name);
    secret_free_len(conf->apps, conf->app_count * sizeof(*apps));
    conf->apps = apps;
    conf->app_count++;
    return &apps[at];
}

struct conf_app *app_make(struct conf *conf, const char *name, struct reason *why)
{
    struct conf_app *app = find(conf, name);

    if (app)
        return app;
    if (!form_is_provider_name(name) || conf->app_count == CONF_APPS_MAX) {
        reason_set(why, "\"%.64s\" cannot be an application: %s", name,
                   conf->app_count == CONF_APPS_MAX
                       ? "there are 1000 already"
                       : "a name has letters, digits, '-' and '_', at most 63");
        return NULL;
    }
    app = insert(conf, name);
    if (!app)
        reason_set(why, "out of memory");
    return app;
}

/* --- checks ------------------------------------------------------------------ */

static bool refuse(const struct conf_app *app, const char *option, const char *what,
                   struct reason *why)
{
    return reason_set(why, "apps.%s.%s: %s", app->name, option, what);
}

static bool check_provider(const struct conf *conf, const struct conf_app *app, struct reason *why)
{
    const struct conf_provider *provider = conf_provider(conf, slice_of(app->provider));

    if (!app->provider[0])
        return refuse(app, "provider",
                      "is missing: name gmail, outlook or another provider of the configuration, "
                      "so that its secrets are sent nowhere else",
                      why);
    if (!slice_equal_nocase(slice_of(provider->name), slice_of(app->provider)))
        return reason_set(why, "apps.%s.provider: \"%s\" is not known; describe it in providers.%s",
                          app->name, app->provider, app->provider);
    if (!provider->token_url[0] && !app->token_url[0])
        return refuse(app, "token_url", "is missing, and its provider has none", why);
    return true;
}

/* Ways to say who it is that exclude each other. */
static bool check_identity(const struct conf_app *app, struct reason *why)
{
    bool secret = app->client_secret[0] || app->client_secret_file[0];

    if (app->client_secret[0] && app->client_secret_file[0])
        return refuse(app, "client_secret_file", "there is a client_secret as well: name one", why);
    if (app->certificate[0] && !app->key[0])
        return refuse(app, "key", "is missing: a certificate is of no use without its key", why);
    if (secret && app->key[0])
        return refuse(app, "key",
                      "there is a secret as well: an application proves who it is by "
                      "one of them",
                      why);
    if (app->service_account[0] && (secret || app->key[0]))
        return refuse(app, "service_account", "needs no secret and no other key", why);
    if (app->grant == CONF_GRANT_SERVICE_ACCOUNT && !app->service_account[0])
        return refuse(app, "service_account", "is missing, and grant is service_account", why);
    if (!app->client_id[0] && !app->service_account[0])
        return refuse(app, "client_id", "is missing", why);
    return true;
}

bool apps_check(const struct conf *conf, struct reason *why)
{
    for (size_t i = 0; i < conf->app_count; i++) {
        if (!check_provider(conf, &conf->apps[i], why) || !check_identity(&conf->apps[i], why))
            return false;
    }
    return true;
}

/* --- files -------------------------------------------------------------------- */

/* At most FILE_MAX octets, with a NUL behind them. */
static char *read_all(int fd, struct reason *why)
{
    char *text = malloc(FILE_MAX + 1);
    size_t len = 0;
    ssize_t got = 1;

    while (text && got > 0 && len <= FILE_MAX) {
        got = read(fd, text + len, FILE_MAX + 1 - len);
        if (got < 0 && errno == EINTR)
            got = 1;
        else if (got > 0)
            len += (size_t)got;
    }
    if (text && got == 0 && len && !memchr(text, '\0', len)) {
        text[len] = '\0';
        return text;
    }
    reason_set(why, "%s",
               !text            ? "out of memory"
               : got < 0        ? strerror(errno)
               : len > FILE_MAX ? "it is larger than 65536 octets"
               : len == 0       ? "it is empty"
                                : "it is no text");
    secret_free_len(text, text ? FILE_MAX + 1 : 0);
    return NULL;
}

static bool read_file(const struct conf_app *app, const char *option, const char *path, char **out,
                      struct reason *why)
{
    struct reason detail;
    int fd;

    if (!path[0])
        return true;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not stop us */
    if (fd < 0)
        return reason_set(why, "apps.%s.%s: %s: %s", app->name, option, path, strerror(errno));
    *out = read_all(fd, &detail);
    close(fd);
    return *out || reason_set(why, "apps.%s.%s: %s: %s", app->name, option, path, detail.text);
}

/* An editor leaves a line end behind it. */
static bool trim_secret(const struct conf_app *app, char *secret, struct reason *why)
{
    size_t len = strlen(secret);

    while (len && strchr(" \t\r\n", secret[len - 1]))
        secret[--len] = '\0';
    if (len && len < CONF_TEXT_MAX && form_secret.matches(secret))
        return true;
    return reason_set(why,
                      "apps.%s.client_secret_file: %s: what it holds must be %s, at most "
                      "%d octets",
                      app->name, app->client_secret_file, form_secret.expects, CONF_TEXT_MAX - 1);
}

static bool read_files(struct conf_app *app, struct reason *why)
{
    struct conf_app_files *files = app->files;

    return read_file(app, "client_secret_file", app->client_secret_file, &files->client_secret,
                     why) &&
           (!files->client_secret || trim_secret(app, files->client_secret, why)) &&
           read_file(app, "certificate", app->certificate, &files->certificate, why) &&
           read_file(app, "key", app->key, &files->key, why) &&
           read_file(app, "service_account", app->service_account, &files->service_account, why);
}

bool conf_read_app_files(struct conf *conf, struct reason *why)
{
    for (size_t i = 0; i < conf->app_count; i++) {
        struct conf_app *app = &conf->apps[i];

        free_files(app->files);
        app->files = calloc(1, sizeof(*app->files));
        if (!app->files)
            return reason_set(why, "out of memory");
        if (!read_files(app, why))
            return false;
    }
    return true;
}
