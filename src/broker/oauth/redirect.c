#include "broker/oauth/redirect.h"

#define URI_MAX 500

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Undoes application/x-www-form-urlencoded. False: it does not fit, has a NUL, or a '%'
 * without two digits. */
static bool decode(struct slice value, char *out, size_t cap)
{
    size_t len = 0;

    for (size_t i = 0; i < value.len; i++) {
        int c = value.ptr[i] == '+' ? ' ' : (unsigned char)value.ptr[i];

        if (c == '%') {
            int high = i + 2 < value.len ? digit_of(value.ptr[i + 1]) : -1;
            int low = high < 0 ? -1 : digit_of(value.ptr[i + 2]);

            if (low < 0)
                return false;
            c = high << 4 | low;
            i += 2;
        }
        if (!c || len + 1 >= cap)
            return false;
        out[len++] = (char)c;
    }
    out[len] = '\0';
    return true;
}

static bool is_visible(const char *text)
{
    for (; *text; text++) {
        if (*text <= ' ' || *text > '~')
            return false;
    }
    return true;
}

static void make_printable(char *text)
{
    for (; *text; text++) {
        if (*text < ' ' || *text > '~')
            *text = *text == '\n' || *text == '\r' ? ' ' : '?';
    }
}

static struct slice trim(struct slice text)
{
    while (text.len && strchr(" \t\r\n", text.ptr[text.len - 1]) && text.ptr[text.len - 1])
        text.len--;
    while (text.len && strchr(" \t\r\n", *text.ptr) && *text.ptr) {
        text.ptr++;
        text.len--;
    }
    return text;
}

/* Up to `stop`, which is taken off the rest too. */
static struct slice cut(struct slice *rest, char stop)
{
    const char *at = rest->len ? memchr(rest->ptr, stop, rest->len) : NULL;
    struct slice head = {rest->ptr, at ? (size_t)(at - rest->ptr) : rest->len};

    rest->ptr += head.len + (at != NULL);
    rest->len -= head.len + (at != NULL);
    return head;
}

/* A parameter that comes twice is nobody's answer (RFC 6749 section 3.1). */
static bool take(struct redirect *out, struct slice name, struct slice value, struct reason *why)
{
    const struct {
        struct slice name;
        char *to;
        size_t cap;
    } known[] = {{SLICE("code"), out->code, sizeof(out->code)},
                 {SLICE("state"), out->state, sizeof(out->state)},
                 {SLICE("error"), out->error, sizeof(out->error)}};

    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
        if (!slice_equal(name, known[i].name))
            continue;
        if (!*known[i].to && decode(value, known[i].to, known[i].cap) && is_visible(known[i].to))
            return true;
        return reason_set(why, "the address is damaged at \"%.*s\": paste it as a whole",
                          (int)name.len, name.ptr);
    }
    /* Words for people: cut rather than refused. */
    if (slice_equal(name, SLICE("error_description"))) {
        if (value.len >= sizeof(out->description))
            value.len = sizeof(out->description) - 1;
        while (value.len && !decode(value, out->description, sizeof(out->description)))
            value.len--;
        make_printable(out->description);
    }
    return true;
}

static bool read_query(struct redirect *out, struct slice query, struct reason *why)
{
    while (query.len) {
        struct slice value = cut(&query, '&');
        struct slice name = cut(&value, '=');

        if (!take(out, name, value, why))
            return false;
    }
    if (!*out->code == !*out->error)
        return reason_set(why, *out->code ? "the address has both a code and an error"
                                          : "the address has no code in it: paste that of the page "
                                            "where the browser ended");
    return true;
}

static bool has_parameter(struct slice text, struct slice name)
{
    while (text.len) {
        struct slice value = cut(&text, '&');

        if (slice_equal(cut(&value, '='), name))
            return true;
    }
    return false;
}

static bool read(struct redirect *out, struct slice text, struct reason *why)
{
    struct slice whole = text;
    bool is_url = slice_find_nocase(text, SLICE("://")) >= 0;

    if (is_url || memchr(text.ptr, '?', text.len)) {
        struct slice query;

        cut(&whole, '?');
        query = cut(&whole, '#');
        return read_query(out, query, why);
    }
    if (has_parameter(text, SLICE("code")) || has_parameter(text, SLICE("error")))
        return read_query(out, text, why);
    /* As the address bar shows it, perhaps encoded. */
    if (decode(text, out->code, sizeof(out->code)) && *out->code && is_visible(out->code))
        return true;
    return reason_set(why, "this is neither an address nor a code");
}

bool redirect_read(struct redirect *out, struct slice text, struct reason *why)
{
    *out = (struct redirect){.code = ""};
    text = trim(text);
    if (!text.len)
        return reason_set(why, "there is nothing in it");
    if (text.len > REDIRECT_TEXT_MAX)
        return reason_set(why, "it is longer than %d octets", REDIRECT_TEXT_MAX);
    if (read(out, text, why))
        return true;
    *out = (struct redirect){.code = ""};
    return false;
}

/* Behind the host: a port, a path, a query, or nothing. */
static bool ends_well(const char *rest)
{
    size_t digits;

    if (*rest == ':') {
        digits = strspn(rest + 1, "0123456789");
        if (!digits || digits > 5)
            return false;
        rest += 1 + digits;
    }
    return !*rest || *rest == '/' || *rest == '?';
}

bool redirect_uri_allowed(const char *uri)
{
    static const char *const here[] = {"http://localhost", "http://127.0.0.1", "http://[::1]"};
    size_t len = strlen(uri);

    if (len > URI_MAX || strchr(uri, '#') || !is_visible(uri))
        return false;
    for (size_t i = 0; i < sizeof(here) / sizeof(*here); i++) {
        if (strncmp(uri, here[i], strlen(here[i])) == 0 && ends_well(uri + strlen(here[i])))
            return true;
    }
    return strncmp(uri, "https://", 8) == 0 && strcspn(uri + 8, "/?:") > 0;
}
