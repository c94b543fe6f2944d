#include "ctl/records.h"

#include <stdlib.h>

#include "base/wipe.h"

#define FIRST_CAP 4096

struct reading {
    struct records *records;
    records_each *each;
    void *owner;
    struct reason *why;
};

static bool fail(const struct reading *reading, unsigned long long line, const char *text)
{
    return reason_set(reading->why, "line %llu: %s", line, text);
}

static bool fail_here(const struct reading *reading, const char *text)
{
    return fail(reading, reading->records->line + 1, text);
}

static bool put(const struct reading *reading, struct records_buffer *buffer, char c)
{
    if (buffer->len == buffer->cap) {
        size_t cap = buffer->cap ? 2 * buffer->cap : FIRST_CAP;
        char *grown = buffer->cap < RECORDS_OCTETS_MAX ? malloc(cap) : NULL;

        if (!grown)
            return fail_here(reading, buffer->cap < RECORDS_OCTETS_MAX
                                          ? "out of memory"
                                          : "more than 1 MiB in one record; is this a list of "
                                            "accounts?");
        if (buffer->len)
            memcpy(grown, buffer->at, buffer->len);
        secret_free_len(buffer->at, buffer->len);
        buffer->at = grown;
        buffer->cap = cap;
    }
    buffer->at[buffer->len++] = c;
    return true;
}

static void clear(struct records_buffer *buffer)
{
    secret_free_len(buffer->at, buffer->len);
    *buffer = (struct records_buffer){NULL, 0, 0};
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static json_t *parse(const struct reading *reading)
{
    const struct records *records = reading->records;
    json_error_t error;
    json_t *value =
        json_loadb(records->record.at, records->record.len, JSON_REJECT_DUPLICATES, &error);
    const char *near = value ? NULL : strstr(error.text, " near ");

    /* What is near may be a secret. */
    if (!value)
        reason_set(reading->why, "line %llu: not JSON: %.*s",
                   records->first_line + (unsigned)error.line,
                   near ? (int)(near - error.text) : (int)strlen(error.text), error.text);
    return value;
}

static bool end_record(const struct reading *reading)
{
    struct records *records = reading->records;
    json_t *value = parse(reading);
    bool more = value && reading->each(reading->owner, value, records->first_line + 1);

    json_decref(value);
    explicit_bzero(records->record.at, records->record.len);
    records->record.len = 0;
    records->want_comma = records->array;
    records->want_record = false;
    records->may_wrap = false;
    records->place = RECORDS_BETWEEN;
    return more;
}

static bool begin_record(const struct reading *reading)
{
    struct records *records = reading->records;

    records->place = RECORDS_INSIDE;
    records->first_line = records->line;
    records->depth = 1;
    records->in_string = records->list_next = false;
    records->at_key = true;
    return put(reading, &records->record, '{');
}

/* The object turned out to stand around the list: what was read of it is kept,
 * and looked at when its end is there. */
static bool begin_list(const struct reading *reading)
{
    struct records *records = reading->records;
    struct records_buffer spare = records->around;

    records->around = records->record;
    records->record = spare;
    records->array = records->wrapped = true;
    records->may_wrap = false;
    records->place = RECORDS_BETWEEN;
    return true;
}

static bool end_list(const struct reading *reading)
{
    struct records *records = reading->records;

    if (records->want_record)
        return fail_here(reading, "a comma with no record behind it");
    if (!records->wrapped) {
        records->place = RECORDS_END;
        return true;
    }
    records->place = RECORDS_AROUND;
    records->depth = 1;
    return put(reading, &records->around, ']');
}

static bool is_list_key(const struct records *records)
{
    return slice_equal(
        (struct slice){records->record.at + records->key, records->record.len - records->key},
        SLICE("accounts"));
}

static void in_string(struct records *records, char c)
{
    if (records->escaped) {
        records->escaped = false;
    } else if (c == '\\') {
        records->escaped = true;
    } else if (c == '"') {
        records->in_string = false;
        if (records->may_wrap && records->depth == 1 && records->at_key)
            records->list_next = is_list_key(records);
        records->at_key = false;
    }
}

static void out_of_string(struct records *records, char c)
{
    if (c == '"') {
        records->in_string = true;
        records->key = records->record.len + 1;
    } else if (c == '{' || c == '[') {
        records->depth++;
    } else if (c == '}' || c == ']') {
        records->depth--;
    } else if (c == ',') {
        records->at_key = records->depth == 1;
    }
    if (!is_space(c) && c != ':' && c != '"')
        records->list_next = false;
}

static bool inside(const struct reading *reading, char c)
{
    struct records *records = reading->records;
    bool list = c == '[' && records->list_next && !records->in_string && records->depth == 1;

    if (records->in_string)
        in_string(records, c);
    else
        out_of_string(records, c);
    if (!put(reading, &records->record, c))
        return false;
    if (list)
        return begin_list(reading);
    return records->depth > 0 || end_record(reading);
}

/* Behind the list: what is left of the object around it. */
static bool around(const struct reading *reading, char c)
{
    struct records *records = reading->records;
    json_t *value;
    bool sound;

    if (records->in_string)
        in_string(records, c);
    else
        out_of_string(records, c);
    if (!put(reading, &records->around, c))
        return false;
    if (records->depth > 0)
        return true;
    records->place = RECORDS_END;
    value = json_loadb(records->around.at, records->around.len, JSON_REJECT_DUPLICATES, NULL);
    sound = value != NULL;
    json_decref(value);
    return sound || fail_here(reading, "what stands around the list of accounts is not JSON");
}

static bool between(const struct reading *reading, char c)
{
    struct records *records = reading->records;

    if (is_space(c))
        return true;
    if (records->array && c == ']')
        return end_list(reading);
    if (records->want_comma && c == ',') {
        records->want_comma = false;
        return records->want_record = true;
    }
    if (records->want_comma)
        return fail_here(reading, "expected a comma or the end of the list");
    if (c != '{')
        return fail_here(reading, "expected a record, which begins with {");
    return begin_record(reading);
}

/* The octets of a byte-order mark, which some editors write. */
static bool is_mark(struct records *records, char c)
{
    static const char mark[] = "\xef\xbb\xbf";

    if (records->marks == 3 || c != mark[records->marks])
        return false;
    records->marks++;
    return true;
}

static bool begin(const struct reading *reading, char c)
{
    struct records *records = reading->records;

    if (is_mark(records, c))
        return true;
    if (records->marks == 1 || records->marks == 2)
        return fail_here(reading, "not JSON");
    records->marks = 3;
    if (is_space(c))
        return true;
    if (c == '[') {
        records->array = true;
        records->place = RECORDS_BETWEEN;
        return true;
    }
    if (c != '{')
        return fail_here(reading, "not JSON: expected [ or {");
    records->may_wrap = true;
    return begin_record(reading);
}

static bool step(const struct reading *reading, char c)
{
    switch (reading->records->place) {
    case RECORDS_BEGIN:
        return begin(reading, c);
    case RECORDS_BETWEEN:
        return between(reading, c);
    case RECORDS_INSIDE:
        return inside(reading, c);
    case RECORDS_AROUND:
        return around(reading, c);
    case RECORDS_END:
        return is_space(c) || fail_here(reading, "there is something behind the end of the list");
    }
    return false;
}

bool records_feed(struct records *records, struct slice bytes, records_each *each, void *owner,
                  struct reason *why)
{
    struct reading reading = {records, each, owner, why};

    for (size_t i = 0; i < bytes.len; i++) {
        if (!step(&reading, bytes.ptr[i]))
            return false;
        records->line += bytes.ptr[i] == '\n';
    }
    return true;
}

bool records_finish(struct records *records, struct reason *why)
{
    struct reading reading = {records, NULL, NULL, why};

    if (records->place == RECORDS_INSIDE)
        return fail(&reading, records->first_line + 1, "this record has no end");
    if (records->place == RECORDS_BEGIN)
        return reason_set(why, "there is nothing in it");
    if (records->place == RECORDS_AROUND || (records->place == RECORDS_BETWEEN && records->array))
        return fail_here(&reading, "the list has no end");
    return true;
}

void records_clear(struct records *records)
{
    clear(&records->record);
    clear(&records->around);
    *records = (struct records){RECORDS_BEGIN};
}
