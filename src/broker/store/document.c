#include "broker/store/document.h"

#include <stdlib.h>

#include "broker/wipe.h"

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

/* The value of a member of the object at `at`; start 0: there is none. */
static struct span find_member(const char *text, size_t at, const char *key)
{
    size_t key_len = strlen(key);

    at = skip_space(text, at + 1);
    while (text[at] == '"') {
        size_t name = at + 1, name_end = skip_string(text, at) - 1, value;

        value = skip_space(text, skip_space(text, name_end + 1) + 1); /* over the colon */
        at = skip_value(text, value);
        if (name_end - name == key_len && memcmp(text + name, key, key_len) == 0)
            return (struct span){value, at};
        at = skip_space(text, at);
        if (text[at] == ',')
            at = skip_space(text, at + 1);
    }
    return (struct span){0, 0};
}

static bool find_records(struct document *document, size_t at, struct reason *why)
{
    const char *text = document->text;

    if (text[at] == '{')
        at = find_member(text, at, "accounts").start;
    if (text[at] != '[')
        return reason_set(why, "the list of accounts was not found in the text");
    at = skip_space(text, at + 1);
    for (size_t i = 0; i < document->count; i++) {
        document->spans[i].start = at;
        document->spans[i].end = at = skip_value(text, at);
        at = skip_space(text, at);
        if (text[at] == ',')
            at = skip_space(text, at + 1);
    }
    return text[at] == ']' || reason_set(why, "the end of the accounts was not found in the text");
}

static bool parse_json(struct document *document, size_t start, const char *name,
                       struct reason *why)
{
    json_error_t error;

    document->root =
        json_loadb(document->text + start, document->len - start, JSON_REJECT_DUPLICATES, &error);
    if (!document->root)
        return reason_set(why, "%s: line %d, column %d: %s", name, error.line, error.column,
                          error.text);
    document->records = json_is_array(document->root) ? document->root
                                                      : json_object_get(document->root, "accounts");
    if (!json_is_array(document->records))
        return reason_set(why, "%s must be a list of accounts, or an object with \"accounts\"",
                          name);
    return true;
}

bool document_parse(struct document *document, struct slice text, const char *name,
                    struct reason *why)
{
    static const char mark[] = "\xef\xbb\xbf"; /* some editors begin files with it */
    size_t start = text.len >= 3 && memcmp(text.ptr, mark, 3) == 0 ? 3 : 0;

    *document = (struct document){.text = slice_dup(text), .len = text.len};
    if (!document->text) {
        reason_set(why, "%s: out of memory", name);
        goto fail;
    }
    if (!parse_json(document, start, name, why))
        goto fail;
    document->count = json_array_size(document->records);
    document->spans = calloc(document->count + 1, sizeof(*document->spans));
    if (!document->spans) {
        reason_set(why, "%s: out of memory", name);
        goto fail;
    }
    if (!find_records(document, skip_space(document->text, start), why))
        goto fail;
    return true;
fail:
    document_clear(document);
    return false;
}

void document_clear(struct document *document)
{
    secret_free_len(document->text, document->len);
    json_decref(document->root);
    free(document->spans);
    *document = (struct document){NULL, 0, NULL, NULL, NULL, 0};
}

static int by_record(const void *a, const void *b)
{
    size_t left = ((const struct document_edit *)a)->record;
    size_t right = ((const struct document_edit *)b)->record;

    return left < right ? -1 : left > right;
}

/* What is written for a value: quotes and escapes. */
static char *quoted(const char *value, size_t *len)
{
    json_t *json = json_string(value);
    size_t cap = json ? json_dumpb(json, NULL, 0, JSON_ENCODE_ANY) : 0;
    char *out = cap ? malloc(cap) : NULL;

    if (out)
        *len = json_dumpb(json, out, cap, JSON_ENCODE_ANY);
    json_decref(json);
    return out;
}

struct output {
    char *at;
    size_t len, cap;
};

static void put(struct output *out, const char *octets, size_t len)
{
    memcpy(out->at + out->len, octets, len);
    out->len += len;
}

static bool apply(const struct document *document, const struct document_edit *edit, size_t *copied,
                  struct output *out, struct reason *why)
{
    size_t record = document->spans[edit->record].start, len;
    struct span value = find_member(document->text, record, edit->key);
    char *text;

    if (document->text[record] != '{' || !value.start)
        return reason_set(why, "\"%s\" was not found in the text of record %zu", edit->key,
                          edit->record + 1);
    text = quoted(edit->value, &len);
    if (!text)
        return reason_set(why, "out of memory, or a value that is not UTF-8");
    put(out, document->text + *copied, value.start - *copied);
    put(out, text, len);
    *copied = value.end;
    secret_free_len(text, len);
    return true;
}

char *document_rewrite(const struct document *document, struct document_edit *edits, size_t count,
                       size_t *len, struct reason *why)
{
    struct output out = {NULL, 0, document->len + 1};
    size_t copied = 0;

    for (size_t i = 0; i < count; i++)
        out.cap += 6 * strlen(edits[i].value) + 2; /* if each octet must be escaped */
    out.at = malloc(out.cap);
    if (!out.at) {
        reason_set(why, "out of memory");
        return NULL;
    }
    qsort(edits, count, sizeof(*edits), by_record);
    for (size_t i = 0; i < count; i++) {
        if (!apply(document, &edits[i], &copied, &out, why)) {
            secret_free_len(out.at, out.len);
            return NULL;
        }
    }
    put(&out, document->text + copied, document->len - copied);
    out.at[out.len] = '\0';
    *len = out.len;
    return out.at;
}
