#include "broker/store/document.h"

#include <stdlib.h>

#include "broker/json_error.h"
#include "broker/wipe.h"

/* --- reading ---------------------------------------------------------------- */

static bool parse_json(struct document *document, size_t start, const char *name,
                       struct reason *why)
{
    json_error_t error;

    if (memchr(document->text, '\0', document->len)) /* jansson lets some pass */
        return reason_set(why, "%s: a NUL octet: this is no text", name);
    document->root =
        json_loadb(document->text + start, document->len - start, JSON_REJECT_DUPLICATES, &error);
    if (!document->root)
        return reason_set(why, "%s: line %d, column %d: %.*s", name, error.line, error.column,
                          json_error_len(&error), error.text);
    document->records = json_is_array(document->root) ? document->root
                                                      : json_object_get(document->root, "accounts");
    if (!json_is_array(document->records))
        return reason_set(why, "%s must be a list of accounts, or an object with \"accounts\"",
                          name);
    document->count = json_array_size(document->records);
    return true;
}

/* Where the array begins; 0: memory is out. */
static bool find_array(const struct document *document, size_t start, size_t *at)
{
    struct json_items members;

    *at = start + strspn(document->text + start, " \t\r\n");
    if (document->text[*at] == '[')
        return true;
    if (!json_items_read(&members, document->text, *at))
        return false;
    *at = json_member(document->text, &members, "accounts").start;
    json_items_clear(&members);
    return *at != 0;
}

static bool find_records(struct document *document, size_t start, const char *name,
                         struct reason *why)
{
    size_t at;

    if (!find_array(document, start, &at) || !json_items_read(&document->items, document->text, at))
        return reason_set(why, "%s: out of memory", name);
    return document->items.count == document->count ||
           reason_set(why, "%s: the records were not found in the text", name);
}

/* --- the style of the file --------------------------------------------------- */

/* Nothing to go by: a record a line, two blanks a level. */
static void style_of_empty(const struct document *document, struct json_style *style)
{
    struct json_style lines = JSON_STYLE_LINES, outer;
    struct json_items members;

    if (strstr(document->text, "\r\n"))
        slice_copy(SLICE("\r\n"), lines.gap, sizeof(lines.gap));
    outer = lines;
    if (document->records != document->root &&
        json_items_read(&members, document->text, strcspn(document->text, "{"))) {
        json_style_read(&outer, document->text, &members, &lines);
        json_items_clear(&members);
    }
    json_style_inner(style, strchr(outer.gap, '\n') ? &outer : &lines);
}

/* The last record that has at least so many members shows the style. */
static bool style_of_record(struct document *document, size_t least)
{
    for (size_t i = document->items.count; i-- > 0;) {
        size_t at = document->items.spans[i].start;
        struct json_items members;
        bool shows;

        if (document->text[at] != '{' || !json_items_read(&members, document->text, at))
            continue;
        shows = members.count >= least;
        if (shows)
            json_style_read(&document->member_style, document->text, &members,
                            &document->member_style);
        json_items_clear(&members);
        if (shows)
            return true;
    }
    return false;
}

static void read_styles(struct document *document)
{
    struct json_style otherwise = JSON_STYLE_LINES;

    if (!document->count)
        style_of_empty(document, &otherwise);
    json_style_read(&document->record_style, document->text, &document->items, &otherwise);
    json_style_inner(&document->member_style, &document->record_style);
    if (!style_of_record(document, 2))
        style_of_record(document, 1);
}

bool document_parse(struct document *document, struct slice text, const char *name,
                    struct reason *why)
{
    static const char mark[] = "\xef\xbb\xbf"; /* some editors begin files with it */
    size_t start = text.len >= 3 && memcmp(text.ptr, mark, 3) == 0 ? 3 : 0;

    *document = (struct document){.text = slice_dup(text), .len = text.len};
    if (!document->text)
        reason_set(why, "%s: out of memory", name);
    if (!document->text || !parse_json(document, start, name, why) ||
        !find_records(document, start, name, why)) {
        document_clear(document);
        return false;
    }
    read_styles(document);
    return true;
}

void document_clear(struct document *document)
{
    for (size_t i = 0; i < document->cap; i++)
        secret_free_len(document->changes[i].text, document->changes[i].len);
    free(document->changes);
    secret_free_len(document->text, document->text ? document->len : 0);
    json_decref(document->root);
    json_items_clear(&document->items);
    *document = (struct document){.text = NULL};
}

/* --- changing ---------------------------------------------------------------- */

static bool reserve_changes(struct document *document, size_t count)
{
    size_t cap = document->cap ? document->cap : document->count + 16;
    struct document_change *changes;

    if (count <= document->cap)
        return true;
    while (cap < count)
        cap *= 2;
    changes = reallocarray(document->changes, cap, sizeof(*changes));
    if (!changes)
        return false;
    for (size_t i = document->cap; i < cap; i++)
        changes[i] = (struct document_change){false, NULL, 0};
    document->changes = changes;
    document->cap = cap;
    return true;
}

static bool take_text(struct document *document, size_t record, struct json_out *out)
{
    struct document_change *change = &document->changes[record];
    size_t len;
    char *text = json_out_take(out, &len);

    if (!text)
        return false;
    secret_free_len(change->text, change->len);
    change->text = text;
    change->len = len;
    document->changed = true;
    return true;
}

bool document_set(struct document *document, size_t record, json_t *object)
{
    json_t *before = json_array_get(document->records, record);
    struct json_out out = {NULL, 0, 0, false};
    const struct json_style *style = &document->member_style;
    const char *text;
    size_t at;

    if (json_equal(before, object))
        return true;
    if (!reserve_changes(document, document->count))
        return false;
    text = document->changes[record].text;
    at = text ? 0 : document->items.spans[record].start;
    if (json_is_object(before))
        json_text_change(&out, text ? text : document->text, at, before, object, style);
    else
        json_text_write(&out, object, style);
    return take_text(document, record, &out) &&
           json_array_set(document->records, record, object) == 0;
}

bool document_add(struct document *document, json_t *object)
{
    struct json_out out = {NULL, 0, 0, false};

    if (!reserve_changes(document, document->count + 1) ||
        json_array_append(document->records, object) != 0)
        return false;
    json_text_write(&out, object, &document->member_style);
    return take_text(document, document->count++, &out);
}

bool document_remove(struct document *document, size_t record)
{
    if (!reserve_changes(document, document->count))
        return false;
    document->changes[record].removed = true;
    document->changed = true;
    return json_array_set_new(document->records, record, json_null()) == 0;
}

/* --- writing ----------------------------------------------------------------- */

struct writing {
    const struct document *document;
    struct json_out *out;
    bool first;
};

static void put_span(struct writing *writing, size_t from, size_t to)
{
    json_out_put(writing->out, writing->document->text + from, to - from);
}

/* What stands before record i: a new one is set apart in the file's style. */
static void write_gap(struct writing *writing, size_t i)
{
    const struct json_items *items = &writing->document->items;
    const char *gap = writing->document->record_style.gap;

    if (i < items->count && writing->first) {
        put_span(writing, items->open + 1, items->spans[0].start);
    } else if (i < items->count) {
        put_span(writing, items->spans[i - 1].end, items->spans[i].start);
    } else {
        if (!writing->first)
            json_out_put(writing->out, ",", 1);
        if (!writing->first || strchr(gap, '\n'))
            json_out_put(writing->out, gap, strlen(gap));
    }
}

static void write_record(struct writing *writing, size_t i)
{
    const struct document *document = writing->document;
    const struct document_change *change = i < document->cap ? &document->changes[i] : NULL;

    if (change && change->removed)
        return;
    write_gap(writing, i);
    writing->first = false;
    if (change && change->text)
        json_out_put(writing->out, change->text, change->len);
    else
        put_span(writing, document->items.spans[i].start, document->items.spans[i].end);
}

/* What stands behind the last record, the bracket and the rest included. */
static void write_tail(struct writing *writing)
{
    const struct document *document = writing->document;
    const struct json_items *items = &document->items;
    size_t from = items->close;

    if (!writing->first && items->count)
        from = items->spans[items->count - 1].end;
    else if (!writing->first)
        json_out_put(writing->out, document->record_style.close,
                     strlen(document->record_style.close));
    put_span(writing, from, document->len);
}

char *document_write(const struct document *document, size_t *len)
{
    struct json_out out = {NULL, 0, 0, false};
    struct writing writing = {document, &out, true};

    put_span(&writing, 0, document->items.open + 1);
    for (size_t i = 0; i < document->count; i++)
        write_record(&writing, i);
    write_tail(&writing);
    return json_out_take(&out, len);
}
