#include "broker/store/record.h"

#include <sodium.h>
#include <stdlib.h>

#include "broker/store/checks.h"
#include "broker/store/record_fields.h"
#include "broker/store/record_grant.h"
#include "broker/store/shared_text.h"
#include "broker/wipe.h"

#define AT(member) offsetof(struct account_record, member)

/* Every text of a record: for copying and comparing. */
#define CREDENTIAL 1u
#define IDENTITY 2u
#define SHARED 4u /* many records have the same */
static const struct {
    size_t offset;
    unsigned part;
} texts[] = {
    {AT(email), 0}, /* before those that may be equal to it */
    {AT(login), IDENTITY},
    {AT(id), IDENTITY},
    {AT(sasl_user), IDENTITY},
    {AT(provider), IDENTITY | SHARED},
    {AT(vmta_name), 0},
    {AT(source_address), IDENTITY},
    {AT(endpoint), IDENTITY | SHARED},
    {AT(host), IDENTITY | SHARED},
    {AT(token_url), CREDENTIAL | IDENTITY | SHARED},
    {AT(app), SHARED},
    {AT(client_id), CREDENTIAL | IDENTITY | SHARED},
    {AT(client_secret), CREDENTIAL | IDENTITY},
    {AT(refresh_token), CREDENTIAL | IDENTITY},
    {AT(scope), CREDENTIAL | IDENTITY | SHARED},
    {AT(tenant), SHARED},
    {AT(extra), CREDENTIAL | IDENTITY},
    {AT(password_hash), IDENTITY},
    {AT(disabled_reason), SHARED},
    {AT(limit_group), SHARED},
};

#define TEXTS (sizeof(texts) / sizeof(texts[0]))

static const char **text_at(struct account_record *record, size_t offset)
{
    return (const char **)(void *)((char *)record + offset);
}

static const char *text_of(const struct account_record *record, size_t i)
{
    return *(const char *const *)(const void *)((const char *)record + texts[i].offset);
}

/* --- memory ------------------------------------------------------------------- */

/* The e-mail or the login, when the text has the same content; TEXTS: neither. */
static size_t twin_of(const struct account_record *record, size_t i)
{
    if (texts[i].part & CREDENTIAL) /* it may be overwritten */
        return TEXTS;
    for (size_t j = 0; j < 2 && j < i; j++) {
        if (strcmp(text_of(record, j), text_of(record, i)) == 0)
            return j;
    }
    return TEXTS;
}

/* Whether a text stands in the record's own block. */
static bool has_place(const struct account_record *record, size_t i)
{
    return text_of(record, i)[0] && !(texts[i].part & SHARED) && twin_of(record, i) == TEXTS;
}

static size_t block_size(const struct account_record *draft)
{
    size_t size = sizeof(*draft);

    for (size_t i = 0; i < TEXTS; i++) {
        if (has_place(draft, i))
            size += strlen(text_of(draft, i)) + 1;
    }
    return size;
}

static void clear_texts(struct account_record *record)
{
    for (size_t i = 0; i < TEXTS; i++)
        *text_at(record, texts[i].offset) = "";
}

/* One text of the draft into the record, at `free_at` if it has a place there. NULL:
 * memory is out. */
static const char *settle_text(const struct account_record *draft,
                               const struct account_record *record, size_t i, char **free_at)
{
    const char *text = text_of(draft, i);
    size_t len = strlen(text) + 1;

    if (!text[0])
        return "";
    if (texts[i].part & SHARED)
        return shared_text(text);
    if (!has_place(draft, i))
        return text_of(record, twin_of(draft, i));
    memcpy(*free_at, text, len);
    *free_at += len;
    return *free_at - len;
}

/* A copy that owns or shares all its texts. */
static struct account_record *settle(const struct account_record *draft)
{
    size_t size = block_size(draft);
    struct account_record *record = malloc(size);
    char *free_at = (char *)(record + 1);

    if (!record)
        return NULL;
    *record = *draft;
    record->block = size;
    record->key = signing_key_ref(draft->key);
    clear_texts(record);
    record->terms = shared_block(draft->terms, sizeof(*draft->terms));
    if (!record->terms) {
        record_free(record);
        return NULL;
    }
    for (size_t i = 0; i < TEXTS; i++) {
        const char *text = settle_text(draft, record, i, &free_at);

        if (!text) {
            record_free(record);
            return NULL;
        }
        *text_at(record, texts[i].offset) = text;
    }
    return record;
}

static bool is_inside(const struct account_record *record, const char *text)
{
    return text >= (const char *)record && text < (const char *)record + record->block;
}

/* A token that did not fit into the old one's place is a block of its own. */
static void drop_token(struct account_record *record)
{
    char *token = (char *)(uintptr_t)record->refresh_token;

    if (token[0] && !is_inside(record, token))
        secret_free(&token);
}

bool record_set_refresh_token(struct account_record *record, const char *token)
{
    char *old = (char *)(uintptr_t)record->refresh_token, *copy;
    size_t len = strlen(token), old_len = strlen(old);

    if (is_inside(record, old) && len <= old_len) {
        memcpy(old, token, len);
        explicit_bzero(old + len, old_len - len);
        return true;
    }
    copy = slice_dup((struct slice){token, len});
    if (!copy)
        return false;
    explicit_bzero(old, is_inside(record, old) ? old_len : 0);
    drop_token(record);
    record->refresh_token = copy;
    return true;
}

void record_free(struct account_record *record)
{
    if (!record)
        return;
    drop_token(record);
    free(record->superseded);
    signing_key_unref(record->key);
    for (size_t i = 0; i < TEXTS; i++) {
        if (texts[i].part & SHARED)
            shared_text_drop(text_of(record, i));
    }
    shared_block_drop(record->terms);
    secret_free_len(record, record->block);
}

/* --- reading ------------------------------------------------------------------ */

static void take_defaults(struct record_draft *draft, const struct conf *conf, const json_t *raw)
{
    struct account_record *record = &draft->record;
    struct account_terms *terms = &draft->terms;
    json_t *name = json_object_get(raw, "provider");
    const char *text = json_is_string(name) ? json_string_value(name) : "";
    char lower[CONF_NAME_MAX];
    const struct conf_provider *provider;

    record->terms = terms;
    slice_copy(slice_of(text), lower, sizeof(lower));
    ascii_lower_in_place(lower);
    provider = conf_provider(conf, slice_of(lower));
    record->tls = (uint32_t)provider->tls;
    record->mechanism = (uint32_t)provider->mechanism;
    record->bdat = (uint32_t)provider->bdat;
    terms->max_concurrent = provider->max_concurrent_messages;
    terms->max_connections = provider->max_connections;
    terms->limits = provider->limits;
    terms->prewarm = provider->prewarm;
    terms->max_messages_per_connection = provider->max_messages_per_connection;
    terms->max_age_ms = provider->connection_max_age_ms;
    terms->idle_ms = provider->connection_idle_ms;
    terms->refresh_ahead_ms = provider->refresh_ahead_ms;
    terms->retry_max_delay_ms = provider->retry_max_delay_ms;
    terms->retry_backoff = provider->retry_backoff;
    terms->retry_max_attempts = provider->retry_max_attempts;
}

static const struct conf_provider *known_provider(const struct account_record *record,
                                                  const struct conf *conf)
{
    const struct conf_provider *provider = conf_provider(conf, slice_of(record->provider));

    return strcmp(provider->name, record->provider) == 0 ? provider : NULL;
}

/* What the provider's row gives where neither record nor application says anything. */
static bool take_provider(struct record_draft *draft, const struct conf *conf, struct reason *why)
{
    struct account_record *record = &draft->record;
    const struct conf_provider *provider = known_provider(record, conf);

    if (!provider && !(record->endpoint[0] && record->token_url[0]))
        return reason_set(why,
                          "\"provider\": \"%s\" is not known; name gmail, outlook or a provider "
                          "of the configuration, or give both \"oauth_endpoint\" and "
                          "\"oauth_token_url\"",
                          record->provider);
    if (provider && !record->endpoint[0])
        record->endpoint = provider->smtp_endpoint;
    if (provider && !record->token_url[0])
        record->token_url = provider->token_url;
    if (provider && !record->scope[0] && record->grant != GRANT_REFRESH_TOKEN)
        record->scope = provider->app_scope;
    if (provider && !record->scope[0])
        record->scope = provider->scope;
    if (!record->endpoint[0])
        return reason_set(why, "\"oauth_endpoint\" is missing, and provider \"%s\" has none",
                          record->provider);
    if (!record->token_url[0])
        return reason_set(why, "\"oauth_token_url\" is missing, and provider \"%s\" has none",
                          record->provider);
    provider = conf_provider(conf, slice_of(record->provider));
    if (provider->connection_ceiling && draft->terms.max_connections > provider->connection_ceiling)
        draft->terms.max_connections = provider->connection_ceiling;
    return true;
}

/* Microsoft's URL names the tenant in its first path segment. */
static bool take_tenant(struct record_draft *draft, bool own_url, struct reason *why)
{
    struct account_record *record = &draft->record;
    struct slice common = record_common_tenant(record->token_url);
    const char *tenant = record->tenant[0] ? record->tenant : draft->app ? draft->app->tenant : "";
    struct text text;

    if (!tenant[0] || own_url)
        return true;
    if (!common.len && !record->tenant[0])
        return true; /* the application's own URL has it */
    if (!common.len)
        return reason_set(why,
                          "\"tenant\" has no place in \"%s\"; give \"oauth_token_url\" instead",
                          record->token_url);
    record->tenant = tenant;
    text_init(&text, draft->token_url, sizeof(draft->token_url));
    text_add(&text, record->token_url, (size_t)(common.ptr - record->token_url));
    text_add_str(&text, tenant);
    text_add_str(&text, common.ptr + common.len);
    record->token_url = draft->token_url;
    return !text.cut || reason_set(why, "\"tenant\" makes the token URL too long");
}

static bool take_endpoint(struct record_draft *draft, struct reason *why)
{
    struct account_record *record = &draft->record;
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
    record->host = draft->host;
    return slice_copy(host, draft->host, sizeof(draft->host)) ||
           reason_set(why, "\"oauth_endpoint\": the name of the host is too long");
}

/* Where nobody names one: Microsoft wants one (AADSTS900144, PROVIDERS.md 3.2), and a
 * token without a user has none by itself. */
static void take_scope(struct account_record *record)
{
    static const struct slice microsoft = {"https://login.microsoftonline.", 30};

    if (record->scope[0])
        return;
    if (record->grant == GRANT_SERVICE_ACCOUNT)
        record->scope = "https://mail.google.com/";
    else if (slice_starts_nocase(slice_of(record->token_url), microsoft))
        record->scope = record->grant == GRANT_CLIENT_CREDENTIALS
                            ? "https://outlook.office365.com/.default"
                            : "https://outlook.office.com/SMTP.Send offline_access";
}

static bool take_names(struct record_draft *draft, const json_t *object, struct reason *why)
{
    struct account_record *record = &draft->record;

    slice_copy(slice_of(record->email), draft->login, sizeof(draft->login));
    ascii_lower_in_place(draft->login);
    record->login = draft->login;
    if (!record->sasl_user[0])
        record->sasl_user = record->email;
    if (record->id[0])
        return true;
    record->id = draft->id;
    return record_id(object, draft->id, sizeof(draft->id)) ||
           reason_set(why, "\"account_id\" is missing, and the e-mail is too long to make one");
}

static void lower_provider(struct record_draft *draft)
{
    slice_copy(slice_of(draft->record.provider), draft->provider, sizeof(draft->provider));
    ascii_lower_in_place(draft->provider);
    draft->record.provider = draft->provider;
}

static bool read_draft(struct record_draft *draft, const json_t *object, const struct conf *conf,
                       const char *where, struct problems *problems, struct reason *why)
{
    struct account_record *record = &draft->record;
    bool own_url;

    if (!json_is_object(object))
        return reason_set(why, "it is not an object");
    take_defaults(draft, conf, object);
    if (!record_read_fields(draft, object, where, problems, why) ||
        !record_has_required(draft, why))
        return false;
    lower_provider(draft);
    if (!record_take_app(draft, conf, why) || !record_take_grant(draft, object, why))
        return false;
    own_url = record->token_url[0] && !draft->app;
    if (!take_provider(draft, conf, why) || !take_tenant(draft, own_url, why) ||
        !record_check_place(draft, why) || !take_endpoint(draft, why))
        return false;
    take_scope(record);
    return take_names(draft, object, why);
}

struct account_record *record_parse(const json_t *object, const struct conf *conf,
                                    const char *where, struct problems *problems,
                                    struct reason *why)
{
    struct account_record *record = NULL;
    struct record_draft draft;

    draft.record = (struct account_record){.block = 0};
    memset(&draft.terms, 0, sizeof(draft.terms)); /* the padding too: they are shared by content */
    clear_texts(&draft.record);
    form_init(&draft.extra);
    draft.wanted_grant = draft.assertion = 0;
    draft.private_key = draft.certificate = draft.secret_expires = "";
    draft.service_account = NULL;
    draft.app = NULL;
    draft.own_endpoint = draft.own_token_url = "";
    draft.app_service_account = NULL;
    if (read_draft(&draft, object, conf, where, problems, why)) {
        record = settle(&draft.record);
        if (!record)
            reason_set(why, "out of memory");
    }
    signing_key_unref(draft.record.key);
    json_decref(draft.app_service_account);
    form_clear(&draft.extra);
    return record;
}

static const char *value_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

const char *record_email(const json_t *object)
{
    const char *email = value_of(object, "email");

    return email[0] && strlen(email) <= 254 && !check_email(email) ? email : "?";
}

bool record_id(const json_t *object, char *out, size_t cap)
{
    const char *id = value_of(object, "account_id"), *email = value_of(object, "email");
    struct text text;

    text_init(&text, out, cap);
    if (id[0]) {
        text_add_str(&text, id);
        return !text.cut;
    }
    text_add_str(&text, value_of(object, "provider"));
    text_add_char(&text, '_');
    ascii_lower_in_place(out);
    for (const char *c = email; *c; c++)
        text_add_char(&text, *c == '@' || *c == '.' ? '_' : *c);
    return email[0] && !text.cut;
}

bool record_login(const json_t *object, char *out, size_t cap)
{
    bool whole = slice_copy(slice_of(value_of(object, "email")), out, cap);

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
        const char *left = text_of(a, i), *right = text_of(b, i);

        if (part && !(texts[i].part & part))
            continue;
        if (left != right && strcmp(left, right) != 0)
            return false;
    }
    return true;
}

static void add_text(crypto_generichash_state *hash, const char *text)
{
    crypto_generichash_update(hash, (const unsigned char *)text, strlen(text) + 1);
}

void record_binding(const struct account_record *record, const char *refresh_token,
                    unsigned char out[RECORD_BINDING])
{
    unsigned char kinds[] = {record->grant, record->assertion, record->key != NULL};
    crypto_generichash_state hash;

    crypto_generichash_init(&hash, NULL, 0, RECORD_BINDING);
    for (size_t i = 0; i < TEXTS; i++) {
        if (texts[i].part & CREDENTIAL)
            add_text(&hash,
                     texts[i].offset == AT(refresh_token) ? refresh_token : text_of(record, i));
    }
    if (record->grant == GRANT_SERVICE_ACCOUNT)
        add_text(&hash, record->sasl_user);
    crypto_generichash_update(&hash, kinds, sizeof(kinds));
    if (record->key)
        crypto_generichash_update(&hash, record->key->digest, SIGNING_KEY_DIGEST);
    crypto_generichash_final(&hash, out, RECORD_BINDING);
}

bool record_same_credentials(const struct account_record *a, const struct account_record *b)
{
    return same_texts(a, b, CREDENTIAL) && a->key == b->key && a->grant == b->grant &&
           a->assertion == b->assertion;
}

bool record_same_identity(const struct account_record *a, const struct account_record *b)
{
    return record_same_credentials(a, b) && same_texts(a, b, IDENTITY) && a->port == b->port &&
           a->tls == b->tls && a->mechanism == b->mechanism;
}

static bool terms_same(const struct account_terms *a, const struct account_terms *b)
{
    return a->max_concurrent == b->max_concurrent && a->max_connections == b->max_connections &&
           a->max_messages_per_connection == b->max_messages_per_connection &&
           conf_limits_same(&a->limits, &b->limits) &&
           conf_prewarm_same(&a->prewarm, &b->prewarm) && a->max_age_ms == b->max_age_ms &&
           a->idle_ms == b->idle_ms && a->refresh_ahead_ms == b->refresh_ahead_ms &&
           a->retry_max_delay_ms == b->retry_max_delay_ms && a->retry_backoff == b->retry_backoff &&
           a->retry_max_attempts == b->retry_max_attempts;
}

bool record_same(const struct account_record *a, const struct account_record *b)
{
    return record_same_identity(a, b) && same_texts(a, b, 0) && a->bdat == b->bdat &&
           a->secret_expires_ms == b->secret_expires_ms && a->disabled == b->disabled &&
           (a->terms == b->terms || terms_same(a->terms, b->terms));
}
