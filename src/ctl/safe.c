#include "ctl/safe.h"

#include <stdlib.h>
#include <wchar.h>

#define ESCAPED_MAX 8 /* \U0010ffff would be longer, but none of those is escaped */

/* The character at the beginning and its length; 0 when it is no UTF-8:
 * overlong forms and surrogates are none. */
static size_t decode(struct slice text, uint32_t *out)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *at = (const unsigned char *)text.ptr;
    size_t len = at[0] < 0x80 ? 1 : at[0] < 0xc2 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
    uint32_t c = len == 1 ? at[0] : at[0] & (0xffu >> (len + 1));

    if (!len || len > text.len || at[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (at[i] & 0x3f);
    }
    *out = c;
    return c >= least[len] && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff) ? len : 0;
}

/* Controls of ISO 6429 (C0, DEL, C1), and characters that cannot be seen but
 * move, join or hide what stands beside them. */
static bool is_harmful(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x61c || c == 0x180e ||
           (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb);
}

static bool is_hidden_tag(uint32_t c)
{
    return c >= 0xe0000 && c <= 0xe0fff;
}

/* Octets that it takes; `len` becomes what of the text it used up. */
static size_t show_one(struct slice rest, char *out, size_t *len)
{
    uint32_t c = 0;

    *len = decode(rest, &c);
    if (!*len) {
        *len = 1;
        return (size_t)snprintf(out, ESCAPED_MAX + 1, "\\x%02x", (unsigned char)rest.ptr[0]);
    }
    if (is_hidden_tag(c))
        return (size_t)snprintf(out, ESCAPED_MAX + 1, "\\u%05x", c);
    if (is_harmful(c))
        return (size_t)snprintf(out, ESCAPED_MAX + 1, c < 0x80 ? "\\x%02x" : "\\u%04x", c);
    memcpy(out, rest.ptr, *len);
    return *len;
}

char *safe_text(struct slice text)
{
    char *out = malloc(text.len * ESCAPED_MAX + ESCAPED_MAX + 1);
    size_t at = 0, len;

    if (!out)
        return NULL;
    while (text.len) {
        at += show_one(text, out + at, &len);
        text = (struct slice){text.ptr + len, text.len - len};
    }
    out[at] = '\0';
    return out;
}

void safe_put(FILE *out, const char *text)
{
    char *safe = safe_text(slice_of(text));

    fputs(safe ? safe : "?", out);
    free(safe);
}

/* wcwidth knows what the locale knows; what it does not know is one column. */
static size_t width_of(uint32_t c)
{
    int width = c < 0x80 ? 1 : wcwidth((wchar_t)c);

    return width < 0 ? 1 : (size_t)width;
}

struct slice safe_cut(struct slice text, size_t width)
{
    size_t at = 0, used = 0;

    while (at < text.len) {
        uint32_t c = 0;
        size_t len = decode((struct slice){text.ptr + at, text.len - at}, &c);
        size_t columns = len ? width_of(c) : 1;

        if (used + columns > width)
            break;
        used += columns;
        at += len ? len : 1;
    }
    return (struct slice){text.ptr, at};
}

size_t safe_width(struct slice text)
{
    size_t width = 0;

    while (text.len) {
        uint32_t c = 0;
        size_t len = decode(text, &c);

        width += len ? width_of(c) : 1;
        text = (struct slice){text.ptr + (len ? len : 1), text.len - (len ? len : 1)};
    }
    return width;
}
