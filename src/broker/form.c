#include "broker/form.h"

#include <stdlib.h>

#include "broker/wipe.h"

void form_init(struct form *form)
{
    *form = (struct form){NULL, 0, 0, false};
}

void form_clear(struct form *form)
{
    secret_free_len(form->at, form->cap);
    form_init(form);
}

/* No realloc: it could leave a secret behind in freed memory. */
static bool reserve(struct form *form, size_t more)
{
    size_t cap = form->cap ? form->cap : 512;
    char *grown;

    if (form->failed)
        return false;
    if (form->len + more + 1 <= form->cap)
        return true;
    while (cap < form->len + more + 1)
        cap *= 2;
    grown = malloc(cap);
    if (!grown) {
        form->failed = true;
        return false;
    }
    if (form->len)
        memcpy(grown, form->at, form->len);
    secret_free_len(form->at, form->cap);
    form->at = grown;
    form->cap = cap;
    return true;
}

static void add_raw(struct form *form, const char *octets, size_t len)
{
    if (!reserve(form, len))
        return;
    memcpy(form->at + form->len, octets, len);
    form->len += len;
    form->at[form->len] = '\0';
}

static bool is_unreserved(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

static void add_encoded(struct form *form, struct slice text)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        char code[] = {'%', digits[c >> 4], digits[c & 15]};

        if (is_unreserved(c))
            add_raw(form, &text.ptr[i], 1);
        else
            add_raw(form, code, sizeof(code));
    }
}

void form_add(struct form *form, const char *key, struct slice value)
{
    if (form->len)
        add_raw(form, "&", 1);
    add_encoded(form, slice_of(key));
    add_raw(form, "=", 1);
    add_encoded(form, value);
}

void form_add_encoded(struct form *form, const char *pairs)
{
    if (!pairs[0])
        return;
    if (form->len)
        add_raw(form, "&", 1);
    add_raw(form, pairs, strlen(pairs));
}

/* --- reading ---------------------------------------------------------------------- */

static int digit_of(char c)
{
    c = ascii_lower(c);
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* In its own place: it does not become longer. Returns its length, and ends it with a NUL. */
static size_t decode(char *text)
{
    char *to = text;

    for (const char *from = text; *from; from++) {
        int high = *from == '%' ? digit_of(from[1]) : -1;
        int low = high >= 0 ? digit_of(from[2]) : -1;

        *to++ = low >= 0 ? (char)(high * 16 + low) : *from == '+' ? ' ' : *from;
        from += low >= 0 ? 2 : 0;
    }
    *to = '\0';
    return (size_t)(to - text);
}

bool form_each(const char *pairs, void (*each)(void *arg, const char *key, struct slice value),
               void *arg)
{
    size_t len = strlen(pairs);
    char *copy = slice_dup((struct slice){pairs, len}), *rest = copy, *key;

    if (!copy)
        return false;
    while ((key = strsep(&rest, "&"))) {
        char *value = strchr(key, '=');

        if (!value)
            continue;
        *value++ = '\0';
        decode(key);
        each(arg, key, (struct slice){value, decode(value)});
    }
    secret_free_len(copy, len);
    return true;
}
