#include "smtp/address.h"

#include <arpa/inet.h>

#define LABEL_MAX 63

/* Octet classes of the grammar (RFC 5321 section 4.1.2). */
enum { ATEXT = 1, LABEL = 2, QTEXT = 4, DCONTENT = 8, TAG = 16 };

#define WORD (ATEXT | LABEL | QTEXT | DCONTENT | TAG)
#define MARK (ATEXT | QTEXT | DCONTENT)
#define POINT (QTEXT | DCONTENT)

static const unsigned char classes[128] = {
    ['0' ... '9'] = WORD, ['A' ... 'Z'] = WORD, ['a' ... 'z'] = WORD, ['-'] = WORD,
    ['_'] = MARK | LABEL, /* no RFC has it in a label, real names do */
    ['!'] = MARK,         ['#'] = MARK,         ['$'] = MARK,         ['%'] = MARK,
    ['&'] = MARK,         ['\''] = MARK,        ['*'] = MARK,         ['+'] = MARK,
    ['/'] = MARK,         ['='] = MARK,         ['?'] = MARK,         ['^'] = MARK,
    ['`'] = MARK,         ['{'] = MARK,         ['|'] = MARK,         ['}'] = MARK,
    ['~'] = MARK,         ['('] = POINT,        [')'] = POINT,        [','] = POINT,
    ['.'] = POINT,        [':'] = POINT,        [';'] = POINT,        ['<'] = POINT,
    ['>'] = POINT,        ['@'] = POINT,        [' '] = QTEXT,        ['['] = QTEXT,
    [']'] = QTEXT,        ['"'] = DCONTENT,
};

/* RFC 3629 section 4, less the C1 controls. */
size_t address_utf8_len(struct slice text)
{
    static const uint32_t least[] = {0, 0, 0xa0, 0x800, 0x10000};
    unsigned char first = text.len ? (unsigned char)text.ptr[0] : 0;
    size_t len = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    uint32_t point = first & (0xffu >> (len + 1));

    if (first < 0xc2 || first > 0xf4 || len > text.len)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if (((unsigned char)text.ptr[i] & 0xc0) != 0x80)
            return 0;
        point = point << 6 | ((unsigned char)text.ptr[i] & 0x3f);
    }
    if (point < least[len] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
        return 0;
    return len;
}

/* Octets at *text's start that are of a class or UTF-8; moves *text behind. */
static struct slice take_run(struct slice *text, unsigned wanted, bool utf8)
{
    struct slice run = {text->ptr, 0};

    while (run.len < text->len) {
        unsigned char c = (unsigned char)text->ptr[run.len];
        size_t len = 1;

        if (c > 127)
            len = utf8 ? address_utf8_len((struct slice){text->ptr + run.len, text->len - run.len})
                       : 0;
        else if (!(classes[c] & wanted))
            len = 0;
        if (!len)
            break;
        run.len += len;
    }
    text->ptr += run.len;
    text->len -= run.len;
    return run;
}

static bool take_char(struct slice *text, char c)
{
    if (!text->len || *text->ptr != c)
        return false;
    text->ptr++;
    text->len--;
    return true;
}

/* Two dots in a row or one at an end are no atom, yet some providers gave out
 * such mailboxes, so they pass: the provider knows. */
static bool take_dot_string(struct slice *text, struct slice *local)
{
    const char *start = text->ptr;

    while (take_run(text, ATEXT, true).len || take_char(text, '.'))
        continue;
    *local = (struct slice){start, (size_t)(text->ptr - start)};
    return local->len > 0;
}

static bool take_quoted_string(struct slice *text, struct slice *local)
{
    const char *start = text->ptr;

    take_char(text, '"');
    for (;;) {
        take_run(text, QTEXT, true);
        if (!take_char(text, '\\'))
            break;
        if (!text->len || *text->ptr < 32 || *text->ptr > 126)
            return false;
        take_char(text, *text->ptr);
    }
    if (!take_char(text, '"'))
        return false;
    *local = (struct slice){start, (size_t)(text->ptr - start)};
    return true;
}

static bool is_ip(int family, struct slice text)
{
    char copy[INET6_ADDRSTRLEN + 1];
    struct in6_addr unused;

    return slice_copy(text, copy, sizeof(copy)) && inet_pton(family, copy, &unused) == 1;
}

static bool take_literal(struct slice *text, struct slice *domain)
{
    struct slice content, tag;

    domain->ptr = text->ptr;
    take_char(text, '[');
    content = take_run(text, DCONTENT, false);
    if (!take_char(text, ']'))
        return false;
    domain->len = (size_t)(text->ptr - domain->ptr);
    if (is_ip(AF_INET, content))
        return true;
    if (slice_starts_nocase(content, SLICE("IPv6:")))
        return is_ip(AF_INET6, (struct slice){content.ptr + 5, content.len - 5});
    tag = take_run(&content, TAG, false);
    return tag.len && take_char(&content, ':') && content.len;
}

static bool take_name(struct slice *text, struct slice *domain)
{
    domain->ptr = text->ptr;
    do {
        struct slice label = take_run(text, LABEL, true);

        if (!label.len || label.len > LABEL_MAX || label.ptr[0] == '-' ||
            label.ptr[label.len - 1] == '-')
            return false;
    } while (take_char(text, '.'));
    domain->len = (size_t)(text->ptr - domain->ptr);
    return true;
}

static bool take_domain(struct slice *text, struct slice *domain, struct reason *why)
{
    bool ok = text->len && *text->ptr == '[' ? take_literal(text, domain) : take_name(text, domain);

    if (!ok)
        return reason_set(why, "the address has no valid domain");
    if (domain->len > ADDRESS_DOMAIN_MAX)
        return reason_set(why, "the address's domain is longer than %d octets", ADDRESS_DOMAIN_MAX);
    return true;
}

static bool take_local(struct slice *text, struct slice *local, struct reason *why)
{
    bool ok = text->len && *text->ptr == '"' ? take_quoted_string(text, local)
                                             : take_dot_string(text, local);

    if (!ok)
        return reason_set(why, "the address has no valid local part");
    if (local->len > ADDRESS_LOCAL_MAX)
        return reason_set(why, "the address's local part is longer than %d octets",
                          ADDRESS_LOCAL_MAX);
    return true;
}

static bool has_utf8(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] & 0x80)
            return true;
    }
    return false;
}

static bool take_mailbox(struct slice *text, enum path_kind kind, struct address *out,
                         struct reason *why)
{
    out->mailbox.ptr = text->ptr;
    if (!take_local(text, &out->local, why))
        return false;
    if (take_char(text, '@')) {
        if (!take_domain(text, &out->domain, why))
            return false;
    } else if (kind != PATH_FORWARD || !slice_equal_nocase(out->local, SLICE("postmaster"))) {
        return reason_set(why, "the address has no @domain");
    }
    out->mailbox.len = (size_t)(text->ptr - out->mailbox.ptr);
    if (out->mailbox.len > ADDRESS_MAX)
        return reason_set(why, "the address is longer than %d octets", ADDRESS_MAX);
    out->utf8 = has_utf8(out->mailbox);
    return true;
}

/* "@a,@b:", to be accepted and ignored (RFC 5321 appendix C). */
static bool skip_route(struct slice *text, struct reason *why)
{
    struct slice hop;

    if (!text->len || *text->ptr != '@')
        return true;
    do {
        if (!take_char(text, '@') || !take_domain(text, &hop, NULL))
            return reason_set(why, "the address's source route is not valid");
    } while (take_char(text, ','));
    if (!take_char(text, ':'))
        return reason_set(why, "the address's source route has no end");
    return true;
}

static bool take_path(struct slice *text, enum path_kind kind, struct address *out,
                      struct reason *why)
{
    bool bracket = take_char(text, '<');

    if (bracket && take_char(text, '>')) {
        if (kind == PATH_REVERSE)
            return true;
        return reason_set(why, "the null address <> cannot receive");
    }
    if (bracket && !skip_route(text, why))
        return false;
    if (!take_mailbox(text, kind, out, why))
        return false;
    if (bracket && !take_char(text, '>'))
        return reason_set(why, "the address does not end in >");
    if (!bracket && text->len && *text->ptr != ' ')
        return reason_set(why, "the address has an octet that must be quoted or is not allowed");
    return true;
}

bool address_parse_path(struct slice *text, enum path_kind kind, struct address *out,
                        struct reason *why)
{
    struct slice at = *text;

    *out = (struct address){0};
    while (take_char(&at, ' '))
        continue;
    if (!at.len)
        return reason_set(why, "the address is missing");
    if (!take_path(&at, kind, out, why)) {
        *out = (struct address){0};
        return false;
    }
    *text = at;
    return true;
}

bool address_is_mailbox(struct slice text)
{
    struct address parsed = {0};

    return text.len && *text.ptr != '"' && take_mailbox(&text, PATH_REVERSE, &parsed, NULL) &&
           !text.len;
}
