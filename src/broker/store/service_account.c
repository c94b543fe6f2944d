#include "broker/store/service_account.h"

#include "broker/store/checks.h"

/* NULL when the value is no text, "" when it is absent. */
static const char *text_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    if (!value || json_is_null(value))
        return "";
    if (!json_is_string(value) || strlen(json_string_value(value)) != json_string_length(value))
        return NULL;
    return json_string_value(value);
}

const char *service_account_read(const json_t *object, struct service_account *out)
{
    const char *type = text_of(object, "type");

    *out =
        (struct service_account){text_of(object, "client_email"), text_of(object, "private_key"),
                                 text_of(object, "private_key_id"), text_of(object, "token_uri")};
    if (!json_is_object(object))
        return "must be the JSON object that Google gives out as the account's key";
    if (!type || (type[0] && strcmp(type, "service_account") != 0))
        return "must be the key of a service account; this is something else of Google's";
    if (!out->email || check_email(out->email))
        return "must have the account's address as client_email";
    if (!out->private_key || !out->private_key[0])
        return "must have a private_key";
    if (!out->key_id || check_secret(out->key_id) || strlen(out->key_id) > 256)
        return "must have a private_key_id of visible characters";
    if (!out->token_uri || check_https_url(out->token_uri))
        return "must have a token_uri that is an https:// URL, or none";
    return NULL;
}
