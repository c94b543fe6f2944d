#include "ctl/account.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/wipe.h"
#include "ctl/api.h"
#include "ctl/out.h"

void account_path(struct text *path, const char *address, const char *rest)
{
    text_add_str(path, "/admin/accounts/");
    path_add(path, address);
    text_add_str(path, rest);
}

void account_time_field(const char *label, const char *iso)
{
    long long now = (long long)time(NULL), at = out_time(iso);
    char span[32];

    if (at < 0) {
        out_field(label, iso, PLAIN);
        return;
    }
    out_duration(span, sizeof(span), at > now ? at - now : now - at);
    out_fieldf(label, at > now ? "%s (in %s)" : "%s (%s ago)", iso, span);
}

static const char *yes_no(bool value)
{
    return value ? "yes" : "no";
}

static void print_state(const json_t *account, const json_t *detail)
{
    const char *state = get_text(account, "state");
    const char *text = get_text(detail, "text"), *by = get_text(detail, "by");
    bool theirs = strcmp(by, "provider") == 0 || strcmp(by, "token") == 0;

    out_field("state", state, out_state_colour(state));
    out_field("held by", by, PLAIN);
    out_field("cause", get_text(detail, "cause"), PLAIN);
    out_field(theirs ? "provider says" : "reason", *text ? text : get_text(account, "state_text"),
              PLAIN);
    account_time_field("since", get_text(account, "state_since"));
    account_time_field("until", get_text(account, "state_until"));
    account_time_field("next try", get_text(detail, "next_try"));
    out_field("what to do", get_text(detail, "hint"), BOLD);
}

static void print_token(const json_t *token)
{
    char age[32];

    if (!json_is_object(token))
        return;
    out_heading("token");
    out_field("phase", get_text(token, "phase"), PLAIN);
    out_field("valid", yes_no(get_bool(token, "valid")), get_bool(token, "valid") ? GOOD : WARN);
    if (json_is_number(json_object_get(token, "age_seconds"))) {
        out_duration(age, sizeof(age), get_number(token, "age_seconds"));
        out_field("age", age, PLAIN);
    }
    account_time_field("expires", get_text(token, "expires_at"));
    account_time_field("last refresh", get_text(token, "last_refresh"));
    account_time_field("next refresh", get_text(token, "next_refresh"));
    if (get_number(token, "failures"))
        out_fieldf("failures", "%lld", get_number(token, "failures"));
    out_field("error", get_text(token, "error"), BAD);
    out_field("refresh token", get_bool(token, "refresh_token_saved") ? "saved" : "not saved yet",
              get_bool(token, "refresh_token_saved") ? PLAIN : BAD);
}

static void print_pool(const json_t *pool)
{
    const json_t *messages = json_object_get(pool, "messages");

    if (!json_is_object(pool))
        return;
    out_heading("connections");
    out_field("endpoint", get_text(pool, "endpoint"), PLAIN);
    out_fieldf("now", "%lld busy, %lld idle, %lld dialing, %lld draining; at most %lld",
               get_number(pool, "busy"), get_number(pool, "idle"), get_number(pool, "dialing"),
               get_number(pool, "draining"), get_number(pool, "max_connections"));
    out_fieldf("messages now", "%lld under way, %lld waiting", get_number(pool, "running"),
               get_number(pool, "waiting"));
    out_fieldf("messages", "%lld delivered, %lld rejected, %lld deferred, %lld unknown",
               get_number(messages, "delivered"), get_number(messages, "rejected"),
               get_number(messages, "deferred"), get_number(messages, "unknown"));
    account_time_field("last delivery", get_text(pool, "last_delivery"));
    if (get_number(pool, "dial_failures"))
        out_fieldf("dial failures", "%lld", get_number(pool, "dial_failures"));
}

static bool is_shown_elsewhere(const char *key)
{
    static const char *const keys[] = {"email",
                                       "state",
                                       "state_text",
                                       "state_since",
                                       "state_until",
                                       "state_detail",
                                       "token",
                                       "pool",
                                       "has_password",
                                       "has_client_secret",
                                       "has_private_key",
                                       "has_refresh_token",
                                       NULL};

    for (size_t i = 0; keys[i]; i++) {
        if (strcmp(keys[i], key) == 0)
            return true;
    }
    return false;
}

/* Whatever the API tells of its settings, also what a later version adds. */
static void print_settings(json_t *account)
{
    const char *key;
    json_t *value;

    json_object_foreach(account, key, value)
    {
        char *text;

        if (is_shown_elsewhere(key))
            continue;
        if (json_is_string(value)) {
            out_field(key, json_string_value(value), PLAIN);
        } else if (!json_is_null(value)) {
            text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
            out_field(key, text, PLAIN);
            wipe_free(text);
        }
    }
    out_fieldf("secrets", "%s%s%s%s",
               get_bool(account, "has_refresh_token") ? "refresh token" : "no refresh token",
               get_bool(account, "has_private_key") ? ", private key" : "",
               get_bool(account, "has_client_secret") ? ", client secret" : "",
               get_bool(account, "has_password") ? ", client password" : "");
}

void account_print(const json_t *account)
{
    json_t *copy = json_copy((json_t *)account);

    out_heading(get_text(account, "email"));
    print_state(account, json_object_get(account, "state_detail"));
    print_token(json_object_get(account, "token"));
    print_pool(json_object_get(account, "pool"));
    out_heading("settings");
    print_settings(copy);
    json_decref(copy);
}
