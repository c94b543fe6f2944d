#include "broker/store/record_fields.h"

#include <stdio.h>
#include <stdlib.h>

#include "broker/form.h"
#include "broker/store/checks.h"
#include "broker/wipe.h"

enum kind {
    TEXT,    /* char *, checked by `check` */
    CHOICE,  /* uint32_t, one of `names` */
    COUNT,   /* uint32_t, 1..max */
    SECONDS, /* uint64_t milliseconds, 0..max seconds */
    FACTOR,  /* double, 1..max */
    FLAG,    /* bool */
    FORM,    /* char *, from an object of texts */
    GROUP,   /* an object with the fields of `group` */
    LIMIT,   /* uint32_t, 0..: whatever is too large for it is no limit */
    OBJECT,  /* const json_t *, an object that others read */
    NUMBER,  /* type-checked, without effect in this version */
    ANYTHING /* state that the original kept in its objects */
};

#define REQUIRED 1u
#define SECRET 2u /* its value is never shown */
#define FILLED 4u /* not empty when it is there */

struct field {
    const char *key;
    enum kind kind;
    size_t offset; /* into struct record_draft */
    unsigned flags;
    const char *(*check)(const char *text);
    const char *const *names;
    const struct field *group; /* ends with a NULL key */
    double min, max;
};

#define AT(member) offsetof(struct record_draft, record.member)
#define TERM(member) offsetof(struct record_draft, terms.member)
#define DRAFT(member) offsetof(struct record_draft, member)
#define END_OF_FIELDS                                                                              \
    {                                                                                              \
        .key = NULL                                                                                \
    }

static const char *const tls_names[] = {"auto", "starttls", "implicit", NULL};
static const char *const mechanism_names[] = {"auto", "xoauth2", "oauthbearer", NULL};
static const char *const grant_names[] = {"auto", "refresh_token", "client_credentials",
                                          "service_account", NULL};
static const char *const assertion_names[] = {"PS256", "RS256", NULL};
static const char *const bdat_names[] = {"auto", "on", "off", NULL};

static const struct field pool_fields[] = {
    {"max_connections_per_account", COUNT, TERM(max_connections), .min = 1, .max = 10000},
    {"connections_start", LIMIT, TERM(limits.connections_start)},
    {"max_messages_per_connection", COUNT, TERM(max_messages_per_connection), .min = 1, .max = 1e6},
    {"connection_max_age_seconds", SECONDS, TERM(max_age_ms), .max = 86400},
    {"connection_idle_timeout_seconds", SECONDS, TERM(idle_ms), .max = 86400},
    {"connection_acquire_timeout_seconds", NUMBER},
    {"idle_connection_reuse_timeout", NUMBER},
    {"prewarm_min_connections", LIMIT, TERM(prewarm.min_connections)},
    {"prewarm_max_connections", LIMIT, TERM(prewarm.max_connections)},
    {"prewarm_min_message_threshold", LIMIT, TERM(prewarm.min_messages)},
    {"prewarm_messages_per_connection", LIMIT, TERM(prewarm.messages_per_connection)},
    {"prewarm_concurrent_tasks", NUMBER},
    {"prewarm_percentage", NUMBER},
    {"adaptive_prewarm_enabled", FLAG, TERM(prewarm.enabled)},
    END_OF_FIELDS};
static const struct field rate_fields[] = {
    {"enabled", FLAG, TERM(limits.rates_on)},
    {"messages_per_minute", LIMIT, TERM(limits.messages_per_minute)},
    {"messages_per_hour", LIMIT, TERM(limits.messages_per_hour)},
    {"messages_per_day", LIMIT, TERM(limits.messages_per_day)},
    {"recipients_per_day", LIMIT, TERM(limits.recipients_per_day)},
    {"recipients_per_message", LIMIT, TERM(limits.recipients_per_message)},
    {"messages_per_minute_per_connection", NUMBER},
    {"burst_size", NUMBER},
    END_OF_FIELDS};
static const struct field retry_fields[] = {
    {"max_attempts", COUNT, TERM(retry_max_attempts), .max = 100},
    {"backoff_factor", FACTOR, TERM(retry_backoff), .min = 1, .max = 10},
    {"max_delay_seconds", SECONDS, TERM(retry_max_delay_ms), .max = 3600},
    {"jitter_enabled", ANYTHING},
    END_OF_FIELDS};
static const struct field breaker_fields[] = {
    {"enabled", FLAG, TERM(limits.breaker_on)},
    {"failure_threshold", LIMIT, TERM(limits.breaker_failures)},
    {"recovery_timeout_seconds", SECONDS, TERM(limits.breaker_recovery_ms), .max = 86400},
    {"half_open_max_calls", LIMIT, TERM(limits.breaker_trials)},
    END_OF_FIELDS};

static const struct field fields[] = {
    {"email", TEXT, AT(email), REQUIRED | FILLED, check_email},
    {"account_id", TEXT, AT(id), 0, check_id},
    {"provider", TEXT, AT(provider), REQUIRED | FILLED, check_provider},
    {"grant", CHOICE, DRAFT(wanted_grant), .names = grant_names},
    {"app", TEXT, AT(app), 0, check_app},
    {"client_id", TEXT, AT(client_id), FILLED, check_secret},
    {"client_secret", TEXT, AT(client_secret), SECRET, check_secret},
    {"client_secret_expires", TEXT, DRAFT(secret_expires), 0, check_day},
    {"private_key", TEXT, DRAFT(private_key), SECRET},
    {"certificate", TEXT, DRAFT(certificate), 0},
    {"assertion", CHOICE, DRAFT(assertion), .names = assertion_names},
    {"service_account", OBJECT, DRAFT(service_account), SECRET},
    {"refresh_token", TEXT, AT(refresh_token), FILLED | SECRET, check_secret},
    {"oauth_endpoint", TEXT, AT(endpoint), 0, check_endpoint},
    {"oauth_token_url", TEXT, AT(token_url), 0, check_https_url},
    {"ip_address", TEXT, AT(source_address), 0, check_address},
    {"vmta_name", TEXT, AT(vmta_name), 0, check_id},
    {"password_hash", TEXT, AT(password_hash), SECRET, check_password_hash},
    {"sasl_user", TEXT, AT(sasl_user), 0, check_user},
    {"tls", CHOICE, AT(tls), .names = tls_names},
    {"mechanism", CHOICE, AT(mechanism), .names = mechanism_names},
    {"bdat", CHOICE, AT(bdat), .names = bdat_names},
    {"scope", TEXT, AT(scope), 0, check_scope},
    {"tenant", TEXT, AT(tenant), 0, check_tenant},
    {"extra", FORM, AT(extra), SECRET},
    {"disabled", FLAG, AT(disabled)},
    {"disabled_reason", TEXT, AT(disabled_reason), 0, check_reason},
    {"limit_group", TEXT, AT(limit_group), 0, check_id},
    {"max_concurrent_messages", COUNT, TERM(max_concurrent), .min = 1, .max = 10000},
    {"max_messages_per_hour", LIMIT, TERM(limits.messages_per_hour)},
    {"connection_settings", GROUP, .group = pool_fields},
    {"rate_limiting", GROUP, .group = rate_fields},
    {"retry", GROUP, .group = retry_fields},
    {"circuit_breaker", GROUP, .group = breaker_fields},
    {"token", ANYTHING, .flags = SECRET},
    {"messages_this_hour", ANYTHING},
    {"concurrent_messages", ANYTHING},
    {"active_connections", ANYTHING},
    END_OF_FIELDS};

#define KEYS_MAX (sizeof(fields) / sizeof(fields[0]))

/* A value as messages show it: short, and on one line. */
static void show(const struct field *field, const json_t *value, char *out, size_t cap)
{
    char dump[64] = "";
    struct text text;
    size_t len;

    text_init(&text, out, cap);
    if (field->flags & SECRET) {
        text_add_str(&text, "(not shown)");
    } else if (json_is_string(value)) {
        len = json_string_length(value);
        text_add_char(&text, '"');
        text_add(&text, json_string_value(value), len < 60 ? len : 60);
        text_add_str(&text, len < 60 ? "\"" : "...\"");
    } else {
        len = json_dumpb(value, dump, sizeof(dump), JSON_ENCODE_ANY | JSON_COMPACT);
        text_add(&text, dump, len <= sizeof(dump) ? len : 0);
        if (len > sizeof(dump))
            text_add_str(&text, json_is_array(value) ? "the array" : "the object");
    }
    for (char *c = out; *c; c++)
        *c = (unsigned char)*c < 32 || *c == 127 ? ' ' : *c;
}

static bool bad(const struct field *field, const json_t *value, const char *wants,
                struct reason *why)
{
    char shown[80];

    show(field, value, shown, sizeof(shown));
    return reason_set(why, "\"%s\": %s must be %s", field->key, shown, wants);
}

static bool read_text(const struct field *field, const json_t *value, void *at, struct reason *why)
{
    struct slice text = {json_string_value(value), json_string_length(value)};
    const char *wants;

    if (!json_is_string(value))
        return bad(field, value, "a text in quotes", why);
    if (memchr(text.ptr, '\0', text.len))
        return bad(field, value, "a text without NUL", why);
    wants = field->check ? field->check(text.ptr) : NULL;
    if (wants)
        return bad(field, value, wants, why);
    if (field->flags & FILLED && !text.len)
        return reason_set(why, "\"%s\" is empty", field->key);
    *(const char **)at = text.ptr;
    return true;
}

static bool read_choice(const struct field *field, const json_t *value, void *at,
                        struct reason *why)
{
    char wants[128] = "one of";

    for (uint32_t i = 0; field->names[i]; i++) {
        size_t len = strlen(wants);

        if (json_is_string(value) && strcmp(json_string_value(value), field->names[i]) == 0) {
            *(uint32_t *)at = i;
            return true;
        }
        snprintf(wants + len, sizeof(wants) - len, "%s %s", i ? "," : "", field->names[i]);
    }
    return bad(field, value, wants, why);
}

/* Rounded up: a limit of half a message is one, not none. */
static uint32_t limit_of(double number)
{
    uint32_t whole = (uint32_t)number;

    return whole < number ? whole + 1 : whole;
}

static bool read_number(const struct field *field, const json_t *value, void *at,
                        struct reason *why)
{
    double number = json_number_value(value), low = field->min;
    double max = field->kind == NUMBER || field->kind == LIMIT ? 1e15 : field->max;
    char wants[96];

    snprintf(wants, sizeof(wants), "a %s from %.0f to %.0f",
             field->kind == COUNT ? "whole number" : "number", low, max);
    if (!json_is_number(value) || (field->kind == COUNT && !json_is_integer(value)) ||
        !(number >= low && number <= max))
        return bad(field, value, wants, why);
    if (field->kind == COUNT)
        *(uint32_t *)at = (uint32_t)number;
    else if (field->kind == LIMIT)
        *(uint32_t *)at = number < UINT32_MAX ? limit_of(number) : 0;
    else if (field->kind == SECONDS)
        *(uint64_t *)at = (uint64_t)(number * 1000);
    else if (field->kind == FACTOR)
        *(double *)at = number;
    return true;
}

static bool read_form(const struct field *field, const json_t *value, struct form *form, void *at,
                      struct reason *why)
{
    const char *key;
    json_t *item;

    if (!json_is_object(value))
        return bad(field, value, "an object of form fields", why);
    json_object_foreach((json_t *)(uintptr_t)value, key, item)
    {
        if (!json_is_string(item))
            return reason_set(why, "\"extra\": the value of \"%.60s\" must be a text in quotes",
                              key);
        form_add(form, key, (struct slice){json_string_value(item), json_string_length(item)});
    }
    if (form->len)
        *(const char **)at = form->at;
    return !form->failed || reason_set(why, "out of memory");
}

struct reading {
    struct record_draft *draft;
    const char *where;
    struct problems *problems;
    struct reason *why;
};

static bool read_fields(struct reading *reading, const struct field *table, const json_t *object);

static bool read_value(struct reading *reading, const struct field *field, const json_t *value)
{
    void *at = (char *)reading->draft + field->offset;

    switch (field->kind) {
    case TEXT:
        return read_text(field, value, at, reading->why);
    case CHOICE:
        return read_choice(field, value, at, reading->why);
    case COUNT:
    case SECONDS:
    case FACTOR:
    case LIMIT:
    case NUMBER:
        return read_number(field, value, at, reading->why);
    case FORM:
        return read_form(field, value, &reading->draft->extra, at, reading->why);
    case FLAG:
        if (!json_is_boolean(value))
            return bad(field, value, "true or false", reading->why);
        *(bool *)at = json_is_true(value);
        return true;
    case GROUP:
        if (!json_is_object(value))
            return bad(field, value, "an object", reading->why);
        return read_fields(reading, field->group, value);
    case OBJECT:
        if (!json_is_object(value))
            return bad(field, value, "an object", reading->why);
        *(const json_t **)at = value;
        break;
    case ANYTHING:
        break;
    }
    return true;
}

static void warn_unknown(struct reading *reading, const struct field *table, const char *key)
{
    const char *names[KEYS_MAX], *near;
    size_t count = 0;

    for (; table->key; table++)
        names[count++] = table->key;
    names[count] = NULL;
    near = nearest_name(key, names);
    problems_add(reading->problems, false, "%s: key \"%.60s\" is not known and has no effect%s%s%s",
                 reading->where, key, near ? "; do you mean \"" : "", near ? near : "",
                 near ? "\"?" : "");
}

static bool read_fields(struct reading *reading, const struct field *table, const json_t *object)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        const struct field *field = table;

        if (key[0] == '_')
            continue;
        while (field->key && strcmp(field->key, key) != 0)
            field++;
        if (!field->key)
            warn_unknown(reading, table, key);
        else if (!json_is_null(value) && !read_value(reading, field, value))
            return false;
    }
    return true;
}

static const struct field *field_named(const char *key)
{
    for (const struct field *field = fields; field->key; field++) {
        if (strcmp(field->key, key) == 0)
            return field;
    }
    return NULL;
}

bool record_knows(const char *key)
{
    return field_named(key) != NULL;
}

bool record_key_is_public(const char *key)
{
    const struct field *field = field_named(key);

    return field && !(field->flags & SECRET);
}

bool record_has_required(const struct record_draft *draft, struct reason *why)
{
    for (const struct field *field = fields; field->key; field++) {
        if (field->flags & REQUIRED &&
            !(*(char *const *)(const void *)((const char *)draft + field->offset))[0])
            return reason_set(why, "\"%s\" is missing", field->key);
    }
    return true;
}

bool record_read_fields(struct record_draft *draft, const json_t *object, const char *where,
                        struct problems *problems, struct reason *why)
{
    struct reading reading = {draft, where, problems, why};

    return read_fields(&reading, fields, object);
}
