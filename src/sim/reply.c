/* Reply texts: templates of the profile or a knob, filled in for a session. */
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "sim/random.h"
#include "sim/session.h"

#define REPLY_BYTES 4096

static void add_id(const struct session *session, struct text *out)
{
    /* Google's ids have the message's number behind the last dot. */
    text_add_str(out, session->id);
    text_add_char(out, '.');
    text_add_u64(out, session->messages + 1);
}

static void add_host(const struct session *session, struct text *out)
{
    text_addf(out, "%s.outlook.office365.com", session->sim->front_host);
}

static void add_client(const struct session *session, struct text *out)
{
    text_add_str(out, session->peer);
}

static void add_size(const struct session *session, struct text *out)
{
    uint64_t limit = session->profile->size_limit;

    text_add_u64(out,
                 (uint64_t)knob_number(session_scope(session), KNOB_SIZE_LIMIT, (int64_t)limit));
}

static void add_mechs(const struct session *session, struct text *out)
{
    text_add_str(out, knob_text(session_scope(session), KNOB_AUTH_MECHS, session->profile->mechs));
}

static void add_time(const struct session *session, struct text *out)
{
    (void)session;
    text_add_u64(out, clock_wall_ms() / 1000);
}

static void add_strftime(struct text *out, const char *format)
{
    time_t now = (time_t)(clock_wall_ms() / 1000);
    struct tm tm;
    char date[64];

    strftime(date, sizeof(date), format, gmtime_r(&now, &tm));
    text_add_str(out, date);
}

static void add_date(const struct session *session, struct text *out)
{
    (void)session;
    add_strftime(out, "%a, %d %b %Y %H:%M:%S +0000");
}

static void add_session(const struct session *session, struct text *out)
{
    text_addf(out, "08DE%012llX", (unsigned long long)session->number + 0x2A6028D26C22ull);
}

static void add_front(const struct session *session, struct text *out)
{
    text_addf(out, "%s.AUSP282.PROD.OUTLOOK.COM ", session->sim->front_host);
    add_strftime(out, "%Y-%m-%dT%H:%M:%S");
    text_addf(out, ".%03uZ ", (unsigned)(clock_wall_ms() % 1000));
    add_session(session, out);
}

static void add_store(const struct session *session, struct text *out)
{
    text_add_str(out, session->sim->store_host);
}

static void add_message_id(const struct session *session, struct text *out)
{
    char random[33];

    if (*session->tx.message_id) {
        text_add_str(out, session->tx.message_id);
        return;
    }
    random_hex(random, 32);
    text_addf(out, "<%s@%s>", random, session->sim->store_host);
}

static void add_octets(const struct session *session, struct text *out)
{
    text_add_u64(out, session->tx.chunk_size);
}

static void add_verb(const struct session *session, struct text *out)
{
    for (const char *c = session->verb; *c; c++)
        text_add_char(out, *c > 31 && *c < 127 ? *c : '?');
}

struct field {
    struct slice name;
    void (*add)(const struct session *session, struct text *out);
};

static const struct field fields[] = {
    {{"id", 2}, add_id},           {{"host", 4}, add_host},     {{"client", 6}, add_client},
    {{"size", 4}, add_size},       {{"mechs", 5}, add_mechs},   {{"time", 4}, add_time},
    {{"date", 4}, add_date},       {{"front", 5}, add_front},   {{"store", 5}, add_store},
    {{"session", 7}, add_session}, {{"octets", 6}, add_octets}, {{"verb", 4}, add_verb},
    {{"mid", 3}, add_message_id},
};

static bool add_field(const struct session *session, struct slice name, struct text *out)
{
    for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
        if (slice_equal(name, fields[i].name)) {
            fields[i].add(session, out);
            return true;
        }
    }
    return false;
}

static void fill_in(const struct session *session, const char *template, struct text *out)
{
    while (*template) {
        size_t plain = strcspn(template, "{\n");
        const char *end;

        text_add(out, template, plain);
        template += plain;
        if (*template == '\n') {
            text_add_str(out, "\r\n");
            template ++;
            continue;
        }
        end = *template ? strchr(template, '}') : NULL;
        if (end &&
            add_field(session, (struct slice){template + 1, (size_t)(end - template - 1)}, out))
            template = end + 1;
        else if (*template)
            text_add_char(out, *template ++);
    }
}

static void queue_reply(struct session *session, struct text *text)
{
    bool closing = text->len >= 3 && memcmp(text->at, "421", 3) == 0;

    if (session->mute || session->ended)
        return;
    if (*session->behind) {
        text_add_str(text, session->behind);
        text_add_str(text, "\r\n");
        *session->behind = '\0';
    }
    outbox_add(session, text->at, text->len, session->extra_us);
    session->extra_us = 0;
    if (closing)
        session_end(session, OUT_FINISH);
}

void session_reply_text(struct session *session, const char *template)
{
    char memory[REPLY_BYTES];
    struct text text;

    text_init(&text, memory, sizeof(memory));
    fill_in(session, *session->text ? session->text : template, &text);
    text_add_str(&text, "\r\n");
    *session->text = '\0';
    queue_reply(session, &text);
}

void session_reply(struct session *session, enum reply reply)
{
    session_reply_text(session, session->profile->replies[reply]);
}

static bool is_shown(const struct session *session, const struct ehlo_line *line)
{
    if (line->when == EHLO_BEFORE_TLS && session->tls)
        return false;
    if (line->when == EHLO_AFTER_TLS && !session->tls)
        return false;
    return line->hidden_by == KNOBS || !knob_on(session_scope(session), line->hidden_by);
}

void session_reply_ehlo(struct session *session)
{
    const struct ehlo_line *line = session->profile->ehlo;
    size_t last = 4; /* where the latest line begins: behind "250-" */
    char memory[REPLY_BYTES];
    struct text text;

    if (*session->text) {
        session_reply_text(session, "");
        return;
    }
    text_init(&text, memory, sizeof(memory));
    text_add_str(&text, "250-");
    fill_in(session, session->profile->replies[REPLY_EHLO_HEAD], &text);
    for (; line->text; line++) {
        if (!is_shown(session, line))
            continue;
        text_add_str(&text, "\r\n250-");
        last = text.len;
        fill_in(session, line->text, &text);
    }
    text.at[last - 1] = ' ';
    text_add_str(&text, "\r\n");
    queue_reply(session, &text);
}
