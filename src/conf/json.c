#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "conf/tree.h"

bool tree_looks_like_json(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '{' || text.ptr[i] == '[')
            return true;
        if (!strchr(" \t\r\n", text.ptr[i]) || !text.ptr[i])
            return false;
    }
    return false;
}

/* The code unit of "\uXXXX" at `at`, or 0. */
static uint32_t code_unit(struct slice text, size_t at)
{
    uint32_t unit = 0;

    if (at + 6 > text.len || text.ptr[at] != '\\' || text.ptr[at + 1] != 'u')
        return 0;
    for (size_t i = at + 2; i < at + 6; i++) {
        char c = ascii_lower(text.ptr[i]);

        if (c >= '0' && c <= '9')
            unit = unit << 4 | (uint32_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            unit = unit << 4 | (uint32_t)(c - 'a' + 10);
        else
            return 0;
    }
    return unit;
}

/* Copies what begins with the backslash at `at`: a surrogate pair as one
 * \U escape, anything else as it is. Returns how much of `text` that was. */
static size_t copy_escape(struct slice text, size_t at, char *out, size_t *len)
{
    uint32_t high = code_unit(text, at), low = code_unit(text, at + 6);
    size_t rest = text.len - at < 2 ? text.len - at : 2;

    if (high >= 0xd800 && high < 0xdc00 && low >= 0xdc00 && low < 0xe000) {
        uint32_t code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);

        *len += (size_t)snprintf(out + *len, 11, "\\U%08x", (unsigned)code);
        return 12;
    }
    memcpy(out + *len, text.ptr + at, rest);
    *len += rest;
    return rest;
}

char *tree_from_json(struct slice text, size_t *len)
{
    char *out = malloc(text.len + 1); /* never longer: 12 octets become 10 */
    bool quoted = false;

    *len = 0;
    if (!out)
        return NULL;
    for (size_t i = 0; i < text.len;) {
        char c = text.ptr[i];

        if (quoted && c == '\\') {
            i += copy_escape(text, i, out, len);
            continue;
        }
        if (c == '"')
            quoted = !quoted;
        out[(*len)++] = c == '\t' && !quoted ? ' ' : c;
        i++;
    }
    return out;
}
