#include "smtp/ehlo.h"

struct keyword {
    const char *word;
    unsigned bit;
};

static const struct keyword caps[] = {
    {"PIPELINING", SMTP_CAP_PIPELINING},
    {"CHUNKING", SMTP_CAP_CHUNKING},
    {"8BITMIME", SMTP_CAP_8BITMIME},
    {"SMTPUTF8", SMTP_CAP_SMTPUTF8},
    {"DSN", SMTP_CAP_DSN},
    {"STARTTLS", SMTP_CAP_STARTTLS},
    {"ENHANCEDSTATUSCODES", SMTP_CAP_ENHANCED},
    {"SIZE", SMTP_CAP_SIZE},
    {"BINARYMIME", SMTP_CAP_BINARYMIME},
    {NULL, 0},
};

static const struct keyword mechs[] = {
    {"XOAUTH2", SMTP_MECH_XOAUTH2},
    {"OAUTHBEARER", SMTP_MECH_OAUTHBEARER},
    {"PLAIN", SMTP_MECH_PLAIN},
    {"LOGIN", SMTP_MECH_LOGIN},
    {NULL, 0},
};

static unsigned bit_of(const struct keyword *keywords, struct slice word)
{
    for (; keywords->word; keywords++) {
        if (slice_equal_nocase(word, slice_of(keywords->word)))
            return keywords->bit;
    }
    return 0;
}

/* What stands before `end`; moves *text behind it. */
static struct slice take_until(struct slice *text, char end)
{
    const char *at = memchr(text->ptr, end, text->len);
    struct slice part = {text->ptr, at ? (size_t)(at - text->ptr) : text->len};
    size_t skip = part.len + (at ? 1 : 0);

    *text = (struct slice){text->ptr + skip, text->len - skip};
    return part;
}

static void parse_mechs(struct slice text, struct smtp_caps *out)
{
    while (text.len)
        out->mechs |= bit_of(mechs, take_until(&text, ' '));
}

static void parse_line(struct slice line, struct smtp_caps *out)
{
    struct slice word = take_until(&line, ' ');
    unsigned bit = bit_of(caps, word);

    out->caps |= bit;
    if (bit == SMTP_CAP_SIZE) {
        slice_to_u64(slice_trim(line), &out->size);
    } else if (slice_equal_nocase(word, SLICE("AUTH"))) {
        parse_mechs(line, out);
    } else if (slice_starts_nocase(word, SLICE("AUTH="))) {
        out->mechs |= bit_of(mechs, (struct slice){word.ptr + 5, word.len - 5});
        parse_mechs(line, out);
    }
}

void smtp_caps_parse(const struct smtp_reply *reply, struct smtp_caps *out)
{
    struct slice text = {reply->text, reply->text_len};

    *out = (struct smtp_caps){0};
    if (!text.len)
        return;
    take_until(&text, '\n'); /* the server's name, whatever it looks like */
    while (text.len)
        parse_line(take_until(&text, '\n'), out);
}
