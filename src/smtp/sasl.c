#include "smtp/sasl.h"

#include <jansson.h>

#include "smtp/reply.h"

#define MESSAGE_MAX (SASL_TOKEN_MAX + 1024)

/* Up to the next NUL or the end; false when `nul` and there is none. */
static bool take_field(struct slice *text, bool nul, struct slice *field)
{
    const char *at = memchr(text->ptr, '\0', text->len);

    if (nul != (at != NULL))
        return false;
    *field = (struct slice){text->ptr, at ? (size_t)(at - text->ptr) : text->len};
    if (at)
        *text = (struct slice){at + 1, text->len - field->len - 1};
    return true;
}

bool sasl_plain_decode(struct slice base64, char *scratch, size_t cap, struct slice *authcid,
                       struct slice *password, struct reason *why)
{
    ptrdiff_t len = base64_decode(base64, scratch, cap);
    struct slice text = {scratch, len > 0 ? (size_t)len : 0};
    struct slice authzid;

    if (len < 0)
        return reason_set(why, "the PLAIN response is not base64 or is too long");
    if (!take_field(&text, true, &authzid) || !take_field(&text, true, authcid) ||
        !take_field(&text, false, password))
        return reason_set(why, "the PLAIN response does not have three parts");
    if (!authcid->len)
        return reason_set(why, "the PLAIN response has no user");
    if (authzid.len && !slice_equal(authzid, *authcid))
        return reason_set(why, "the PLAIN response asks to act as another user");
    return true;
}

/* A control octet in a part could add a field of its own to the message. */
static bool is_clean(struct slice part)
{
    for (size_t i = 0; i < part.len; i++) {
        if ((unsigned char)part.ptr[i] < 32 || part.ptr[i] == 127)
            return false;
    }
    return true;
}

static size_t encode(struct text *message, char *out, size_t cap)
{
    size_t len = 0;

    if (!message->cut && BASE64_LEN(message->len) < cap)
        len = base64_encode(message->at, message->len, out);
    explicit_bzero(message->at, message->cap);
    return len;
}

size_t sasl_xoauth2_encode(struct slice user, struct slice token, char *out, size_t cap)
{
    char memory[MESSAGE_MAX + 1];
    struct text message;

    if (!user.len || !token.len || !is_clean(user) || !is_clean(token))
        return 0;
    text_init(&message, memory, sizeof(memory));
    text_add_str(&message, "user=");
    text_add_slice(&message, user);
    text_add_str(&message, "\001auth=Bearer ");
    text_add_slice(&message, token);
    text_add_str(&message, "\001\001");
    return encode(&message, out, cap);
}

/* saslname of RFC 5801 section 4. */
static void add_saslname(struct text *message, struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == ',')
            text_add_str(message, "=2C");
        else if (name.ptr[i] == '=')
            text_add_str(message, "=3D");
        else
            text_add_char(message, name.ptr[i]);
    }
}

size_t sasl_oauthbearer_encode(struct slice user, struct slice host, unsigned port,
                               struct slice token, char *out, size_t cap)
{
    char memory[MESSAGE_MAX + 1];
    struct text message;

    if (!user.len || !token.len || !is_clean(user) || !is_clean(host) || !is_clean(token))
        return 0;
    text_init(&message, memory, sizeof(memory));
    text_add_str(&message, "n,a=");
    add_saslname(&message, user);
    text_add_str(&message, ",\001host=");
    text_add_slice(&message, host);
    text_add_str(&message, "\001port=");
    text_add_u64(&message, port);
    text_add_str(&message, "\001auth=Bearer ");
    text_add_slice(&message, token);
    text_add_str(&message, "\001\001");
    return encode(&message, out, cap);
}

static void copy_status(const json_t *status, char *out, size_t cap)
{
    struct text text;

    text_init(&text, out, cap);
    if (json_is_string(status))
        text_add(&text, json_string_value(status), json_string_length(status));
    else if (json_is_integer(status))
        text_addf(&text, "%" JSON_INTEGER_FORMAT, json_integer_value(status));
    for (size_t i = 0; i < text.len; i++) {
        if (out[i] < 32 || out[i] > 126)
            out[i] = '?';
    }
}

bool sasl_oauth_failure(struct slice base64, char *status, size_t cap)
{
    char decoded[REPLY_TEXT_MAX];
    ptrdiff_t len = base64_decode(base64, decoded, sizeof(decoded));
    bool found = false;

    status[0] = '\0';
    if (len > 0) {
        json_t *json = json_loadb(decoded, (size_t)len, 0, NULL);

        found = json_is_object(json);
        copy_status(json_object_get(json, "status"), status, cap);
        json_decref(json);
    }
    return found;
}
