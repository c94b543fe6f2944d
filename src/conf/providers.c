/* Providers: the built-in rows, new ones, ceilings. */
#include "conf/forms.h"
#include "conf/options.h"

struct builtin {
    const char *name, *token_url, *smtp_endpoint, *scope;
    uint32_t ceiling;          /* connections that the provider allows a mailbox; 0 unknown */
    struct conf_limits limits; /* those that it documents */
    const char *app_scope, *authorize_url, *device_url, *authorize_scope, *domains;
    const char *authorize_extra;
};

/* With who signed in, so that a wrong user is noticed. */
#define SIGN_IN "offline_access openid profile email"
#define MICROSOFT(host, call) "https://" host "/common/oauth2/v2.0/" call

/* Microsoft wants the scope in each refresh, Google none; the ceilings are the
 * providers' own and no setting lifts them. Sorted, as conf.h promises. */
static const struct builtin builtins[] = {
    {.name = "default"},
    {.name = "fastmail",
     .token_url = "https://api.fastmail.com/oauth/refresh",
     .smtp_endpoint = "smtp.fastmail.com:465",
     .authorize_url = "https://api.fastmail.com/oauth/authorize",
     .authorize_scope = "https://www.fastmail.com/dev/protocol-smtp offline_access",
     .domains = "fastmail.com, fastmail.fm"},
    {.name = "gmail",
     .token_url = "https://oauth2.googleapis.com/token",
     .smtp_endpoint = "smtp.gmail.com:587",
     .ceiling = 10,
     .limits = {.messages_per_day = 2000, .recipients_per_message = 100},
     .app_scope = "https://mail.google.com/",
     .authorize_url = "https://accounts.google.com/o/oauth2/v2/auth",
     .authorize_scope = "https://mail.google.com/ openid email",
     .authorize_extra = "access_type=offline&prompt=consent",
     .domains = "gmail.com, googlemail.com"},
    {.name = "outlook",
     .token_url = MICROSOFT("login.microsoftonline.com", "token"),
     .smtp_endpoint = "smtp.office365.com:587",
     .scope = "https://outlook.office.com/SMTP.Send offline_access",
     .ceiling = 3,
     .limits = {.messages_per_minute = 30, .recipients_per_day = 10000},
     .app_scope = "https://outlook.office365.com/.default",
     .authorize_url = MICROSOFT("login.microsoftonline.com", "authorize"),
     .device_url = MICROSOFT("login.microsoftonline.com", "devicecode"),
     .authorize_scope = "https://outlook.office.com/SMTP.Send " SIGN_IN,
     .domains = "outlook.com, hotmail.com, live.com, msn.com"},
    /* 21Vianet, China. */
    {.name = "outlook-china",
     .token_url = MICROSOFT("login.partner.microsoftonline.cn", "token"),
     .smtp_endpoint = "smtp.partner.outlook.cn:587",
     .scope = "https://partner.outlook.cn/SMTP.Send offline_access",
     .ceiling = 3,
     .limits = {.messages_per_minute = 30, .recipients_per_day = 10000},
     .app_scope = "https://partner.outlook.cn/.default",
     .authorize_url = MICROSOFT("login.partner.microsoftonline.cn", "authorize"),
     .device_url = MICROSOFT("login.partner.microsoftonline.cn", "devicecode"),
     .authorize_scope = "https://partner.outlook.cn/SMTP.Send " SIGN_IN},
    /* GCC High. The DoD's differs in the server and the scope. */
    {.name = "outlook-us",
     .token_url = MICROSOFT("login.microsoftonline.us", "token"),
     .smtp_endpoint = "smtp.office365.us:587",
     .scope = "https://outlook.office365.us/SMTP.Send offline_access",
     .ceiling = 3,
     .limits = {.messages_per_minute = 30, .recipients_per_day = 10000},
     .app_scope = "https://outlook.office365.us/.default",
     .authorize_url = MICROSOFT("login.microsoftonline.us", "authorize"),
     .device_url = MICROSOFT("login.microsoftonline.us", "devicecode"),
     .authorize_scope = "https://outlook.office365.us/SMTP.Send " SIGN_IN},
    {.name = "yahoo",
     .token_url = "https://api.login.yahoo.com/oauth2/get_token",
     .smtp_endpoint = "smtp.mail.yahoo.com:465",
     .authorize_url = "https://api.login.yahoo.com/oauth2/request_auth",
     .authorize_scope = "mail-w",
     .domains = "yahoo.com, ymail.com, rocketmail.com"},
    {.name = "zoho",
     .token_url = "https://accounts.zoho.com/oauth/v2/token",
     .smtp_endpoint = "smtp.zoho.com:465",
     .authorize_url = "https://accounts.zoho.com/oauth/v2/auth",
     .domains = "zoho.com, zohomail.com"},
};

bool conf_limits_same(const struct conf_limits *a, const struct conf_limits *b)
{
    return a->messages_per_minute == b->messages_per_minute &&
           a->messages_per_hour == b->messages_per_hour &&
           a->messages_per_day == b->messages_per_day &&
           a->recipients_per_day == b->recipients_per_day &&
           a->recipients_per_message == b->recipients_per_message &&
           a->group_messages_per_minute == b->group_messages_per_minute &&
           a->group_messages_per_hour == b->group_messages_per_hour &&
           a->group_messages_per_day == b->group_messages_per_day &&
           a->group_recipients_per_day == b->group_recipients_per_day &&
           a->connections_start == b->connections_start &&
           a->breaker_failures == b->breaker_failures && a->breaker_trials == b->breaker_trials &&
           a->breaker_recovery_ms == b->breaker_recovery_ms && a->rates_on == b->rates_on &&
           a->breaker_on == b->breaker_on;
}

bool conf_prewarm_same(const struct conf_prewarm *a, const struct conf_prewarm *b)
{
    return a->enabled == b->enabled && a->min_connections == b->min_connections &&
           a->max_connections == b->max_connections && a->min_messages == b->min_messages &&
           a->messages_per_connection == b->messages_per_connection &&
           a->concurrency == b->concurrency;
}

/* The same servers under another provider's name, or in an account's record. */
static const struct {
    const char *host;
    uint32_t ceiling;
} hosts[] = {{"smtp.gmail.com", 10},          {"smtp.googlemail.com", 10},
             {"smtp.office365.com", 3},       {"outlook.office365.com", 3},
             {"smtp-mail.outlook.com", 3},    {"smtp.office365.us", 3},
             {"outlook-dod.office365.us", 3}, {"smtp.partner.outlook.cn", 3}};

uint32_t conf_endpoint_ceiling(struct slice endpoint)
{
    const char *colon = endpoint.len ? memchr(endpoint.ptr, ':', endpoint.len) : NULL;

    if (colon)
        endpoint.len = (size_t)(colon - endpoint.ptr);
    if (endpoint.len && endpoint.ptr[endpoint.len - 1] == '.')
        endpoint.len--;
    for (size_t i = 0; i < sizeof(hosts) / sizeof(*hosts); i++) {
        if (slice_equal_nocase(endpoint, slice_of(hosts[i].host)))
            return hosts[i].ceiling;
    }
    return 0;
}

static uint32_t name_ceiling(const char *name)
{
    for (size_t i = 0; i < sizeof(builtins) / sizeof(*builtins); i++) {
        if (strcmp(builtins[i].name, name) == 0)
            return builtins[i].ceiling;
    }
    return 0;
}

const char *conf_builtin_token_url(const char *provider)
{
    for (size_t i = 0; i < sizeof(builtins) / sizeof(*builtins); i++) {
        if (strcmp(builtins[i].name, provider) == 0)
            return builtins[i].token_url ? builtins[i].token_url : "";
    }
    return "";
}

static void fill_defaults(struct conf_provider *provider)
{
    for (size_t i = 0; i < provider_row_count; i++)
        option_set(&provider_rows[i], provider, slice_of(provider_rows[i].fallback), NULL);
}

/* Those that a provider documents; it has no others of its own. */
static void fill_limits(struct conf_provider *provider, const struct conf_limits *from)
{
    const struct {
        const char *option;
        uint32_t value;
        uint32_t *limit;
    } limits[] = {
        {"messages_per_minute", from->messages_per_minute, &provider->limits.messages_per_minute},
        {"messages_per_day", from->messages_per_day, &provider->limits.messages_per_day},
        {"recipients_per_day", from->recipients_per_day, &provider->limits.recipients_per_day},
        {"recipients_per_message", from->recipients_per_message,
         &provider->limits.recipients_per_message},
    };

    for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
        if (!limits[i].value)
            continue;
        *limits[i].limit = limits[i].value;
        provider->origins[scope_option(&scope_provider, limits[i].option) - provider_rows] =
            (struct conf_origin){CONF_DEFAULT, 0};
    }
}

/* What the built-in row has, over whatever the provider had. */
static void fill_builtin(struct conf_provider *provider, const struct builtin *from)
{
    const struct {
        const char *option, *value;
    } values[] = {
        {"token_url", from->token_url},
        {"smtp_endpoint", from->smtp_endpoint},
        {"scope", from->scope},
        {"app_scope", from->app_scope},
        {"authorize_url", from->authorize_url},
        {"device_url", from->device_url},
        {"domains", from->domains},
        {"authorize_scope", from->authorize_scope},
        {"authorize_extra", from->authorize_extra},
    };

    slice_copy(slice_of(from->name), provider->name, sizeof(provider->name));
    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
        const struct option_row *row = scope_option(&scope_provider, values[i].option);

        option_set(row, provider, slice_of(values[i].value ? values[i].value : ""), NULL);
        provider->origins[row - provider_rows] = (struct conf_origin){CONF_DEFAULT, 0};
    }
    fill_limits(provider, &from->limits);
    provider_clamp(provider);
}

void providers_init(struct conf *conf)
{
    for (size_t i = 0; i < sizeof(builtins) / sizeof(*builtins); i++) {
        fill_defaults(&conf->providers[i]);
        fill_builtin(&conf->providers[i], &builtins[i]);
        conf->provider_count++;
    }
}

/* The two that the original had stand for themselves. */
static bool is_follower(const struct builtin *builtin)
{
    return strcmp(builtin->name, "default") != 0 && strcmp(builtin->name, "gmail") != 0 &&
           strcmp(builtin->name, "outlook") != 0;
}

void providers_follow_default(struct conf *conf)
{
    const struct conf_provider *first = provider_find(conf, "default");

    for (size_t i = 0; i < sizeof(builtins) / sizeof(*builtins); i++) {
        struct conf_provider *provider = provider_find(conf, builtins[i].name);

        if (!is_follower(&builtins[i]) || !provider)
            continue;
        *provider = *first;
        fill_builtin(provider, &builtins[i]);
    }
}

struct conf_provider *provider_find(struct conf *conf, const char *name)
{
    for (size_t i = 0; i < conf->provider_count; i++) {
        if (slice_equal_nocase(slice_of(conf->providers[i].name), slice_of(name)))
            return &conf->providers[i];
    }
    return NULL;
}

struct conf_provider *provider_make(struct conf *conf, const char *name, struct reason *why)
{
    struct conf_provider *made = provider_find(conf, name);
    struct conf_provider fresh = *provider_find(conf, "default");
    size_t at = conf->provider_count;

    if (made)
        return made;
    if (!form_is_provider_name(name) || conf->provider_count == CONF_PROVIDERS_MAX) {
        reason_set(why, "\"%.64s\" cannot be a provider: %s", name,
                   conf->provider_count == CONF_PROVIDERS_MAX
                       ? "there are 40 already"
                       : "a name has letters, digits, '-' and '_', at most 63");
        return NULL;
    }
    slice_copy(slice_of(name), fresh.name, sizeof(fresh.name));
    ascii_lower_in_place(fresh.name);
    for (; at > 0 && strcmp(conf->providers[at - 1].name, fresh.name) > 0; at--)
        conf->providers[at] = conf->providers[at - 1];
    conf->providers[at] = fresh;
    conf->provider_count++;
    return &conf->providers[at];
}

bool provider_clamp(struct conf_provider *provider)
{
    uint32_t by_name = name_ceiling(provider->name);
    uint32_t by_host = conf_endpoint_ceiling(slice_of(provider->smtp_endpoint));
    uint32_t ceiling = !by_name || (by_host && by_host < by_name) ? by_host : by_name;

    provider->connection_ceiling = ceiling;
    if (!ceiling || provider->max_connections <= ceiling)
        return false;
    provider->max_connections = ceiling;
    return true;
}

const struct conf_provider *conf_provider(const struct conf *conf, struct slice name)
{
    const struct conf_provider *fallback = &conf->providers[0];

    for (size_t i = 0; i < conf->provider_count; i++) {
        const struct conf_provider *provider = &conf->providers[i];

        if (slice_equal_nocase(slice_of(provider->name), name))
            return provider;
        if (strcmp(provider->name, "default") == 0)
            fallback = provider;
    }
    return fallback;
}

static bool has_domain(const struct conf_provider *provider, struct slice domain)
{
    struct slice rest = slice_of(provider->domains);

    while (rest.len) {
        const char *comma = memchr(rest.ptr, ',', rest.len);
        struct slice one = {rest.ptr, comma ? (size_t)(comma - rest.ptr) : rest.len};

        if (slice_equal_nocase(slice_trim(one), domain))
            return true;
        rest.ptr += one.len + (comma != NULL);
        rest.len -= one.len + (comma != NULL);
    }
    return false;
}

const struct conf_provider *conf_provider_of_domain(const struct conf *conf, struct slice domain)
{
    for (size_t i = 0; domain.len && i < conf->provider_count; i++) {
        if (has_domain(&conf->providers[i], domain))
            return &conf->providers[i];
    }
    return NULL;
}
