/* Providers: the built-in rows, new ones, ceilings. */
#include "conf/forms.h"
#include "conf/options.h"

struct builtin {
    const char *name, *token_url, *smtp_endpoint, *scope;
    uint32_t ceiling;          /* connections that the provider allows a mailbox; 0 unknown */
    struct conf_limits limits; /* those that it documents */
};

/* Microsoft wants the scope in each refresh, Google none; the ceilings are the
 * providers' own and no setting lifts them. Sorted, as conf.h promises. */
static const struct builtin builtins[] = {
    {"default", "", "", "", 0, {0}},
    {"gmail",
     "https://oauth2.googleapis.com/token",
     "smtp.gmail.com:587",
     "",
     10,
     {.messages_per_day = 2000, .recipients_per_message = 100}},
    {"outlook",
     "https://login.microsoftonline.com/common/oauth2/v2.0/token",
     "smtp.office365.com:587",
     "https://outlook.office.com/SMTP.Send offline_access",
     3,
     {.messages_per_minute = 30, .recipients_per_day = 10000}},
};

bool conf_limits_same(const struct conf_limits *a, const struct conf_limits *b)
{
    return a->messages_per_minute == b->messages_per_minute &&
           a->messages_per_hour == b->messages_per_hour &&
           a->messages_per_day == b->messages_per_day &&
           a->recipients_per_day == b->recipients_per_day &&
           a->recipients_per_message == b->recipients_per_message &&
           a->connections_start == b->connections_start &&
           a->breaker_failures == b->breaker_failures && a->breaker_trials == b->breaker_trials &&
           a->breaker_recovery_ms == b->breaker_recovery_ms && a->rates_on == b->rates_on &&
           a->breaker_on == b->breaker_on;
}

/* The same servers under another provider's name, or in an account's record. */
static const struct {
    const char *host;
    uint32_t ceiling;
} hosts[] = {{"smtp.gmail.com", 10},
             {"smtp.googlemail.com", 10},
             {"smtp.office365.com", 3},
             {"outlook.office365.com", 3},
             {"smtp-mail.outlook.com", 3}};

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
            return builtins[i].token_url;
    }
    return "";
}

static void fill_defaults(struct conf_provider *provider)
{
    for (size_t i = 0; i < provider_row_count; i++)
        option_set(&provider_rows[i], provider, slice_of(provider_rows[i].fallback), NULL);
}

void providers_init(struct conf *conf)
{
    for (size_t i = 0; i < sizeof(builtins) / sizeof(*builtins); i++) {
        struct conf_provider *provider = &conf->providers[i];
        const struct builtin *from = &builtins[i];

        fill_defaults(provider);
        slice_copy(slice_of(from->name), provider->name, sizeof(provider->name));
        slice_copy(slice_of(from->token_url), provider->token_url, sizeof(provider->token_url));
        slice_copy(slice_of(from->smtp_endpoint), provider->smtp_endpoint,
                   sizeof(provider->smtp_endpoint));
        slice_copy(slice_of(from->scope), provider->scope, sizeof(provider->scope));
        provider->limits.messages_per_minute = from->limits.messages_per_minute;
        provider->limits.messages_per_day = from->limits.messages_per_day;
        provider->limits.recipients_per_day = from->limits.recipients_per_day;
        provider->limits.recipients_per_message = from->limits.recipients_per_message;
        provider_clamp(provider);
        conf->provider_count++;
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
                       ? "there are 32 already"
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
