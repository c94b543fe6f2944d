#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

void ascii_lower_in_place(char *text)
{
    for (; *text; text++)
        *text = ascii_lower(*text);
}

bool slice_equal(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static bool equal_nocase(const char *a, const char *b, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (ascii_lower(a[i]) != ascii_lower(b[i]))
            return false;
    }
    return true;
}

bool slice_equal_nocase(struct slice a, struct slice b)
{
    return a.len == b.len && equal_nocase(a.ptr, b.ptr, a.len);
}

bool slice_starts_nocase(struct slice text, struct slice prefix)
{
    return text.len >= prefix.len && equal_nocase(text.ptr, prefix.ptr, prefix.len);
}

ptrdiff_t slice_find_nocase(struct slice text, struct slice needle)
{
    for (size_t i = 0; i + needle.len <= text.len; i++) {
        if (equal_nocase(text.ptr + i, needle.ptr, needle.len))
            return (ptrdiff_t)i;
    }
    return -1;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct slice slice_trim(struct slice text)
{
    while (text.len && is_blank(text.ptr[0])) {
        text.ptr++;
        text.len--;
    }
    while (text.len && is_blank(text.ptr[text.len - 1]))
        text.len--;
    return text;
}

bool slice_to_u64(struct slice text, uint64_t *out)
{
    uint64_t value = 0;

    if (text.len == 0)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (c < '0' || c > '9' || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(c - '0'), &value))
            return false;
    }
    *out = value;
    return true;
}

bool slice_copy(struct slice text, char *out, size_t cap)
{
    size_t len = text.len < cap ? text.len : cap - 1;

    if (len)
        memcpy(out, text.ptr, len);
    out[len] = '\0';
    return len == text.len;
}

char *slice_dup(struct slice text)
{
    char *copy = malloc(text.len + 1);

    if (copy)
        slice_copy(text, copy, text.len + 1);
    return copy;
}

void text_init(struct text *text, char *memory, size_t cap)
{
    *text = (struct text){.at = memory, .cap = cap};
    memory[0] = '\0';
}

void text_add(struct text *text, const char *bytes, size_t len)
{
    size_t room = text->cap - 1 - text->len;

    if (len > room) {
        text->cut = true;
        len = room;
    }
    if (len)
        memcpy(text->at + text->len, bytes, len);
    text->len += len;
    text->at[text->len] = '\0';
}

void text_add_str(struct text *text, const char *str)
{
    text_add(text, str, strlen(str));
}

void text_add_slice(struct text *text, struct slice slice)
{
    text_add(text, slice.ptr, slice.len);
}

void text_add_char(struct text *text, char c)
{
    text_add(text, &c, 1);
}

void text_add_u64(struct text *text, uint64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    text_add(text, digits + at, sizeof(digits) - at);
}

void text_addf(struct text *text, const char *format, ...)
{
    size_t room = text->cap - text->len;
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(text->at + text->len, room, format, args);
    va_end(args);
    if (len < 0)
        return;
    if ((size_t)len >= room) {
        text->cut = true;
        len = (int)room - 1;
    }
    text->len += (size_t)len;
}

bool reason_set(struct reason *why, const char *format, ...)
{
    if (why) {
        va_list args;

        va_start(args, format);
        vsnprintf(why->text, sizeof(why->text), format, args);
        va_end(args);
    }
    return false;
}

#define NEAREST_MAX 64

static size_t edit_distance(const char *a, size_t alen, const char *b, size_t blen)
{
    size_t row[NEAREST_MAX + 1];

    for (size_t j = 0; j <= blen; j++)
        row[j] = j;
    for (size_t i = 1; i <= alen; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= blen; j++) {
            size_t keep = diagonal + (ascii_lower(a[i - 1]) != ascii_lower(b[j - 1]));
            size_t change = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;

            diagonal = row[j];
            row[j] = keep < change ? keep : change;
        }
    }
    return row[blen];
}

const char *nearest_name(const char *word, const char *const *names)
{
    size_t wlen = strlen(word), best = wlen / 2 + 1;
    const char *found = NULL;

    if (wlen > NEAREST_MAX)
        return NULL;
    for (; *names; names++) {
        size_t nlen = strlen(*names), distance;

        if (nlen > NEAREST_MAX)
            continue;
        distance = edit_distance(word, wlen, *names, nlen);
        if (distance < best) {
            best = distance;
            found = *names;
        }
    }
    return found;
}
