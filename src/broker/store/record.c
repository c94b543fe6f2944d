#include "broker/store/record.h"

#include <stdlib.h>

#include "broker/store/checks.h"
#include "broker/store/record_fields.h"
#include "broker/wipe.h"
#include "ipc/ipc.h"

#define AT(member) offsetof(struct account_record, member)

/* Every text of a record: for freeing and comparing. */
#define CREDENTIAL 1u
#define IDENTITY 2u
static const struct {
    size_t offset;
    unsigned part;
} texts[] = {
    {AT(id), IDENTITY},
    {AT(email), 0},
    {AT(login), IDENTITY},
    {AT(sasl_user), IDENTITY},
    {AT(provider), IDENTITY},
    {AT(vmta_name), 0},
    {AT(source_address), IDENTITY},
    {AT(endpoint), IDENTITY},
    {AT(host), IDENTITY},
    {AT(token_url), CREDENTIAL | IDENTITY},
    {AT(client_id), CREDENTIAL | IDENTITY},
    {AT(client_secret), CREDENTIAL | IDENTITY},
    {AT(refresh_token), CREDENTIAL | IDENTITY},
    {AT(scope), CREDENTIAL | IDENTITY},
    {AT(tenant), 0},
    {AT(extra), CREDENTIAL | IDENTITY},
    {AT(password_hash), IDENTITY},
};

#define TEXTS (sizeof(texts) / sizeof(texts[0]))

static char **text_at(const struct account_record *record, size_t offset)
{
    return (char **)(void *)((char *)(uintptr_t)record + offset);
}

static void take_defaults(struct account_record *record, const struct conf *conf, const json_t *raw)
{
    json_t *name = json_object_get(raw, "provider");
    const char *text = json_is_string(name) ? json_string_value(name) : "";
    char lower[CONF_NAME_MAX];
    const struct conf_provider *provider;

    slice_copy(slice_of(text), lower, sizeof(lower));
    ascii_lower_in_place(lower);
    provider = conf_provider(conf, slice_of(lower));
    record->tls = (uint32_t)provider->tls;
    record->mechanism = (uint32_t)provider->mechanism;
    record->bdat = (uint32_t)provider->bdat;
    record->max_concurrent = provider->max_concurrent_messages;
    record->max_connections = provider->max_connections;
    record->limits = provider->limits;
    record->max_messages_per_connection = provider->max_messages_per_connection;
    record->max_age_ms = provider->connection_max_age_ms;
    record->idle_ms = provider->connection_idle_ms;
    record->refresh_ahead_ms = provider->refresh_ahead_ms;
    record->retry_max_delay_ms = provider->retry_max_delay_ms;
    record->retry_backoff = provider->retry_backoff;
    record->retry_max_attempts = provider->retry_max_attempts;
}

/* What the provider's row gives where the record says nothing. */
static bool take_provider(struct account_record *record, const struct conf *conf,
                          struct reason *why)
{
    const struct conf_provider *provider;
    bool known, ok = true;

    ascii_lower_in_place(record->provider);
    provider = conf_provider(conf, slice_of(record->provider));
    known = strcmp(provider->name, record->provider) == 0;
    if (!known && !(record->endpoint[0] && record->token_url[0]))
        return reason_set(why,
                          "\"provider\": \"%s\" is not known; name gmail, outlook or a provider "
                          "of the configuration, or give both \"oauth_endpoint\" and "
                          "\"oauth_token_url\"",
                          record->provider);
    if (known && !record->endpoint[0])
        ok = record_set_text(&record->endpoint, slice_of(provider->smtp_endpoint), why);
    if (ok && known && !record->token_url[0])
        ok = record_set_text(&record->token_url, slice_of(provider->token_url), why);
    if (ok && known && !record->scope[0])
        ok = record_set_text(&record->scope, slice_of(provider->scope), why);
    if (ok && !record->endpoint[0])
        return reason_set(why, "\"oauth_endpoint\" is missing, and provider \"%s\" has none",
                          record->provider);
    if (ok && !record->token_url[0])
        return reason_set(why, "\"oauth_token_url\" is missing, and provider \"%s\" has none",
                          record->provider);
    if (provider->connection_ceiling && record->max_connections > provider->connection_ceiling)
        record->max_connections = provider->connection_ceiling;
    return ok;
}

/* Microsoft's URL names the tenant in its first path segment. */
static bool take_tenant(struct account_record *record, bool own_url, struct reason *why)
{
    char url[CONF_TEXT_MAX];
    const char *common = strstr(record->token_url, "/common/");
    struct text text;

    if (!record->tenant[0] || own_url)
        return true;
    if (!common)
        return reason_set(why,
                          "\"tenant\" has no place in \"%s\"; give \"oauth_token_url\" instead",
                          record->token_url);
    text_init(&text, url, sizeof(url));
    text_add(&text, record->token_url, (size_t)(common - record->token_url) + 1);
    text_add_str(&text, record->tenant);
    text_add_str(&text, common + strlen("/common"));
    if (text.cut)
        return reason_set(why, "\"tenant\" makes the token URL too long");
    return record_set_text(&record->token_url, (struct slice){url, text.len}, why);
}

static bool take_endpoint(struct account_record *record, struct reason *why)
{
    const char *wants = check_endpoint(record->endpoint), *colon;
    struct slice host = {record->endpoint, 0};
    uint64_t port = 0;

    if (wants) /* of the configuration: the record's own was checked */
        return reason_set(why, "the provider's SMTP endpoint \"%s\" must be %s", record->endpoint,
                          wants);
    colon = strrchr(record->endpoint, ':');
    host.len = (size_t)(colon - record->endpoint);
    slice_to_u64(slice_of(colon + 1), &port);
    record->port = (uint32_t)port;
    if (host.ptr[0] == '[')
        host = (struct slice){host.ptr + 1, host.len - 2};
    if (record->tls == CONF_UPSTREAM_BY_PORT)
        record->tls = port == 465 ? CONF_UPSTREAM_IMPLICIT : CONF_UPSTREAM_STARTTLS;
    return record_set_text(&record->host, host, why);
}

/* AADSTS900144 when it is missing (PROVIDERS.md 3.2). */
static bool take_scope(struct account_record *record, struct reason *why)
{
    static const struct slice microsoft = {"https://login.microsoftonline.", 30};

    if (record->scope[0] || !slice_starts_nocase(slice_of(record->token_url), microsoft))
        return true;
    return record_set_text(&record->scope,
                           SLICE("https://outlook.office.com/SMTP.Send offline_access"), why);
}

static bool take_names(struct account_record *record, const json_t *object, struct reason *why)
{
    char id[IPC_ID_MAX + 1];

    if (!record_set_text(&record->login, slice_of(record->email), why))
        return false;
    ascii_lower_in_place(record->login);
    if (!record->sasl_user[0] && !record_set_text(&record->sasl_user, slice_of(record->email), why))
        return false;
    if (record->id[0])
        return true;
    if (!record_id(object, id, sizeof(id)))
        return reason_set(why, "\"account_id\" is missing, and the e-mail is too long to make one");
    return record_set_text(&record->id, slice_of(id), why);
}

/* The reference demands it; a client of a kind that has none says so. */
static bool check_gmail(const struct account_record *record, const json_t *object,
                        struct reason *why)
{
    if (strcmp(record->provider, "gmail") != 0 || record->client_secret[0] ||
        json_is_string(json_object_get(object, "client_secret")))
        return true;
    return reason_set(why, "\"client_secret\" is missing; write \"\" for a client of Google that "
                           "has none");
}

static struct account_record *new_record(void)
{
    struct account_record *record = calloc(1, sizeof(*record));
    bool ok = record != NULL;

    for (size_t i = 0; ok && i < TEXTS; i++)
        ok = record_set_text(text_at(record, texts[i].offset), SLICE(""), NULL);
    if (!ok) {
        record_free(record);
        return NULL;
    }
    return record;
}

struct account_record *record_parse(const json_t *object, const struct conf *conf,
                                    const char *where, struct problems *problems,
                                    struct reason *why)
{
    struct account_record *record = new_record();
    bool own_url;

    if (!record) {
        reason_set(why, "out of memory");
        return NULL;
    }
    if (!json_is_object(object)) {
        reason_set(why, "it is not an object");
        goto fail;
    }
    take_defaults(record, conf, object);
    if (!record_read_fields(record, object, where, problems, why) ||
        !record_has_required(record, why))
        goto fail;
    own_url = record->token_url[0] != '\0';
    if (!check_gmail(record, object, why) || !take_provider(record, conf, why) ||
        !take_tenant(record, own_url, why) || !take_endpoint(record, why) ||
        !take_scope(record, why) || !take_names(record, object, why))
        goto fail;
    return record;
fail:
    record_free(record);
    return NULL;
}

void record_free(struct account_record *record)
{
    if (!record)
        return;
    for (size_t i = 0; i < TEXTS; i++)
        secret_free(text_at(record, texts[i].offset));
    free(record);
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

const char *record_email(const json_t *object)
{
    const char *email = text_of(object, "email");

    return email[0] && strlen(email) <= 254 && !check_email(email) ? email : "?";
}

bool record_id(const json_t *object, char *out, size_t cap)
{
    const char *id = text_of(object, "account_id"), *email = text_of(object, "email");
    struct text text;

    text_init(&text, out, cap);
    if (id[0]) {
        text_add_str(&text, id);
        return !text.cut;
    }
    text_add_str(&text, text_of(object, "provider"));
    text_add_char(&text, '_');
    ascii_lower_in_place(out);
    for (const char *c = email; *c; c++)
        text_add_char(&text, *c == '@' || *c == '.' ? '_' : *c);
    return email[0] && !text.cut;
}

bool record_login(const json_t *object, char *out, size_t cap)
{
    bool whole = slice_copy(slice_of(text_of(object, "email")), out, cap);

    ascii_lower_in_place(out);
    return whole && out[0];
}

bool record_is_comment(const json_t *object)
{
    const char *key;
    json_t *value;

    if (!json_is_object(object) || json_object_size(object) == 0)
        return false;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        if (key[0] != '_')
            return false;
    }
    return true;
}

static bool same_texts(const struct account_record *a, const struct account_record *b,
                       unsigned part)
{
    for (size_t i = 0; i < TEXTS; i++) {
        if (part && !(texts[i].part & part))
            continue;
        if (strcmp(*text_at(a, texts[i].offset), *text_at(b, texts[i].offset)) != 0)
            return false;
    }
    return true;
}

bool record_same_credentials(const struct account_record *a, const struct account_record *b)
{
    return same_texts(a, b, CREDENTIAL);
}

bool record_same_identity(const struct account_record *a, const struct account_record *b)
{
    return same_texts(a, b, IDENTITY) && a->port == b->port && a->tls == b->tls &&
           a->mechanism == b->mechanism;
}

bool record_same(const struct account_record *a, const struct account_record *b)
{
    return record_same_identity(a, b) && same_texts(a, b, 0) && a->bdat == b->bdat &&
           a->disabled == b->disabled && a->max_concurrent == b->max_concurrent &&
           a->max_connections == b->max_connections &&
           a->max_messages_per_connection == b->max_messages_per_connection &&
           conf_limits_same(&a->limits, &b->limits) && a->max_age_ms == b->max_age_ms &&
           a->idle_ms == b->idle_ms && a->refresh_ahead_ms == b->refresh_ahead_ms &&
           a->retry_max_delay_ms == b->retry_max_delay_ms && a->retry_backoff == b->retry_backoff &&
           a->retry_max_attempts == b->retry_max_attempts;
}
