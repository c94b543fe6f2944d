#include "broker/admin/candidate.h"

#include <stdio.h>

#include "broker/broker.h"
#include "broker/form.h"
#include "broker/store/record_fields.h"

#define MICROSOFT_CONSUMERS "https://login.live.com/oauth20_token.srf"

static const char *const consumer_domains[] = {"hotmail.com", "outlook.com", "live.com", "msn.com",
                                               NULL};

const char candidate_superseded[] = "\"refresh_token\": the token endpoint has replaced this one, "
                                    "and the account has the newer one: "
                                    "leave it out, or sign in again for another";

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

static bool is_same_provider(const json_t *object, const struct account_record *record)
{
    return slice_equal_nocase(slice_of(text_of(object, "provider")), slice_of(record->provider));
}

/* How an account gets its tokens is what the request says, as a whole. */
static void forget_grant(json_t *object)
{
    static const char *const keys[] = {"grant",       "app",       "refresh_token",  "private_key",
                                       "certificate", "assertion", "service_account"};

    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
        forget(object, keys[i]);
    if (text_of(object, "app")[0])
        forget(object, "client_id"); /* the application has one */
}

/* Those keys whose meaning hangs on others: of another provider or application
 * nothing is kept. Everything else the store keeps by itself. */
static void forget_foreign(json_t *object, const struct account_record *record)
{
    bool same_provider = is_same_provider(object, record);
    bool has_app = text_of(object, "app")[0] || record->app[0];
    /* Nor is a secret of the old ones sent to a place that the request names. */
    bool same_url = has(object, "oauth_token_url")
                        ? strcmp(text_of(object, "oauth_token_url"), record->token_url) == 0
                        : same_provider;
    /* Nor is a token that an old secret alone gives. */
    bool same_endpoint = !text_of(object, "oauth_endpoint")[0] ||
                         strcmp(text_of(object, "oauth_endpoint"), record->endpoint) == 0;
    bool own_url = has(object, "tenant") || has(object, "service_account") || has_app;

    if (!same_provider) {
        forget(object, "scope");
        forget(object, "tenant");
    }
    if (!same_provider || has_app)
        forget(object, "oauth_endpoint");
    if (!same_provider || own_url)
        forget(object, "oauth_token_url");
    if (!same_url || !same_endpoint || has_app ||
        strcmp(text_of(object, "client_id"), record->client_id) != 0)
        forget(object, "client_secret");
    if (!same_url || has_app)
        forget(object, "extra");
    forget_grant(object);
}

static void add_pair(void *object, const char *key, struct slice value)
{
    json_object_set_new(object, key, json_stringn(value.ptr, value.len));
}

static void keep_extra(json_t *kept, const char *pairs)
{
    json_t *extra = json_object();

    if (pairs[0] && form_each(pairs, add_pair, extra))
        json_object_set(kept, "extra", extra);
    json_decref(extra);
}

/* What the store will keep, as the account has it now. */
static json_t *kept_of(const json_t *object, const struct account_record *record,
                       const struct conf *conf)
{
    const struct conf_provider *provider = conf_provider(conf, slice_of(record->provider));
    json_t *kept = json_object();

    if (is_same_provider(object, record)) {
        keep_text(kept, "oauth_endpoint", record->endpoint);
        keep_text(kept, "oauth_token_url", record->token_url);
        keep_text(kept, "tenant", record->tenant);
        if (strcmp(record->scope, provider->scope) != 0 &&
            strcmp(record->scope, provider->app_scope) != 0)
            keep_text(kept, "scope", record->scope);
    }
    keep_text(kept, "client_secret", record->client_secret);
    keep_extra(kept, record->extra);
    keep_text(kept, "account_id", record->id);
    /* None is a choice, too. */
    set_default(kept, "vmta_name", record->vmta_name);
    set_default(kept, "ip_address", record->source_address);
    return kept;
}

static void drop_nulls(json_t *object)
{
    const char *key;
    json_t *value;
    void *next;

    json_object_foreach_safe(object, next, key, value)
    {
        if (json_is_null(value))
            json_object_del(object, key);
    }
}

/* The record as it will be, for checks and for the token endpoint. What is the
 * account's already is not made part of the object that is stored: it may be changed
 * while the endpoint is asked. NULL: memory is out. */
static json_t *replace_existing(json_t *object, const struct account *account,
                                struct broker *broker, const struct conf *conf)
{
    json_t *kept, *whole, *value;
    const char *key;

    forget_foreign(object, account->record);
    kept = kept_of(object, account->record, conf);
    whole = json_copy(kept);
    json_object_update(whole, object);
    drop_nulls(whole);
    fill_defaults(whole, broker, conf);
    json_object_foreach(whole, key, value)
    {
        if (!has(kept, key))
            json_object_set(object, key, value);
    }
    json_decref(kept);
    return whole;
}

/* The store may have a record that is no account: one that cannot serve, or that
 * somebody has just written. Its secrets are not for the place that the request names. */
static void forget_unseen(json_t *object)
{
    forget(object, "client_secret");
    forget(object, "extra");
    forget_grant(object);
}

/* Nor are those of the request for the place that such a record names. */
static void forget_unseen_place(json_t *object)
{
    forget(object, "oauth_endpoint");
    forget(object, "oauth_token_url");
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

/* `whole`: the record as it will be; the caller's. */
static bool fill(struct candidate *candidate, struct broker *broker, const struct conf *conf,
                 json_t **whole, struct reason *why)
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
    if (account && token_is_superseded(account, text_of(object, "refresh_token")))
        return reason_set(why, "%s", candidate_superseded);
    if (account) {
        *whole = replace_existing(object, account, broker, conf);
    } else {
        if (candidate->overwrite)
            forget_unseen(object);
        fill_defaults(object, broker, conf);
        if (candidate->overwrite)
            forget_unseen_place(object);
        *whole = json_incref(object);
    }
    return *whole || reason_set(why, "out of memory");
}

bool candidate_make(struct candidate *candidate, struct broker *broker, const struct conf *conf,
                    const json_t *object, struct reason *why)
{
    struct problems problems = {NULL, 0, 0, 0, 0};
    json_t *whole = NULL;

    *candidate = (struct candidate){.object = NULL};
    if (!json_is_object(object))
        return reason_set(why, "a record must be an object");
    candidate->object = json_copy((json_t *)(uintptr_t)object);
    if (!candidate->object)
        return reason_set(why, "out of memory");
    if (fill(candidate, broker, conf, &whole, why)) {
        candidate->record = record_parse(whole, conf, "request", &problems, why);
        problems_clear(&problems);
    }
    json_decref(whole);
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
