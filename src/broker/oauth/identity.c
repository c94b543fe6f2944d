#include "broker/oauth/identity.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/codec.h"
#include "broker/wipe.h"

#define CLOCKS_DIFFER_MS 300000

/* The payload of a JWT, or NULL. */
static json_t *payload_of(struct slice token)
{
    const char *dot = token.len ? memchr(token.ptr, '.', token.len) : NULL, *end;
    size_t len, padded;
    char *text;
    ptrdiff_t got = -1;
    json_t *payload = NULL;

    if (!dot || !(end = memchr(dot + 1, '.', token.len - (size_t)(dot + 1 - token.ptr))))
        return NULL;
    len = (size_t)(end - dot) - 1;
    padded = (len + 3) / 4 * 4;
    text = malloc(padded + 1);
    if (!text)
        return NULL;
    for (size_t i = 0; i < padded; i++) {
        char c = i < len ? dot[1 + i] : '=';

        text[i] = (char)(c == '-' ? '+' : c == '_' ? '/' : c);
    }
    /* In place: what is decoded is shorter and is written behind what was read. */
    got = base64_decode((struct slice){text, padded}, text, padded);
    if (got > 0)
        payload = json_loadb(text, (size_t)got, 0, NULL);
    secret_free_len(text, padded);
    return payload;
}

static bool is_for(const json_t *payload, const char *client_id)
{
    const json_t *audience = json_object_get(payload, "aud"), *one;
    size_t i;

    if (json_is_string(audience))
        return strcmp(json_string_value(audience), client_id) == 0;
    json_array_foreach(audience, i, one)
    {
        if (json_is_string(one) && strcmp(json_string_value(one), client_id) == 0)
            return true;
    }
    return false;
}

/* Without "exp" it comes from a server that does without. */
static bool is_over(const json_t *payload, uint64_t wall_ms)
{
    const json_t *value = json_object_get(payload, "exp");

    return json_is_number(value) &&
           json_number_value(value) * 1000 + CLOCKS_DIFFER_MS < (double)wall_ms;
}

/* Some servers quote it. */
static bool says(const json_t *payload, const char *key, bool wanted)
{
    const json_t *value = json_object_get(payload, key);
    const char *text = json_string_value(value);

    if (text)
        return strcmp(text, wanted ? "true" : "false") == 0;
    return wanted ? json_is_true(value) : json_is_false(value);
}

static bool is_address(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] <= ' ' || text.ptr[i] == 127)
            return false;
    }
    return text.len && memchr(text.ptr, '@', text.len);
}

static void take_names(struct identity *identity, const json_t *payload)
{
    static const char *const keys[IDENTITY_NAMES] = {"email", "preferred_username", "upn"};
    size_t count = 0;

    for (size_t i = 0; i < IDENTITY_NAMES; i++) {
        const json_t *value = json_object_get(payload, keys[i]);
        struct slice text = {json_string_value(value), json_string_length(value)};

        if (i == 0 && says(payload, "email_verified", false))
            continue;
        if (is_address(text) && slice_copy(text, identity->names[count], IDENTITY_NAME_MAX))
            identity->vouched[count++] = i > 0 || says(payload, "email_verified", true);
        else
            identity->names[count][0] = '\0';
    }
}

void identity_read(struct identity *identity, struct slice body, const char *client_id,
                   uint64_t wall_ms)
{
    json_t *root = json_loadb(body.ptr ? body.ptr : "", body.len, 0, NULL), *payload;
    const json_t *token = json_object_get(root, "id_token");
    const char *scope = json_string_value(json_object_get(root, "scope"));

    *identity = (struct identity){.scope = ""};
    if (scope && !slice_copy(slice_of(scope), identity->scope, sizeof(identity->scope)))
        identity->scope[0] = '\0'; /* cut, it would tell less than was allowed */
    payload = payload_of((struct slice){json_string_value(token), json_string_length(token)});
    if (is_for(payload, client_id) && !is_over(payload, wall_ms))
        take_names(identity, payload);
    json_decref(payload);
    json_decref(root);
}

const char *identity_name(const struct identity *identity)
{
    return identity->names[0];
}

static bool has_name(const struct identity *identity, const char *email, bool vouched)
{
    for (size_t i = 0; i < IDENTITY_NAMES; i++) {
        if ((identity->vouched[i] || !vouched) &&
            slice_equal_nocase(slice_of(identity->names[i]), slice_of(email)))
            return true;
    }
    return false;
}

bool identity_is(const struct identity *identity, const char *email)
{
    return has_name(identity, email, true);
}

bool identity_claims(const struct identity *identity, const char *email)
{
    return has_name(identity, email, false);
}

static struct slice next_word(const char **at)
{
    struct slice word;

    *at += strspn(*at, " ");
    word = (struct slice){*at, strcspn(*at, " ")};
    *at += word.len;
    return word;
}

/* The permission's name behind the resource: one resource has several names. */
static struct slice last_part(struct slice word)
{
    const char *slash = memrchr(word.ptr, '/', word.len);
    struct slice part =
        slash ? (struct slice){slash + 1, word.len - (size_t)(slash + 1 - word.ptr)} : word;

    return part.len ? part : word;
}

static bool has(const char *scope, struct slice wanted)
{
    struct slice word;

    while ((word = next_word(&scope)).len) {
        if (slice_equal_nocase(word, wanted) ||
            slice_equal_nocase(last_part(word), last_part(wanted)))
            return true;
    }
    return false;
}

bool identity_lacks(const struct identity *identity, const char *asked, char *out, size_t cap)
{
    struct slice word;

    if (!identity->scope[0])
        return false;
    while ((word = next_word(&asked)).len) {
        if (!slice_starts_nocase(word, SLICE("https://")) || has(identity->scope, word))
            continue;
        slice_copy(word, out, cap);
        return true;
    }
    return false;
}
