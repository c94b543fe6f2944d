#include "broker/admin/candidate.h"

#include <stdio.h>

#include "broker/broker.h"
#include "broker/store/record_fields.h"

#define MICROSOFT_CONSUMERS "https://login.live.com/oauth20_token.srf"

static const char *const consumer_domains[] = {"hotmail.com", "outlook.com", "live.com", "msn.com",
                                               NULL};

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

static bool has(const json_t *object, const char *key)
{
    return json_object_get(object, key) != NULL;
}

/* A switch of the request, which is no key of the record: taken out of it. */
static bool take_flag(json_t *object, const char *key, bool fallback, bool *out, struct reason *why)
{
    json_t *value = json_object_get(object, key);

    *out = value && !json_is_null(value) ? json_is_true(value) : fallback;
    if (value && !json_is_boolean(value) && !json_is_null(value))
        return reason_set(why, "\"%s\" must be true or false", key);
    json_object_del(object, key);
    return true;
}

/* The original's API ignored what it did not know, and its file may not hold it. */
static void drop_unknown(json_t *object)
{
    const char *key;
    json_t *value;
    void *next;

    json_object_foreach_safe(object, next, key, value)
    {
        if (key[0] != '_' && !record_knows(key))
            json_object_del(object, key);
    }
}

static void set_default(json_t *object, const char *key, const char *value)
{
    if (!has(object, key))
        json_object_set_new(object, key, json_string(value));
}

static bool is_consumer(const char *email)
{
    const char *at = strrchr(email, '@');

    for (size_t i = 0; at && consumer_domains[i]; i++) {
        if (slice_equal_nocase(slice_of(at + 1), slice_of(consumer_domains[i])))
            return true;
    }
    return false;
}

/* The provider's, but for Microsoft's consumer mailboxes. */
static const char *token_url_of(const struct conf_provider *provider, const char *email)
{
    if (strcmp(provider->name, "outlook") == 0 && is_consumer(email) &&
        strcmp(provider->token_url, conf_builtin_token_url("outlook")) == 0)
        return MICROSOFT_CONSUMERS;
    return provider->token_url;
}

/* What the original wrote of an account that named nothing more. */
static void fill_defaults(json_t *object, struct broker *broker, const struct conf *conf)
{
    const char *email = text_of(object, "email"), *name = text_of(object, "provider");
    const struct conf_provider *provider = conf_provider(conf, slice_of(name));
    char memory[512], lower[CONF_NAME_MAX];
    struct text vmta;

    slice_copy(slice_of(name), lower, sizeof(lower));
    ascii_lower_in_place(lower);
    if (!text_of(object, "account_id")[0]) {
        json_object_del(object, "account_id");
        if (record_id(object, memory, sizeof(memory)))
            set_default(object, "account_id", memory);
    }
    text_init(&vmta, memory, sizeof(memory));
    text_addf(&vmta, "vmta-%s-", lower);
    text_add(&vmta, email, strcspn(email, "@"));
    set_default(object, "vmta_name", memory);
    if (!has(object, "ip_address")) {
        addresses_assign(&broker->registry.addresses, memory);
        set_default(object, "ip_address", memory);
    }
    if (strcmp(provider->name, lower) != 0)
        return; /* it is not known, and must name both itself */
    if (text_of(object, "app")[0])
        return; /* the application knows both */
    if (provider->smtp_endpoint[0])
        set_default(object, "oauth_endpoint", provider->smtp_endpoint);
    /* A service account's key tells its own. */
    if (provider->token_url[0] && !has(object, "tenant") && !has(object, "service_account"))
        set_default(object, "oauth_token_url", token_url_of(provider, email));
}

static void keep_text(json_t *object, const char *key, const char *value)
{
    if (value[0])
        set_default(object, key, value);
}

/* A null is no value, and takes the place of one in the store. */
static void forget(json_t *object, const char *key)
{
    if (!has(object, key))
        json_object_set_new(object, key, json_null());
}

static const char *const grant_keys[] = {
    "grant", "app", "refresh_token", "private_key", "certificate", "assertion", "service_account"};

/* Those keys whose meaning hangs on others: of another provider or application
 * nothing is kept. Everything else the store keeps by itself. */
static void keep_existing(json_t *object, const struct account *account, struct broker *broker,
                          const struct conf *conf)
{
    const struct account_record *record = account->record;
    const struct conf_provider *provider = conf_provider(conf, slice_of(record->provider));
    bool same_url;

    /* How it gets tokens is what the request says, as a whole. */
    for (size_t i = 0; i < sizeof(grant_keys) / sizeof(*grant_keys); i++)
        forget(object, grant_keys[i]);
    if (text_of(object, "app")[0] || record->app[0]) {
        forget(object, "oauth_endpoint");
        forget(object, "oauth_token_url");
    }
    if (slice_equal_nocase(slice_of(text_of(object, "provider")), slice_of(record->provider))) {
        keep_text(object, "oauth_endpoint", record->endpoint);
        if (!has(object, "tenant") && !has(object, "service_account"))
            keep_text(object, "oauth_token_url", record->token_url);
        if (strcmp(record->scope, provider->scope) != 0)
            keep_text(object, "scope", record->scope);
    } else {
        forget(object, "scope");
        forget(object, "tenant");
    }
    /* Nor is a secret of the old ones sent to a place that the request names. */
    same_url = text_of(object, "oauth_token_url")[0] == '\0' ||
               strcmp(text_of(object, "oauth_token_url"), record->token_url) == 0;
    if (same_url && !record->app[0] && strcmp(text_of(object, "client_id"), record->client_id) == 0)
        keep_text(object, "client_secret", record->client_secret);
    else
        forget(object, "client_secret");
    if (!same_url)
        forget(object, "extra");
    keep_text(object, "account_id", record->id);
    keep_text(object, "vmta_name", record->vmta_name);
    set_default(object, "ip_address", record->source_address);
    fill_defaults(object, broker, conf);
}

static struct account *existing(const struct broker *broker, const json_t *object)
{
    return registry_by_login(&broker->registry, slice_of(text_of(object, "email")));
}

static bool is_free(const struct candidate *candidate, const struct broker *broker,
                    struct reason *why)
{
    const struct account *same_id =
        registry_by_id(&broker->registry, slice_of(candidate->record->id));

    if (!same_id || strcmp(same_id->record->login, candidate->record->login) == 0)
        return true;
    return reason_set(why, "\"account_id\": \"%.80s\" is that of %.120s; give another",
                      same_id->record->id, same_id->record->email);
}

static bool fill(struct candidate *candidate, struct broker *broker, const struct conf *conf,
                 struct reason *why)
{
    json_t *object = candidate->object;
    struct account *account;

    if (!take_flag(object, "verify", true, &candidate->verify, why) ||
        !take_flag(object, "overwrite", false, &candidate->overwrite, why))
        return false;
    drop_unknown(object);
    account = existing(broker, object);
    if (account && !candidate->overwrite) {
        candidate->exists = true;
        return reason_set(why,
                          "\"email\": %.200s is an account already; \"overwrite\": true "
                          "replaces it",
                          account->record->email);
    }
    if (account)
        keep_existing(object, account, broker, conf);
    else
        fill_defaults(object, broker, conf);
    return true;
}

bool candidate_make(struct candidate *candidate, struct broker *broker, const struct conf *conf,
                    const json_t *object, struct reason *why)
{
    struct problems problems = {NULL, 0, 0, 0, 0};

    *candidate = (struct candidate){.object = NULL};
    if (!json_is_object(object))
        return reason_set(why, "a record must be an object");
    candidate->object = json_copy((json_t *)(uintptr_t)object);
    if (!candidate->object)
        return reason_set(why, "out of memory");
    if (fill(candidate, broker, conf, why)) {
        candidate->record = record_parse(candidate->object, conf, "request", &problems, why);
        problems_clear(&problems);
    }
    if (candidate->record && is_free(candidate, broker, why))
        return true;
    record_free(candidate->record);
    json_decref(candidate->object);
    candidate->record = NULL;
    candidate->object = NULL;
    return false;
}

void candidate_field(const char *reason, char *out, size_t cap)
{
    size_t len = reason[0] == '"' ? strcspn(reason + 1, "\"") : 0;

    slice_copy((struct slice){reason + 1, len}, out, cap);
}
