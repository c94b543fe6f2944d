#include "relay/limit/saved.h"

static const char letters[LIMITS] = {'m', 'h', 'd', 'r'};

/* A text is due before more than the hundredth part of a day's limit, or the tenth
 * of a minute's, is missing from the last one. */
static const uint32_t parts[LIMITS] = {10, 20, 100, 100};

struct writing {
    struct text *out;
    bool first;
};

static void write_pair(void *arg, uint64_t age_ms, uint64_t events)
{
    struct writing *writing = arg;

    if (!writing->first)
        text_add_char(writing->out, ',');
    writing->first = false;
    text_add_u64(writing->out, age_ms / 1000);
    text_add_char(writing->out, ':');
    text_add_u64(writing->out, events);
}

void limits_save(struct limits *limits, uint64_t now, struct text *out)
{
    for (size_t i = 0; i < LIMITS; i++) {
        struct writing writing = {out, true};

        if (!limits->windows[i] || !window_count(limits->windows[i], now))
            continue;
        text_add_char(out, letters[i]);
        window_each(limits->windows[i], now, write_pair, &writing);
    }
    if (limits->flying)
        text_addf(out, "f%llu,%llu", (unsigned long long)limits->flying,
                  (unsigned long long)limits->flying_recipients);
}

uint64_t limits_unsaved_most(const struct limits *limits, enum limit which)
{
    uint64_t part = limits->max[which] / parts[which];

    if (!limits->max[which])
        return UINT64_MAX;
    return part ? part : 1;
}

/* --- reading ---------------------------------------------------------------------- */

static bool read_number(struct slice *text, uint64_t *out)
{
    size_t len = 0;
    bool ok;

    while (len < text->len && text->ptr[len] >= '0' && text->ptr[len] <= '9')
        len++;
    ok = len > 0 && len <= 12 && slice_to_u64((struct slice){text->ptr, len}, out);
    text->ptr += len;
    text->len -= len;
    return ok;
}

static bool read_char(struct slice *text, char wanted)
{
    if (!text->len || text->ptr[0] != wanted)
        return false;
    text->ptr++;
    text->len--;
    return true;
}

static void add(struct limits *limits, enum limit which, uint64_t now, uint64_t age, uint64_t n)
{
    if (limits->windows[which])
        window_restore(limits->windows[which], now, age, n);
}

static bool read_pairs(struct limits *limits, enum limit which, uint64_t now, struct slice *text,
                       uint64_t elapsed)
{
    uint64_t age, events;

    do {
        if (!read_number(text, &age) || !read_char(text, ':') || !read_number(text, &events))
            return false;
        add(limits, which, now, age * 1000 + elapsed, events);
    } while (read_char(text, ','));
    return true;
}

static void add_sent(struct limits *limits, uint64_t now, uint64_t age, uint64_t messages,
                     uint64_t recipients)
{
    for (size_t i = 0; i < LIMITS; i++)
        add(limits, (enum limit)i, now, age, i == LIMIT_RECIPIENTS ? recipients : messages);
}

static bool read_flying(struct limits *limits, uint64_t now, struct slice *text, uint64_t age)
{
    uint64_t messages, recipients;

    if (!read_number(text, &messages) || !read_char(text, ',') || !read_number(text, &recipients))
        return false;
    add_sent(limits, now, age, messages, recipients);
    return true;
}

static bool read_one(struct limits *limits, uint64_t now, struct slice *text, uint64_t elapsed,
                     uint64_t flights_ended)
{
    for (size_t i = 0; i < LIMITS; i++) {
        if (read_char(text, letters[i]))
            return read_pairs(limits, (enum limit)i, now, text, elapsed);
    }
    return read_char(text, 'f') && read_flying(limits, now, text, flights_ended);
}

static void add_lost(struct limits *limits, uint64_t now, uint64_t age)
{
    for (size_t i = 0; i < LIMITS; i++) {
        if (limits->windows[i])
            add(limits, (enum limit)i, now, age, limits_unsaved_most(limits, (enum limit)i));
    }
}

bool limits_restore(struct limits *limits, uint64_t now, struct slice text, uint64_t elapsed,
                    uint64_t lost)
{
    uint64_t flights_ended = lost == SAVED_NOTHING ? 0 : lost < elapsed ? lost : elapsed;

    if (lost != SAVED_NOTHING)
        add_lost(limits, now, lost);
    while (text.len) {
        if (!read_one(limits, now, &text, elapsed, flights_ended))
            return false;
    }
    return true;
}
