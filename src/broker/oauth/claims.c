#include "broker/oauth/claims.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/codec.h"
#include "base/date.h"
#include "broker/wipe.h"

#define TOKEN_MAX 16384
#define CLOCK_S 120

/* --- reading ------------------------------------------------------------------------- */

/* base64url without padding as base64 with it. NULL: it has padding, or memory is out. */
static char *as_base64(struct slice part, size_t *len)
{
    size_t padded = (part.len + 3) / 4 * 4;
    char *text = memchr(part.ptr, '=', part.len) ? NULL : malloc(padded + 1);

    if (!text)
        return NULL;
    for (size_t i = 0; i < padded; i++) {
        char c = i < part.len ? part.ptr[i] : '=';

        text[i] = c == '-' ? '+' : c == '_' ? '/' : c;
    }
    text[padded] = '\0';
    *len = padded;
    return text;
}

static json_t *object_of(struct slice part)
{
    size_t len, cap = part.len + 4;
    char *text = as_base64(part, &len), *octets = text ? malloc(cap) : NULL;
    json_t *object = NULL;
    ptrdiff_t got;

    if (octets) {
        got = base64_decode((struct slice){text, len}, octets, cap);
        if (got > 0)
            object = json_loadb(octets, (size_t)got, 0, NULL);
        secret_free_len(octets, cap);
    }
    if (text)
        secret_free_len(text, len);
    if (json_is_object(object))
        return object;
    json_decref(object);
    return NULL;
}

static void add_printable(struct text *text, struct slice octets)
{
    for (size_t i = 0; i < octets.len && !text->cut; i++)
        text_add_char(text, octets.ptr[i] > ' ' && octets.ptr[i] < 127 ? octets.ptr[i]
                            : octets.ptr[i] == ' '                     ? ' '
                                                                       : '?');
}

static struct slice string_of(const json_t *value)
{
    return (struct slice){json_string_value(value), json_string_length(value)};
}

/* A text, or several. */
static void take(const json_t *object, const char *key, char *out, size_t cap)
{
    json_t *value = json_object_get(object, key), *one;
    struct text text;
    size_t i;

    if (out[0] || !value)
        return;
    text_init(&text, out, cap);
    if (json_is_string(value))
        add_printable(&text, string_of(value));
    json_array_foreach(value, i, one)
    {
        if (text.len)
            text_add_char(&text, ' ');
        add_printable(&text, string_of(one));
    }
}

static int64_t time_of(const json_t *object, const char *key)
{
    double seconds = json_number_value(json_object_get(object, key));

    return seconds > 0 && seconds < 253402300800.0 ? (int64_t)seconds : 0;
}

static void take_all(const json_t *payload, struct claims *out)
{
    take(payload, "aud", out->audience, sizeof(out->audience));
    take(payload, "appid", out->application, sizeof(out->application));
    take(payload, "azp", out->application, sizeof(out->application));
    take(payload, "client_id", out->application, sizeof(out->application));
    take(payload, "tid", out->tenant, sizeof(out->tenant));
    take(payload, "scp", out->scopes, sizeof(out->scopes));
    take(payload, "scope", out->scopes, sizeof(out->scopes));
    take(payload, "roles", out->roles, sizeof(out->roles));
    take(payload, "upn", out->user, sizeof(out->user));
    take(payload, "preferred_username", out->user, sizeof(out->user));
    take(payload, "unique_name", out->user, sizeof(out->user));
    take(payload, "email", out->user, sizeof(out->user));
    take(payload, "oid", out->object, sizeof(out->object));
    out->issued_s = time_of(payload, "iat");
    out->not_before_s = time_of(payload, "nbf");
    out->expires_s = time_of(payload, "exp");
}

/* Takes the part up to the next dot off the front. */
static struct slice next_part(struct slice *rest)
{
    const char *dot = rest->len ? memchr(rest->ptr, '.', rest->len) : NULL;
    struct slice part = {rest->ptr, dot ? (size_t)(dot - rest->ptr) : rest->len};
    size_t used = part.len + (dot != NULL);

    rest->ptr += used;
    rest->len -= used;
    return part;
}

bool claims_read(struct slice token, struct claims *out)
{
    struct slice rest = token, header, payload;
    json_t *object;

    *out = (struct claims){.issued_s = 0};
    if (!token.len || token.len > TOKEN_MAX)
        return false;
    header = next_part(&rest);
    payload = next_part(&rest);
    if (!payload.len || !rest.len || memchr(rest.ptr, '.', rest.len))
        return false; /* two parts, or five: that one is encrypted */
    object = object_of(header);
    if (!object)
        return false;
    json_decref(object);
    object = object_of(payload);
    if (!object)
        return false;
    take_all(object, out);
    json_decref(object);
    return true;
}

/* --- saying -------------------------------------------------------------------------- */

static void add(struct text *out, size_t from, const char *label, const char *value)
{
    if (value[0])
        text_addf(out, "%s%s %s", out->len > from ? ", " : "", label, value);
}

void claims_describe(const struct claims *claims, struct text *out)
{
    char until[DATE_TEXT] = "";
    size_t from = out->len;

    if (claims->expires_s)
        date_format((uint64_t)claims->expires_s * 1000, until);
    add(out, from, "aud", claims->audience);
    add(out, from, "scp", claims->scopes);
    add(out, from, "roles", claims->roles);
    add(out, from, "user", claims->user);
    add(out, from, "appid", claims->application);
    add(out, from, "tid", claims->tenant);
    add(out, from, "oid", claims->object);
    add(out, from, "exp", until);
    if (out->len == from)
        text_add_str(out, "no claim that says something");
}

/* --- judging ------------------------------------------------------------------------- */

static bool has(const char *text, const char *part)
{
    return slice_find_nocase(slice_of(text), slice_of(part)) >= 0;
}

/* Of Exchange Online: its hosts in all clouds, and its number. */
static bool is_exchange(const char *audience)
{
    static const char *const names[] = {
        "outlook.office.com",   "outlook.office365.com",
        "outlook.office365.us", "outlook-dod.office365.us",
        "partner.outlook.cn",   "ps.outlook.com",
        "outlook.com",          "00000002-0000-0ff1-ce00-000000000000"};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (has(audience, names[i]))
            return true;
    }
    return false;
}

static enum claims_verdict judge_microsoft(const struct claims *claims, struct reason *why)
{
    if (claims->audience[0] && !is_exchange(claims->audience)) {
        reason_set(why, "the token's audience is not Exchange Online but %s", claims->audience);
        return CLAIMS_BAD;
    }
    if (claims->scopes[0] && !has(claims->scopes, "SMTP.Send")) {
        reason_set(why, "the token has no SMTP.Send among its scopes");
        return CLAIMS_BAD;
    }
    if (!claims->scopes[0] && !has(claims->roles, "SMTP.SendAsApp")) {
        reason_set(why, "the token has no role SMTP.SendAsApp");
        return CLAIMS_DOUBTFUL;
    }
    return CLAIMS_GOOD;
}

enum claims_verdict claims_judge(const struct claims *claims, const char *provider,
                                 uint64_t wall_ms, struct reason *why)
{
    int64_t now = (int64_t)(wall_ms / 1000);
    enum claims_verdict verdict = CLAIMS_GOOD;

    if (slice_starts_nocase(slice_of(provider), SLICE("outlook")))
        verdict = judge_microsoft(claims, why);
    if (verdict == CLAIMS_BAD)
        return verdict;
    if (claims->expires_s && claims->expires_s <= now) {
        reason_set(why, "the token has expired already");
        return CLAIMS_BAD;
    }
    if (claims->issued_s > now + CLOCK_S || claims->not_before_s > now + CLOCK_S) {
        reason_set(why, "the token is not valid yet: the clocks differ");
        return CLAIMS_DOUBTFUL;
    }
    return verdict;
}
