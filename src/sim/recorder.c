#include "sim/recorder.h"

#include <stdlib.h>

#include "base/codec.h"

void recorder_init(struct recorder *recorder, size_t max)
{
    *recorder = (struct recorder){.max = max, .next = 1, .oldest = 1};
}

void recorder_clear(struct recorder *recorder)
{
    for (size_t i = 0; i < recorder->cap; i++) {
        free(recorder->ring[i].envelope);
        free(recorder->ring[i].content);
    }
    free(recorder->ring);
    recorder->ring = NULL;
    recorder->cap = 0;
}

void recorder_forget(struct recorder *recorder)
{
    recorder->oldest = recorder->next;
}

/* The ring grows up to its maximum before it wraps, so a slot never moves. */
static struct message *slot_of(const struct recorder *recorder, uint64_t seq)
{
    return &recorder->ring[(seq - 1) % recorder->max];
}

static bool make_room(struct recorder *recorder)
{
    size_t cap = recorder->cap ? recorder->cap * 2 : 64;
    struct message *ring;

    if (recorder->next - 1 < recorder->cap || recorder->cap == recorder->max)
        return recorder->max > 0;
    if (cap > recorder->max)
        cap = recorder->max;
    ring = realloc(recorder->ring, cap * sizeof(*ring));
    if (!ring)
        return false;
    memset(ring + recorder->cap, 0, (cap - recorder->cap) * sizeof(*ring));
    recorder->ring = ring;
    recorder->cap = cap;
    return true;
}

static bool set_envelope(struct message *message, const char *envelope, size_t len)
{
    if (!message->envelope || len > message->envelope_cap) {
        char *grown = realloc(message->envelope, len);

        if (!grown)
            return false;
        message->envelope = grown;
        message->envelope_cap = len;
    }
    memcpy(message->envelope, envelope, len);
    message->envelope_len = len;
    return true;
}

struct message *recorder_add(struct recorder *recorder, const char *envelope, size_t len)
{
    struct message *message = NULL, kept;

    if (make_room(recorder)) {
        message = slot_of(recorder, recorder->next);
        free(message->content);
        kept = *message;
        *message = (struct message){
            .seq = recorder->next, .envelope = kept.envelope, .envelope_cap = kept.envelope_cap};
        set_envelope(message, envelope, len);
    }
    recorder->next++;
    if (recorder->max && recorder->next - recorder->oldest > recorder->max)
        recorder->oldest = recorder->next - recorder->max;
    return message;
}

static struct message *find(const struct recorder *recorder, uint64_t seq)
{
    struct message *message;

    if (!recorder->max || (seq - 1) % recorder->max >= recorder->cap)
        return NULL;
    message = slot_of(recorder, seq);
    return message->seq == seq ? message : NULL;
}

void recorder_told(struct recorder *recorder, uint64_t seq)
{
    struct message *message = find(recorder, seq);

    if (message)
        message->told = true;
}

/* Addresses may be any octets that a test sends; JSON wants UTF-8. */
static json_t *json_octets(const char *octets, size_t len)
{
    json_t *text = json_stringn(octets, len);

    return text ? text : json_string("(not UTF-8)");
}

static json_t *show_rcpts(const struct message *message)
{
    const char *end = message->envelope + message->envelope_len;
    json_t *out = json_array();

    for (const char *at = message->envelope + strlen(message->envelope) + 1; at < end;
         at += strlen(at) + 1)
        json_array_append_new(out, json_octets(at, strlen(at)));
    return out;
}

static void show_content(const struct message *message, json_t *out)
{
    char digest[2 * DIGEST_OCTETS + 1], *base64;

    if (message->digested) {
        hex_encode(message->digest, DIGEST_OCTETS, digest);
        json_object_set_new(out, "sha256", json_string(digest));
    }
    base64 = message->content ? malloc(BASE64_LEN(message->content_len) + 1) : NULL;
    if (base64) {
        base64_encode(message->content, message->content_len, base64);
        json_object_set_new(out, "content", json_string(base64));
        free(base64);
    }
}

static json_t *show(const struct message *message)
{
    json_t *out = json_pack(
        "{s:I, s:s, s:s, s:o, s:o, s:I, s:s, s:b, s:b, s:b, s:i, s:I, s:I, s:I}", "seq",
        (json_int_t)message->seq, "user", message->user, "peer", message->peer, "from",
        json_octets(message->envelope, strlen(message->envelope)), "rcpts", show_rcpts(message),
        "size", (json_int_t)message->size, "by", message->chunked ? "BDAT" : "DATA", "bare",
        message->bare, "utf8", message->utf8, "told", message->told, "reply", message->reply,
        "connection", (json_int_t)message->connection, "number", (json_int_t)message->number,
        "at_ms", (json_int_t)message->at_ms);

    if (out)
        show_content(message, out);
    return out;
}

json_t *recorder_show(const struct recorder *recorder, uint64_t since, uint64_t limit)
{
    json_t *out = json_array();
    uint64_t seq = since + 1 > recorder->oldest ? since + 1 : recorder->oldest;

    for (; seq < recorder->next && limit; seq++, limit--) {
        const struct message *message = find(recorder, seq);

        if (message)
            json_array_append_new(out, show(message));
    }
    return out;
}
