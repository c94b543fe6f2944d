#include "broker/apps.h"

#include "broker/signing_key.h"
#include "broker/store/service_account.h"

static bool check_key(const struct conf_app *app, const char *option, const char *path,
                      const char *key, const char *certificate, struct reason *why)
{
    struct reason detail;
    const struct signing_key *parsed =
        signing_key_get(key, certificate ? certificate : "", "", &detail);

    signing_key_unref(parsed);
    return parsed || reason_set(why, "apps.%s.%s: %.120s: the private key %s", app->name, option,
                                path, detail.text);
}

static bool check_service_account(const struct conf_app *app, struct reason *why)
{
    json_t *object = json_loads(app->files->service_account, 0, NULL);
    struct service_account account;
    const char *fault = service_account_read(object, &account);
    bool ok = !fault || reason_set(why, "apps.%s.service_account: %.120s: it %s", app->name,
                                   app->service_account, fault);

    if (ok)
        ok =
            check_key(app, "service_account", app->service_account, account.private_key, NULL, why);
    json_decref(object);
    return ok;
}

bool apps_prepare(struct conf *conf, struct reason *why)
{
    if (!conf_read_app_files(conf, why))
        return false;
    for (size_t i = 0; i < conf->app_count; i++) {
        const struct conf_app *app = &conf->apps[i];

        if (app->files->key &&
            !check_key(app, "key", app->key, app->files->key, app->files->certificate, why))
            return false;
        if (app->files->service_account && !check_service_account(app, why))
            return false;
    }
    return true;
}
