#include "broker/admin/target.h"

#include "broker/wipe.h"

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool percent_decode(char *text)
{
    char *out = text;

    for (; *text; text++) {
        int high = *text == '%' ? hex_value(text[1]) : 0;
        int low = *text == '%' && high >= 0 ? hex_value(text[2]) : 0;

        if (high < 0 || low < 0 || (*text == '%' && !high && !low))
            return false;
        if (*text == '%') {
            *out++ = (char)(high * 16 + low);
            text += 2;
        } else {
            *out++ = *text;
        }
    }
    *out = '\0';
    return true;
}

/* "http://host/path?query", which a proxy's client sends, without the host. */
static char *skip_origin(char *text)
{
    struct slice slice = slice_of(text);
    char *slash;

    if (!slice_starts_nocase(slice, SLICE("http://")) &&
        !slice_starts_nocase(slice, SLICE("https://")))
        return text;
    slash = strchr(strchr(text, ':') + 3, '/');
    return slash ? slash : text;
}

static bool add_parameter(struct target *target, char *pair, struct reason *why)
{
    struct target_parameter *parameter = &target->parameters[target->count];
    char *equals = strchr(pair, '=');

    if (!*pair)
        return true;
    if (target->count == TARGET_PARAMETERS_MAX)
        return reason_set(why, "the query has more than %d parameters", TARGET_PARAMETERS_MAX);
    parameter->name = pair;
    parameter->value = equals ? equals + 1 : pair + strlen(pair);
    if (equals)
        *equals = '\0';
    if (!percent_decode(parameter->name) || !percent_decode(parameter->value))
        return reason_set(why, "the query is not encoded as in RFC 3986: \"%%\" must be followed "
                               "by two hexadecimal digits that are not 00");
    target->count++;
    return true;
}

bool target_parse(struct target *target, const char *text, struct reason *why)
{
    char *query;

    *target = (struct target){.memory = slice_dup(slice_of(text))};
    if (!target->memory)
        return reason_set(why, "out of memory");
    target->path = skip_origin(target->memory);
    query = strchr(target->path, '?');
    if (!query)
        return true;
    *query++ = '\0';
    while (query) {
        char *next = strchr(query, '&');

        if (next)
            *next++ = '\0';
        if (!add_parameter(target, query, why))
            return false;
        query = next;
    }
    return true;
}

void target_clear(struct target *target)
{
    secret_free(&target->memory);
    *target = (struct target){NULL};
}

const char *target_query(const struct target *target, const char *name)
{
    for (size_t i = 0; i < target->count; i++) {
        if (strcmp(target->parameters[i].name, name) == 0)
            return target->parameters[i].value;
    }
    return NULL;
}
