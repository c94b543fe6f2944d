#include "ctl/ndjson.h"

#include <stdlib.h>

#include "base/wipe.h"

#define FIRST_CAP 4096

static bool grow(struct ndjson *reader, size_t more, struct reason *why)
{
    size_t wanted = reader->cap ? reader->cap : FIRST_CAP;
    char *grown;

    if (reader->len + more > NDJSON_LINE_MAX)
        return reason_set(why, "line %llu of the answer is longer than %u octets",
                          (unsigned long long)reader->lines + 1, NDJSON_LINE_MAX);
    while (wanted < reader->len + more)
        wanted *= 2;
    if (wanted == reader->cap)
        return true;
    grown = malloc(wanted);
    if (!grown)
        return reason_set(why, "out of memory");
    if (reader->len)
        memcpy(grown, reader->buffer, reader->len);
    secret_free_len(reader->buffer, reader->len);
    reader->buffer = grown;
    reader->cap = wanted;
    return true;
}

static bool keep(struct ndjson *reader, struct slice part, struct reason *why)
{
    if (!part.len)
        return true;
    if (!grow(reader, part.len, why))
        return false;
    memcpy(reader->buffer + reader->len, part.ptr, part.len);
    reader->len += part.len;
    return true;
}

static bool end_line(struct ndjson *reader, ndjson_line *each, void *owner, struct reason *why)
{
    struct slice line = slice_trim((struct slice){reader->buffer, reader->len});
    json_error_t error;
    json_t *value;
    bool more;

    reader->lines++;
    reader->len = 0;
    if (line.len && line.ptr[line.len - 1] == '\r')
        line = slice_trim((struct slice){line.ptr, line.len - 1});
    if (!line.len)
        return true;
    value = json_loadb(line.ptr, line.len, 0, &error);
    if (!json_is_object(value)) {
        json_decref(value);
        return reason_set(why, "line %llu of the answer is no JSON object",
                          (unsigned long long)reader->lines);
    }
    more = each(owner, line, value);
    json_decref(value);
    return more;
}

bool ndjson_feed(struct ndjson *reader, struct slice bytes, ndjson_line *each, void *owner,
                 struct reason *why)
{
    while (bytes.len) {
        const char *end = memchr(bytes.ptr, '\n', bytes.len);
        struct slice part = {bytes.ptr, end ? (size_t)(end - bytes.ptr) : bytes.len};
        size_t used = part.len + (end != NULL);

        if (!keep(reader, part, why) || (end && !end_line(reader, each, owner, why)))
            return false;
        bytes = (struct slice){bytes.ptr + used, bytes.len - used};
    }
    return true;
}

bool ndjson_finish(struct ndjson *reader, ndjson_line *each, void *owner, struct reason *why)
{
    return !reader->len || end_line(reader, each, owner, why);
}

void ndjson_clear(struct ndjson *reader)
{
    secret_free_len(reader->buffer, reader->cap);
    *reader = (struct ndjson){NULL, 0, 0, 0};
}
