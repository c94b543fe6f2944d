#include "broker/store/record_grant.h"

#include "base/date.h"
#include "broker/store/service_account.h"

const char *const record_grant_names[RECORD_GRANTS] = {"refresh_token", "client_credentials",
                                                       "service_account"};

struct slice record_common_tenant(const char *url)
{
    static const char *const names[] = {"/common/", "/organizations/", "/consumers/"};
    const char *path = strlen(url) > 8 ? strchr(url + 8, '/') : NULL;

    for (size_t i = 0; path && i < sizeof(names) / sizeof(*names); i++) {
        if (strncmp(path, names[i], strlen(names[i])) == 0)
            return (struct slice){path + 1, strlen(names[i]) - 2};
    }
    return SLICE_NONE;
}

static bool is_common(const char *tenant)
{
    return strcmp(tenant, "common") == 0 || strcmp(tenant, "organizations") == 0 ||
           strcmp(tenant, "consumers") == 0;
}

/* --- the application ------------------------------------------------------------- */

static bool refuse_app(const char *name, const struct conf *conf, struct reason *why)
{
    char memory[200];
    struct text known;

    text_init(&known, memory, sizeof(memory));
    for (size_t i = 0; i < conf->app_count && i < 8; i++)
        text_addf(&known, "%s%s", i ? ", " : "", conf->apps[i].name);
    if (conf->app_count > 8)
        text_add_str(&known, "...");
    return reason_set(why, "\"app\": there is no application \"%s\" in the configuration; %s%s",
                      name, conf->app_count ? "it has " : "it has none: describe it in apps.NAME",
                      memory);
}

/* What would say twice who the account is. */
static bool check_alone(const struct record_draft *draft, struct reason *why)
{
    const struct account_record *record = &draft->record;
    const char *key = record->client_id[0]       ? "client_id"
                      : record->client_secret[0] ? "client_secret"
                      : draft->private_key[0]    ? "private_key"
                      : draft->certificate[0]    ? "certificate"
                      : draft->service_account   ? "service_account"
                                                 : NULL;

    return !key || reason_set(why,
                              "\"%s\" comes from the application \"%s\" of the configuration: "
                              "leave it out, or \"app\"",
                              key, draft->app->name);
}

bool record_take_app(struct record_draft *draft, const struct conf *conf, struct reason *why)
{
    struct account_record *record = &draft->record;
    const struct conf_app *app = draft->app = conf_app(conf, record->app);

    if (!record->app[0])
        return true;
    if (!app)
        return refuse_app(record->app, conf, why);
    if (!check_alone(draft, why))
        return false;
    if (!slice_equal_nocase(slice_of(record->provider), slice_of(app->provider)))
        return reason_set(why, "\"provider\" must be \"%s\", that of the application \"%s\"",
                          app->provider, app->name);
    draft->own_endpoint = record->endpoint;
    draft->own_token_url = record->token_url;
    record->endpoint = "";
    record->token_url = app->token_url;
    record->app = app->name;
    record->client_id = app->client_id;
    record->client_secret =
        app->files && app->files->client_secret ? app->files->client_secret : app->client_secret;
    if (!record->scope[0])
        record->scope = app->scope;
    form_add_encoded(&draft->extra, app->extra);
    if (draft->extra.len)
        record->extra = draft->extra.at;
    return !draft->extra.failed || reason_set(why, "out of memory");
}

/* --- the grant --------------------------------------------------------------------- */

static const char *app_file(const struct record_draft *draft, size_t offset)
{
    const struct conf_app_files *files = draft->app ? draft->app->files : NULL;

    return files ? *(char *const *)(const void *)((const char *)files + offset) : NULL;
}

#define APP_FILE(draft, member) app_file(draft, offsetof(struct conf_app_files, member))

/* The application itself can ask only where the tenant is known; a record that lacks both
 * refresh token and tenant more likely lacks its refresh token. */
static bool may_be_application(const struct record_draft *draft)
{
    const struct account_record *record = &draft->record;

    if (draft->app || draft->private_key[0])
        return true;
    return record->client_secret[0] && record->tenant[0] && !is_common(record->tenant);
}

static enum record_grant choose(const struct record_draft *draft)
{
    if (draft->wanted_grant)
        return (enum record_grant)(draft->wanted_grant - 1);
    if (draft->app && draft->app->grant != CONF_GRANT_AUTO)
        return (enum record_grant)(draft->app->grant - 1);
    if (draft->record.refresh_token[0])
        return GRANT_REFRESH_TOKEN;
    if (draft->service_account || APP_FILE(draft, service_account))
        return GRANT_SERVICE_ACCOUNT;
    return may_be_application(draft) ? GRANT_CLIENT_CREDENTIALS : GRANT_REFRESH_TOKEN;
}

/* The configuration's enumeration has "auto" before ours. */
_Static_assert((int)CONF_GRANT_REFRESH_TOKEN == (int)GRANT_REFRESH_TOKEN + 1 &&
                   (int)CONF_GRANT_SERVICE_ACCOUNT == (int)GRANT_SERVICE_ACCOUNT + 1,
               "grants are in the same order");

static bool take_key(struct record_draft *draft, const char *key, const char *certificate,
                     const char *id, const char *field, struct reason *why)
{
    struct reason detail;

    draft->record.key = signing_key_get(key, certificate, id, &detail);
    return draft->record.key || reason_set(why, "\"%s\": the private key %s", field, detail.text);
}

/* --- service accounts ------------------------------------------------------------- */

static bool take_service_account(struct record_draft *draft, struct reason *why)
{
    struct account_record *record = &draft->record;
    const char *field = draft->app ? "app" : "service_account", *fault;
    const char *file = APP_FILE(draft, service_account);
    struct service_account account;

    if (file)
        draft->service_account = draft->app_service_account = json_loads(file, 0, NULL);
    if (!draft->service_account)
        return reason_set(why, "\"%s\": %s", field,
                          draft->app ? "the application has no key of a service account"
                                     : "is missing: the key that Google gives out, as an object");
    fault = service_account_read(draft->service_account, &account);
    if (fault)
        return reason_set(why, "\"%s\" %s", field, fault);
    record->client_id = account.email;
    record->client_secret = "";
    if (!record->token_url[0])
        record->token_url = account.token_uri;
    return take_key(draft, account.private_key, "", account.key_id, field, why);
}

/* --- applications that prove who they are ------------------------------------------- */

static bool take_client_key(struct record_draft *draft, struct reason *why)
{
    const char *key = APP_FILE(draft, key), *certificate = APP_FILE(draft, certificate);

    if (key)
        return take_key(draft, key, certificate ? certificate : "", "", "app", why);
    if (draft->certificate[0] && !draft->private_key[0])
        return reason_set(why, "\"private_key\" is missing: a certificate is of no use without it");
    if (!draft->private_key[0])
        return true;
    if (draft->record.client_secret[0])
        return reason_set(why, "\"private_key\": there is a \"client_secret\" as well; an "
                               "application proves who it is by one of them");
    return take_key(draft, draft->private_key, draft->certificate, "", "private_key", why);
}

/* Of a certificate it is known. */
static void take_expiry(struct record_draft *draft)
{
    struct account_record *record = &draft->record;
    const char *day = draft->secret_expires;

    if (!day[0] && draft->app)
        day = draft->app->secret_expires;
    if (record->key)
        record->secret_expires_ms = record->key->expires_wall_ms;
    else if (record->client_secret[0] && day[0])
        date_parse_day(day, &record->secret_expires_ms);
}

/* The reference demands a secret with Gmail; a client of a kind that has none says so. */
static bool check_refresh(const struct record_draft *draft, const json_t *object,
                          struct reason *why)
{
    const struct account_record *record = &draft->record;

    if (!record->refresh_token[0])
        return reason_set(why, "\"refresh_token\" is missing%s",
                          record->client_secret[0] && strncmp(record->provider, "outlook", 7) == 0
                              ? "; an account whose application sends for it (client credentials) "
                                "needs the \"tenant\" in its place"
                              : "");
    if (strcmp(record->provider, "gmail") != 0 || record->client_secret[0] || record->key ||
        draft->app || json_is_string(json_object_get(object, "client_secret")))
        return true;
    return reason_set(why, "\"client_secret\" is missing; write \"\" for a client of Google that "
                           "has none");
}

static bool check_credentials(const struct record_draft *draft, struct reason *why)
{
    const struct account_record *record = &draft->record;

    if (record->client_secret[0] || record->key)
        return true;
    return reason_set(why,
                      "\"client_secret\" is missing: client credentials need %s, or "
                      "\"private_key\" and \"certificate\"",
                      draft->app ? "the application's" : "it");
}

bool record_take_grant(struct record_draft *draft, const json_t *object, struct reason *why)
{
    struct account_record *record = &draft->record;

    record->grant = (uint8_t)choose(draft);
    record->assertion = (uint8_t)(draft->app ? draft->app->assertion : draft->assertion);
    if (record->grant == GRANT_SERVICE_ACCOUNT)
        return take_service_account(draft, why);
    if (!record->client_id[0])
        return reason_set(why, "\"client_id\" is missing");
    if (!take_client_key(draft, why))
        return false;
    take_expiry(draft);
    return record->grant == GRANT_REFRESH_TOKEN ? check_refresh(draft, object, why)
                                                : check_credentials(draft, why);
}

/* --- where secrets go ----------------------------------------------------------------- */

static bool check_same(const struct record_draft *draft, const char *field, const char *own,
                       const char *right, struct reason *why)
{
    if (!own[0] || strcmp(own, right) == 0)
        return true;
    return reason_set(why,
                      "\"%s\": \"%.80s\" is not that of the application \"%s\", whose secrets "
                      "and tokens go to %.80s only; leave it out",
                      field, own, draft->app->name, right);
}

static bool is_microsoft(const char *url)
{
    return slice_starts_nocase(slice_of(url), SLICE("https://login.microsoftonline.")) ||
           slice_starts_nocase(slice_of(url), SLICE("https://login.partner.microsoftonline."));
}

bool record_check_place(const struct record_draft *draft, struct reason *why)
{
    const struct account_record *record = &draft->record;

    if (draft->app &&
        (!check_same(draft, "oauth_endpoint", draft->own_endpoint, record->endpoint, why) ||
         !check_same(draft, "oauth_token_url", draft->own_token_url, record->token_url, why)))
        return false;
    if (record->grant == GRANT_CLIENT_CREDENTIALS && record_common_tenant(record->token_url).len)
        return reason_set(why,
                          "\"tenant\" is missing: client credentials need the directory's own "
                          "id or domain in the token URL, in place of \"%.*s\"",
                          (int)record_common_tenant(record->token_url).len,
                          record_common_tenant(record->token_url).ptr);
    if (record->key && record->grant != GRANT_SERVICE_ACCOUNT && !record->key->sha256[0] &&
        is_microsoft(record->token_url))
        return reason_set(why, "\"certificate\" is missing: Microsoft knows the key by it");
    return true;
}
