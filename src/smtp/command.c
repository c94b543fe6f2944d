#include "smtp/command.h"

#define ENVID_MAX 100 /* RFC 3461 section 4.4 */
#define ORCPT_MAX 500 /* RFC 3461 section 4.2 */
#define HELO_MAX 255

const char *const smtp_verb_names[SMTP_VERBS] = {
    [SMTP_EHLO] = "EHLO", [SMTP_HELO] = "HELO", [SMTP_STARTTLS] = "STARTTLS", [SMTP_AUTH] = "AUTH",
    [SMTP_MAIL] = "MAIL", [SMTP_RCPT] = "RCPT", [SMTP_DATA] = "DATA",         [SMTP_BDAT] = "BDAT",
    [SMTP_RSET] = "RSET", [SMTP_NOOP] = "NOOP", [SMTP_VRFY] = "VRFY",         [SMTP_EXPN] = "EXPN",
    [SMTP_HELP] = "HELP", [SMTP_QUIT] = "QUIT", [SMTP_UNKNOWN] = "UNKNOWN",
};

/* Four octets as one number; clearing bit 5 folds ASCII case, and no octet but
 * the two cases of a letter becomes that letter. */
#define FOUR(a, b, c, d)                                                                           \
    ((uint32_t)(unsigned char)(a) << 24 | (uint32_t)(unsigned char)(b) << 16 |                     \
     (uint32_t)(unsigned char)(c) << 8 | (unsigned char)(d))

static enum smtp_verb verb_of(const char *word)
{
    switch (FOUR(word[0], word[1], word[2], word[3]) & 0xdfdfdfdfu) {
    case FOUR('E', 'H', 'L', 'O'):
        return SMTP_EHLO;
    case FOUR('H', 'E', 'L', 'O'):
        return SMTP_HELO;
    case FOUR('A', 'U', 'T', 'H'):
        return SMTP_AUTH;
    case FOUR('M', 'A', 'I', 'L'):
        return SMTP_MAIL;
    case FOUR('R', 'C', 'P', 'T'):
        return SMTP_RCPT;
    case FOUR('D', 'A', 'T', 'A'):
        return SMTP_DATA;
    case FOUR('B', 'D', 'A', 'T'):
        return SMTP_BDAT;
    case FOUR('R', 'S', 'E', 'T'):
        return SMTP_RSET;
    case FOUR('N', 'O', 'O', 'P'):
        return SMTP_NOOP;
    case FOUR('V', 'R', 'F', 'Y'):
        return SMTP_VRFY;
    case FOUR('E', 'X', 'P', 'N'):
        return SMTP_EXPN;
    case FOUR('H', 'E', 'L', 'P'):
        return SMTP_HELP;
    case FOUR('Q', 'U', 'I', 'T'):
        return SMTP_QUIT;
    default:
        return SMTP_UNKNOWN;
    }
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The word at the start of *text; moves *text behind it and the blanks after. */
static struct slice take_word(struct slice *text)
{
    struct slice word = {text->ptr, 0};
    size_t next;

    while (word.len < text->len && !is_blank(text->ptr[word.len]))
        word.len++;
    for (next = word.len; next < text->len && is_blank(text->ptr[next]);)
        next++;
    if (next)
        text->ptr += next;
    text->len -= next;
    return word;
}

enum smtp_verb smtp_command_split(struct slice line, struct slice *rest)
{
    struct slice word = take_word(&line);

    *rest = slice_trim(line);
    if (word.len == 4)
        return verb_of(word.ptr);
    return slice_equal_nocase(word, SLICE("STARTTLS")) ? SMTP_STARTTLS : SMTP_UNKNOWN;
}

static bool is_printable(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < 33 || text.ptr[i] > 126)
            return false;
    }
    return text.len > 0;
}

bool smtp_parse_helo(struct slice rest, struct slice *name, struct reason *why)
{
    rest = slice_trim(rest);
    if (!rest.len)
        return reason_set(why, "a host name is missing");
    if (rest.len > HELO_MAX)
        return reason_set(why, "the host name is longer than %d octets", HELO_MAX);
    if (!is_printable(rest))
        return reason_set(why, "the host name must be one word of printable ASCII");
    *name = rest;
    return true;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F') || (c >= 'a' && c <= 'f');
}

/* xtext of RFC 3461 section 4; small hexadecimal digits are tolerated. With
 * `utf8`, octets above 127 may be as they are (RFC 6533 section 3). */
static bool is_xtext(struct slice text, bool utf8)
{
    size_t i = 0;

    while (i < text.len) {
        struct slice tail = {text.ptr + i, text.len - i};
        size_t len = 1;

        if (*tail.ptr == '+')
            len = tail.len >= 3 && is_hex(tail.ptr[1]) && is_hex(tail.ptr[2]) ? 3 : 0;
        else if (*tail.ptr & 0x80)
            len = utf8 ? address_utf8_len(tail) : 0;
        else if (*tail.ptr < 33 || *tail.ptr == '=' || *tail.ptr == 127)
            len = 0;
        if (!len)
            return false;
        i += len;
    }
    return text.len > 0;
}

static bool take_size(struct slice value, void *out)
{
    struct smtp_mail *mail = out;

    mail->has_size = slice_to_u64(value, &mail->size);
    return mail->has_size;
}

static bool take_body(struct slice value, void *out)
{
    struct smtp_mail *mail = out;

    if (slice_equal_nocase(value, SLICE("7BIT")))
        mail->body = SMTP_BODY_7BIT;
    else if (slice_equal_nocase(value, SLICE("8BITMIME")))
        mail->body = SMTP_BODY_8BITMIME;
    else if (slice_equal_nocase(value, SLICE("BINARYMIME")))
        mail->body = SMTP_BODY_BINARYMIME;
    return mail->body != SMTP_BODY_UNSET;
}

static bool take_utf8(struct slice value, void *out)
{
    (void)value;
    ((struct smtp_mail *)out)->utf8 = true;
    return true;
}

static bool take_auth(struct slice value, void *out)
{
    ((struct smtp_mail *)out)->auth = value;
    return is_printable(value);
}

static bool take_ret(struct slice value, void *out)
{
    struct smtp_mail *mail = out;

    if (slice_equal_nocase(value, SLICE("FULL")))
        mail->ret = SMTP_RET_FULL;
    else if (slice_equal_nocase(value, SLICE("HDRS")))
        mail->ret = SMTP_RET_HDRS;
    return mail->ret != SMTP_RET_UNSET;
}

static bool take_envid(struct slice value, void *out)
{
    ((struct smtp_mail *)out)->envid = value;
    return value.len <= ENVID_MAX && is_xtext(value, false);
}

/* NEVER alone, or a list of the others (RFC 3461 section 4.1). */
static bool take_notify(struct slice value, void *out)
{
    struct slice rest = value;

    ((struct smtp_rcpt *)out)->notify = value;
    if (slice_equal_nocase(value, SLICE("NEVER")))
        return true;
    for (;;) {
        const char *comma = memchr(rest.ptr, ',', rest.len);
        struct slice word = {rest.ptr, comma ? (size_t)(comma - rest.ptr) : rest.len};

        if (!slice_equal_nocase(word, SLICE("SUCCESS")) &&
            !slice_equal_nocase(word, SLICE("FAILURE")) &&
            !slice_equal_nocase(word, SLICE("DELAY")))
            return false;
        if (!comma)
            return true;
        rest = (struct slice){comma + 1, rest.len - word.len - 1};
    }
}

/* address type, ";", xtext (RFC 3461 section 4.2). */
static bool take_orcpt(struct slice value, void *out)
{
    const char *mark = memchr(value.ptr, ';', value.len);
    struct slice type, text;

    ((struct smtp_rcpt *)out)->orcpt = value;
    if (!mark || value.len > ORCPT_MAX)
        return false;
    type = (struct slice){value.ptr, (size_t)(mark - value.ptr)};
    text = (struct slice){mark + 1, value.len - type.len - 1};
    return is_printable(type) && is_xtext(text, slice_equal_nocase(type, SLICE("utf-8")));
}

struct param {
    const char *name;
    bool has_value;
    bool dsn; /* known only when DSN was offered */
    bool (*take)(struct slice value, void *out);
};

static const struct param mail_params[] = {
    {"SIZE", true, false, take_size},
    {"BODY", true, false, take_body},
    {"SMTPUTF8", false, false, take_utf8},
    {"AUTH", true, false, take_auth},
    {"RET", true, true, take_ret},
    {"ENVID", true, true, take_envid},
    {NULL, false, false, NULL},
};

static const struct param rcpt_params[] = {
    {"NOTIFY", true, true, take_notify},
    {"ORCPT", true, true, take_orcpt},
    {NULL, false, false, NULL},
};

static const struct param *param_find(const struct param *params, struct slice name, bool dsn)
{
    for (; params->name; params++) {
        if (slice_equal_nocase(name, slice_of(params->name)) && (dsn || !params->dsn))
            return params;
    }
    return NULL;
}

static enum smtp_syntax value_error(struct reason *why, const char *name, const char *what)
{
    reason_set(why, "the parameter %s %s", name, what);
    return SMTP_SYNTAX_PARAM_VALUE;
}

static enum smtp_syntax take_param(const struct param *params, struct slice word, bool dsn,
                                   unsigned *seen, void *out, struct reason *why)
{
    const char *equals = memchr(word.ptr, '=', word.len);
    struct slice name = {word.ptr, equals ? (size_t)(equals - word.ptr) : word.len};
    struct slice value = SLICE("");
    const struct param *param = param_find(params, name, dsn);

    if (!param) {
        reason_set(why, "a parameter is not known here");
        return SMTP_SYNTAX_PARAM_UNKNOWN;
    }
    if (equals)
        value = (struct slice){equals + 1, word.len - name.len - 1};
    if (*seen & 1u << (param - params))
        return value_error(why, param->name, "is there twice");
    *seen |= 1u << (param - params);
    if (param->has_value != (value.len > 0) || param->has_value != (equals != NULL))
        return value_error(why, param->name, param->has_value ? "needs a value" : "takes no value");
    if (!param->take(value, out))
        return value_error(why, param->name, "has a value that is not valid");
    return SMTP_SYNTAX_OK;
}

/* What MAIL and RCPT share: "FROM:" or "TO:", a path, parameters. */
static enum smtp_syntax parse_path_command(struct slice rest, struct slice keyword,
                                           enum path_kind kind, struct address *address,
                                           struct reason *why, struct slice *params)
{
    if (!slice_starts_nocase(rest, keyword)) {
        reason_set(why, "%s<address> is missing", keyword.ptr);
        return SMTP_SYNTAX_ERROR;
    }
    *params = slice_trim((struct slice){rest.ptr + keyword.len, rest.len - keyword.len});
    if (!address_parse_path(params, kind, address, why))
        return SMTP_SYNTAX_ADDRESS;
    if (params->len && !is_blank(*params->ptr)) {
        reason_set(why, "there must be a space behind the address");
        return SMTP_SYNTAX_ERROR;
    }
    *params = slice_trim(*params);
    return SMTP_SYNTAX_OK;
}

static enum smtp_syntax take_params(const struct param *params, struct slice rest, bool dsn,
                                    void *out, struct reason *why)
{
    enum smtp_syntax syntax = SMTP_SYNTAX_OK;
    unsigned seen = 0;

    while (rest.len && syntax == SMTP_SYNTAX_OK)
        syntax = take_param(params, take_word(&rest), dsn, &seen, out, why);
    return syntax;
}

enum smtp_syntax smtp_parse_mail(struct slice rest, bool dsn, struct smtp_mail *out,
                                 struct reason *why)
{
    struct slice params;
    enum smtp_syntax syntax;

    *out = (struct smtp_mail){0};
    syntax = parse_path_command(rest, SLICE("FROM:"), PATH_REVERSE, &out->sender, why, &params);
    return syntax ? syntax : take_params(mail_params, params, dsn, out, why);
}

enum smtp_syntax smtp_parse_rcpt(struct slice rest, bool dsn, struct smtp_rcpt *out,
                                 struct reason *why)
{
    struct slice params;
    enum smtp_syntax syntax;

    *out = (struct smtp_rcpt){0};
    syntax = parse_path_command(rest, SLICE("TO:"), PATH_FORWARD, &out->recipient, why, &params);
    return syntax ? syntax : take_params(rcpt_params, params, dsn, out, why);
}

bool smtp_parse_bdat(struct slice rest, uint64_t *size, bool *last, struct reason *why)
{
    struct slice word;

    rest = slice_trim(rest);
    word = take_word(&rest);
    if (!slice_to_u64(word, size))
        return reason_set(why, "BDAT needs a size in octets");
    *last = slice_equal_nocase(rest, SLICE("LAST"));
    if (rest.len && !*last)
        return reason_set(why, "only LAST may follow the size of BDAT");
    return true;
}
