#include "broker/store/json_text.h"

#include <stdio.h>
#include <stdlib.h>

#include "broker/wipe.h"

/* --- output ----------------------------------------------------------------- */

static bool reserve(struct json_out *out, size_t more)
{
    size_t cap = out->cap ? out->cap : 256;
    char *grown;

    if (out->len + more < out->cap)
        return true;
    while (cap <= out->len + more)
        cap *= 2;
    grown = malloc(cap);
    if (!grown)
        return false;
    if (out->len)
        memcpy(grown, out->at, out->len);
    secret_free_len(out->at, out->len);
    out->at = grown;
    out->cap = cap;
    return true;
}

void json_out_put(struct json_out *out, const char *octets, size_t len)
{
    if (out->failed || !reserve(out, len)) {
        out->failed = true;
        return;
    }
    memcpy(out->at + out->len, octets, len);
    out->len += len;
    out->at[out->len] = '\0';
}

static void put_text(struct json_out *out, const char *text)
{
    json_out_put(out, text, strlen(text));
}

void json_out_clear(struct json_out *out)
{
    secret_free_len(out->at, out->len);
    *out = (struct json_out){NULL, 0, 0, false};
}

char *json_out_take(struct json_out *out, size_t *len)
{
    char *text = out->at;

    if (out->failed) {
        json_out_clear(out);
        return NULL;
    }
    *len = out->len;
    *out = (struct json_out){NULL, 0, 0, false};
    return text;
}

/* --- the scanner ------------------------------------------------------------ */

static size_t skip_space(const char *text, size_t at)
{
    return at + strspn(text + at, " \t\r\n");
}

/* `at` is on the opening quote; returns what follows the closing one. */
static size_t skip_string(const char *text, size_t at)
{
    at++;
    while (text[at] && text[at] != '"')
        at += text[at] == '\\' && text[at + 1] ? 2 : 1;
    return text[at] ? at + 1 : at;
}

static size_t skip_value(const char *text, size_t at)
{
    size_t depth = 0;

    do {
        at += strcspn(text + at, depth ? "\"{}[]" : "\"{}[],\t\r\n ");
        if (text[at] == '"') {
            at = skip_string(text, at);
        } else if (text[at] == '{' || text[at] == '[') {
            depth++;
            at++;
        } else if (depth && text[at]) {
            depth--;
            at++;
        } else {
            break; /* the end of a number, true, false or null */
        }
    } while (depth && text[at]);
    return at;
}

/* Where a member's value begins; `at` is its key. */
static size_t value_of(const char *text, size_t at)
{
    return skip_space(text, skip_space(text, skip_string(text, at)) + 1); /* over the colon */
}

static bool add_span(struct json_items *items, size_t *cap, struct span span)
{
    if (items->count == *cap) {
        size_t wider = *cap ? *cap * 2 : 16;
        struct span *spans = reallocarray(items->spans, wider, sizeof(*spans));

        if (!spans)
            return false;
        items->spans = spans;
        *cap = wider;
    }
    items->spans[items->count++] = span;
    return true;
}

bool json_items_read(struct json_items *items, const char *text, size_t at)
{
    size_t cap = 0;

    *items = (struct json_items){.object = text[at] == '{', .open = at};
    at = skip_space(text, at + 1);
    while (text[at] && text[at] != ']' && text[at] != '}') {
        struct span span = {at, skip_value(text, items->object ? value_of(text, at) : at)};

        if (!add_span(items, &cap, span)) {
            json_items_clear(items);
            return false;
        }
        at = skip_space(text, span.end);
        if (text[at] == ',')
            at = skip_space(text, at + 1);
    }
    items->close = at;
    return true;
}

void json_items_clear(struct json_items *items)
{
    free(items->spans);
    items->spans = NULL;
    items->count = 0;
}

/* A key as it is meant: with its escapes resolved. Malloc'd, NULL: memory is
 * out. */
static char *key_at(const char *text, size_t at)
{
    size_t end = skip_string(text, at);
    json_t *decoded;
    char *key;

    if (!memchr(text + at, '\\', end - at))
        return slice_dup((struct slice){text + at + 1, end - at - 2});
    decoded = json_loadb(text + at, end - at, JSON_DECODE_ANY, NULL);
    key = json_is_string(decoded) ? slice_dup(slice_of(json_string_value(decoded))) : NULL;
    json_decref(decoded);
    return key;
}

struct span json_member(const char *text, const struct json_items *items, const char *key)
{
    for (size_t i = 0; items->object && i < items->count; i++) {
        char *name = key_at(text, items->spans[i].start);
        bool found = name && strcmp(name, key) == 0;

        free(name);
        if (found)
            return (struct span){value_of(text, items->spans[i].start), items->spans[i].end};
    }
    return (struct span){0, 0};
}

/* --- style ------------------------------------------------------------------ */

/* White space of the text; false when it does not fit, and `out` stays. */
static bool take_space(const char *text, size_t start, size_t end, char *out, size_t cap)
{
    return end - start < cap && slice_copy((struct slice){text + start, end - start}, out, cap);
}

/* From the last line end on: blank lines between records are not repeated. */
static void keep_last_line(char *gap)
{
    char *line = strrchr(gap, '\n');

    if (!line)
        return;
    if (line > gap && line[-1] == '\r')
        line--;
    memmove(gap, line, strlen(line) + 1);
}

static void read_gaps(struct json_style *style, const char *text, const struct json_items *items)
{
    const struct span *last = &items->spans[items->count - 1];
    size_t start = items->open + 1;

    if (items->count > 1) {
        start = skip_space(text, last[-1].end);
        start += text[start] == ',';
    }
    if (take_space(text, start, last->start, style->gap, sizeof(style->gap)))
        keep_last_line(style->gap);
    if (take_space(text, last->end, items->close, style->close, sizeof(style->close)))
        keep_last_line(style->close);
}

static void read_unit(struct json_style *style)
{
    size_t outer = strlen(style->close);

    if (strchr(style->gap, '\n') && strchr(style->close, '\n') && strlen(style->gap) > outer &&
        strncmp(style->gap, style->close, outer) == 0)
        slice_copy(slice_of(style->gap + outer), style->unit, sizeof(style->unit));
}

void json_style_read(struct json_style *style, const char *text, const struct json_items *items,
                     const struct json_style *otherwise)
{
    *style = *otherwise;
    if (!items->count)
        return;
    if (items->object) {
        size_t end = skip_string(text, items->spans[0].start);

        take_space(text, end, value_of(text, items->spans[0].start), style->colon,
                   sizeof(style->colon));
    }
    read_gaps(style, text, items);
    /* One item on one line says little: a blank after the colon means one after
     * the comma. */
    if (items->count == 1 && !strchr(style->gap, '\n'))
        slice_copy(strchr(style->colon, ' ') ? SLICE(" ") : SLICE(""), style->gap,
                   sizeof(style->gap));
    read_unit(style);
}

void json_style_inner(struct json_style *inner, const struct json_style *outer)
{
    struct text text;

    if (inner != outer)
        *inner = *outer;
    if (!strchr(outer->gap, '\n')) {
        inner->close[0] = '\0';
        return;
    }
    slice_copy(slice_of(outer->gap), inner->close, sizeof(inner->close));
    text_init(&text, inner->gap, sizeof(inner->gap));
    text_add_str(&text, inner->close);
    text_add_str(&text, inner->unit);
}

/* --- writing ---------------------------------------------------------------- */

/* As few digits as tell the number from all others: 0.1, not
 * 0.10000000000000001. */
static size_t digits_of(const json_t *value)
{
    char shown[40];
    size_t digits;

    if (!json_is_real(value))
        return 0;
    for (digits = 15; digits < 17; digits++) {
        snprintf(shown, sizeof(shown), "%.*g", (int)digits, json_real_value(value));
        if (strtod(shown, NULL) == json_real_value(value))
            break;
    }
    return digits;
}

static void write_scalar(struct json_out *out, const json_t *value)
{
    size_t flags = JSON_ENCODE_ANY | JSON_REAL_PRECISION(digits_of(value));
    size_t len = json_dumpb(value, NULL, 0, flags);

    if (out->failed || !len || !reserve(out, len)) {
        out->failed = true;
        return;
    }
    out->len += json_dumpb(value, out->at + out->len, len, flags);
    out->at[out->len] = '\0';
}

static void write_key(struct json_out *out, const char *key, const struct json_style *style)
{
    json_t *json = json_string(key);

    write_scalar(out, json);
    json_decref(json);
    put_text(out, style->colon);
}

static void begin_item(struct json_out *out, bool first, const struct json_style *style)
{
    if (!first)
        put_text(out, ",");
    if (!first || strchr(style->gap, '\n'))
        put_text(out, style->gap);
    else
        put_text(out, style->close); /* "{ "a": 1 }" */
}

static void write_object(struct json_out *out, const json_t *object, const struct json_style *style)
{
    struct json_style inner;
    bool first = true;
    const char *key;
    json_t *value;

    json_style_inner(&inner, style);
    put_text(out, "{");
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        begin_item(out, first, style);
        first = false;
        write_key(out, key, style);
        json_text_write(out, value, &inner);
    }
    put_text(out, style->close);
    put_text(out, "}");
}

static void write_array(struct json_out *out, const json_t *array, const struct json_style *style)
{
    struct json_style inner;

    json_style_inner(&inner, style);
    put_text(out, "[");
    for (size_t i = 0; i < json_array_size(array); i++) {
        begin_item(out, i == 0, style);
        json_text_write(out, json_array_get(array, i), &inner);
    }
    put_text(out, style->close);
    put_text(out, "]");
}

void json_text_write(struct json_out *out, const json_t *value, const struct json_style *style)
{
    if (json_is_object(value) && json_object_size(value))
        write_object(out, value, style);
    else if (json_is_array(value) && json_array_size(value))
        write_array(out, value, style);
    else
        write_scalar(out, value);
}

/* --- changing --------------------------------------------------------------- */

struct change {
    struct json_out *out;
    const char *text;
    const json_t *before, *after;
    struct json_style style; /* of the members */
};

static void change_value(const struct change *change, struct span span, const json_t *before,
                         const json_t *after)
{
    struct json_style inner;

    json_style_inner(&inner, &change->style);
    if (json_equal(before, after))
        json_out_put(change->out, change->text + span.start, span.end - span.start);
    else if (json_is_object(before) && json_is_object(after))
        json_text_change(change->out, change->text, span.start, before, after, &inner);
    else
        json_text_write(change->out, after, &inner);
}

/* Member i with what stands before it, if it is still there. */
static bool keep_member(const struct change *change, const struct json_items *items, size_t i,
                        bool first)
{
    const struct span *span = &items->spans[i];
    size_t from = first ? items->open + 1 : span[-1].end;
    size_t to = first ? items->spans[0].start : span->start;
    char *key = key_at(change->text, span->start);
    const json_t *after = key ? json_object_get(change->after, key) : NULL;
    struct span value = {value_of(change->text, span->start), span->end};

    change->out->failed = change->out->failed || !key;
    if (after) {
        json_out_put(change->out, change->text + from, to - from);
        json_out_put(change->out, change->text + span->start, value.start - span->start);
        change_value(change, value, json_object_get(change->before, key), after);
    }
    free(key);
    return after != NULL;
}

static void add_members(const struct change *change)
{
    struct json_style inner;
    const char *key;
    json_t *value;

    json_style_inner(&inner, &change->style);
    json_object_foreach((json_t *)(uintptr_t)change->after, key, value)
    {
        if (json_object_get(change->before, key))
            continue;
        begin_item(change->out, false, &change->style);
        write_key(change->out, key, &change->style);
        json_text_write(change->out, value, &inner);
    }
}

static bool keeps_a_member(const json_t *before, const json_t *after)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)before, key, value)
    {
        if (json_object_get(after, key))
            return true;
    }
    return false;
}

void json_text_change(struct json_out *out, const char *text, size_t at, const json_t *before,
                      const json_t *after, const struct json_style *style)
{
    struct change change = {out, text, before, after, *style};
    struct json_items items;
    bool first = true;

    if (!json_items_read(&items, text, at)) {
        out->failed = true;
        return;
    }
    json_style_read(&change.style, text, &items, style);
    if (items.count && keeps_a_member(before, after)) {
        put_text(out, "{");
        for (size_t i = 0; i < items.count; i++)
            first = !keep_member(&change, &items, i, first) && first;
        add_members(&change);
        at = items.spans[items.count - 1].end;
        json_out_put(out, text + at, items.close + 1 - at);
    } else {
        json_text_write(out, after, &change.style);
    }
    json_items_clear(&items);
}
