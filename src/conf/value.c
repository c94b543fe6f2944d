/* Values: from text to a field of the configuration, and back.
 *
 * Writing always chooses the largest unit that divides the value, so that what
 * is written reads back to the same value.
 */
#include <inttypes.h>
#include <stdio.h>

#include "conf/forms.h"
#include "conf/options.h"

struct unit {
    const char *name;
    uint64_t factor;
};

/* Largest first. */
static const struct unit time_units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000},
                                         {"s", 1000},     {"ms", 1},      {NULL, 0}};
static const struct unit size_units[] = {
    {"G", 1u << 30}, {"M", 1u << 20}, {"K", 1u << 10}, {"", 1}, {NULL, 0}};
static const struct unit factor_units[] = {{"", 1000}, {NULL, 0}};

static const struct option_word bool_words[] = {{"true", true}, {"false", false}, {"yes", true},
                                                {"no", false},  {"on", true},     {"off", false},
                                                {NULL, 0}};

/* --- reading --------------------------------------------------------------- */

/* "1.5" with factor 1000 is 1500; what the factor cannot hold is refused. */
static bool scale_decimal(struct slice text, uint64_t factor, uint64_t *out)
{
    const char *dot = memchr(text.ptr, '.', text.len);
    struct slice whole = {text.ptr, dot ? (size_t)(dot - text.ptr) : text.len};
    uint64_t value, part = 0, scale = 1;

    if (!slice_to_u64(whole, &value) || __builtin_mul_overflow(value, factor, &value))
        return false;
    if (dot) {
        struct slice decimals = {dot + 1, text.len - whole.len - 1};

        if (decimals.len > 9 || !slice_to_u64(decimals, &part))
            return false;
        for (size_t i = 0; i < decimals.len; i++)
            scale *= 10;
        if (__builtin_mul_overflow(part, factor, &part) || part % scale)
            return false;
    }
    return !__builtin_add_overflow(value, part / scale, out);
}

/* A number with one of the units; `plain` is what a bare number counts. */
static bool parse_units(struct slice text, const struct unit *units, uint64_t plain, uint64_t *out)
{
    size_t digits = 0;
    struct slice name;

    while (digits < text.len && strchr("0123456789.", text.ptr[digits]) && text.ptr[digits])
        digits++;
    name = slice_trim((struct slice){text.ptr + digits, text.len - digits});
    text.len = digits;
    if (!text.len)
        return false;
    if (!name.len)
        return scale_decimal(text, plain, out);
    for (; units->name; units++) {
        if (*units->name && slice_equal_nocase(name, slice_of(units->name)))
            return scale_decimal(text, units->factor, out);
    }
    return false;
}

static bool parse_octal(struct slice text, uint64_t *out)
{
    uint64_t value = 0;

    if (!text.len || text.len > 6)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '7')
            return false;
        value = value * 8 + (uint64_t)(text.ptr[i] - '0');
    }
    *out = value;
    return true;
}

static bool parse_word(struct slice text, const struct option_word *words, int *out)
{
    for (; words->text; words++) {
        if (slice_equal_nocase(text, slice_of(words->text))) {
            *out = words->value;
            return true;
        }
    }
    return false;
}

static bool parse_number(const struct option_row *row, struct slice text, uint64_t *out)
{
    bool ok;

    switch (row->type) {
    case OPTION_SIZE:
        ok = parse_units(text, size_units, 1, out);
        break;
    case OPTION_DURATION:
        ok = parse_units(text, time_units, 1000, out);
        break;
    case OPTION_FACTOR:
        ok = parse_units(text, factor_units, 1000, out);
        break;
    case OPTION_MODE:
        ok = parse_octal(text, out);
        break;
    default:
        ok = slice_to_u64(text, out);
    }
    return ok && *out >= row->min && *out <= row->max;
}

static bool set_number(const struct option_row *row, void *field, struct slice text)
{
    uint64_t value;

    if (!parse_number(row, text, &value))
        return false;
    if (row->type == OPTION_U32 || row->type == OPTION_MODE)
        *(uint32_t *)field = (uint32_t)value;
    else if (row->type == OPTION_FACTOR)
        *(double *)field = (double)value / 1000;
    else
        *(uint64_t *)field = value;
    return true;
}

static bool set_text(const struct option_row *row, char *field, struct slice text)
{
    char copy[CONF_TEXT_MAX];

    if (text.len < row->min || text.len > row->max || !slice_copy(text, copy, sizeof(copy)) ||
        strlen(copy) != text.len || (text.len && !row->form->matches(copy)))
        return false;
    memcpy(field, copy, text.len + 1);
    return true;
}

static bool set_field(const struct option_row *row, void *base, struct slice text)
{
    void *field = (char *)base + row->offset;
    int word;

    switch (row->type) {
    case OPTION_BOOL:
        if (!parse_word(text, bool_words, &word))
            return false;
        *(bool *)field = word;
        return true;
    case OPTION_CHOICE:
        if (!parse_word(text, row->words, &word))
            return false;
        *(int *)field = word;
        return true;
    case OPTION_TEXT:
        return set_text(row, field, text);
    default:
        return set_number(row, field, text);
    }
}

static bool refuse(const struct option_row *row, struct slice value, struct reason *why)
{
    char memory[256];
    struct text expects;
    int shown = value.len > 64 ? 64 : (int)value.len;

    text_init(&expects, memory, sizeof(memory));
    option_expects(row, &expects);
    if (row->secret)
        return reason_set(why, "the value (not shown) must be %s", memory);
    return reason_set(why, "\"%.*s%s\": must be %s", shown, value.ptr ? value.ptr : "",
                      value.len > 64 ? "..." : "", memory);
}

/* --- lists ----------------------------------------------------------------- */

static const struct option_word listener_words[] = {{"none", CONF_TLS_NONE},
                                                    {"starttls", CONF_TLS_STARTTLS},
                                                    {"implicit", CONF_TLS_IMPLICIT},
                                                    {NULL, 0}};

void option_list_clear(const struct option_row *row, void *base)
{
    if (row->type == OPTION_LISTENERS)
        ((struct conf *)base)->listener_count = 0;
    else if (row->type == OPTION_RANGES)
        ((struct conf *)base)->trusted_count = 0;
    else
        ((char *)base)[row->offset] = '\0';
}

/* "ADDRESS" or "ADDRESS TLS". */
static bool add_listener(struct conf *conf, struct slice item)
{
    struct conf_listener *listener = &conf->listeners[conf->listener_count];
    const char *space = memchr(item.ptr, ' ', item.len);
    struct slice address = {item.ptr, space ? (size_t)(space - item.ptr) : item.len};
    struct slice tls =
        slice_trim((struct slice){address.ptr + address.len, item.len - address.len});
    int word = CONF_TLS_NONE;

    if (!slice_copy(address, listener->address, sizeof(listener->address)) ||
        !form_is_listener(listener->address) ||
        (tls.len && !parse_word(tls, listener_words, &word)))
        return false;
    listener->tls = (enum conf_tls)word;
    conf->listener_count++;
    return true;
}

static bool add_range(struct conf *conf, struct slice item)
{
    char *range = conf->trusted_clients[conf->trusted_count];

    if (!slice_copy(item, range, sizeof(conf->trusted_clients[0])) || !form_is_range(range))
        return false;
    conf->trusted_count++;
    return true;
}

/* Lower case, so that looking one up needs no care. */
static bool add_domain(char *list, struct slice item)
{
    char domain[256];
    size_t len = strlen(list);

    if (!slice_copy(item, domain, sizeof(domain)) || !form_is_domain(domain) ||
        len + item.len + 3 > CONF_TEXT_MAX)
        return false;
    ascii_lower_in_place(domain);
    if (len) {
        memcpy(list + len, ", ", 2);
        len += 2;
    }
    memcpy(list + len, domain, item.len + 1);
    return true;
}

static bool list_is_full(const struct option_row *row, const void *base)
{
    const struct conf *conf = base;

    if (row->type == OPTION_DOMAINS)
        return strlen((const char *)base + row->offset) > CONF_TEXT_MAX - 8;
    return row->type == OPTION_LISTENERS ? conf->listener_count == CONF_LISTENERS_MAX
                                         : conf->trusted_count == CONF_TRUSTED_MAX;
}

static bool add_item(const struct option_row *row, void *base, struct slice item)
{
    if (row->type == OPTION_DOMAINS)
        return add_domain((char *)base + row->offset, item);
    return row->type == OPTION_LISTENERS ? add_listener(base, item) : add_range(base, item);
}

bool option_list_add(const struct option_row *row, void *base, struct slice item,
                     struct reason *why)
{
    struct slice trimmed = slice_trim(item);

    if (list_is_full(row, base))
        return reason_set(why, "\"%.*s\": must be left out, the list is full",
                          (int)(trimmed.len < 64 ? trimmed.len : 64), trimmed.ptr);
    return add_item(row, base, trimmed) || refuse(row, item, why);
}

/* "ITEM, ITEM"; nothing is the empty list. */
static bool set_list(const struct option_row *row, void *base, struct slice text,
                     struct reason *why)
{
    option_list_clear(row, base);
    while (text.len) {
        const char *comma = memchr(text.ptr, ',', text.len);
        struct slice item = {text.ptr, comma ? (size_t)(comma - text.ptr) : text.len};

        if (!option_list_add(row, base, item, why))
            return false;
        text.ptr += item.len + (comma != NULL);
        text.len -= item.len + (comma != NULL);
    }
    return true;
}

bool option_set(const struct option_row *row, void *base, struct slice value, struct reason *why)
{
    struct slice trimmed = slice_trim(value);

    if (option_is_list(row))
        return set_list(row, base, trimmed, why);
    return set_field(row, base, trimmed) || refuse(row, value, why);
}

static void format_list(const struct option_row *row, const struct conf *conf, struct text *out)
{
    if (row->type == OPTION_RANGES) {
        for (size_t i = 0; i < conf->trusted_count; i++)
            text_addf(out, "%s%s", i ? ", " : "", conf->trusted_clients[i]);
        return;
    }
    for (size_t i = 0; i < conf->listener_count; i++)
        text_addf(out, "%s%s %s", i ? ", " : "", conf->listeners[i].address,
                  listener_words[conf->listeners[i].tls].text);
}

/* --- form fields ------------------------------------------------------------ */

bool option_is_form(const struct option_row *row)
{
    return row->type == OPTION_TEXT && row->form == &form_pairs;
}

static void add_encoded(struct text *out, const char *value)
{
    for (; *value; value++) {
        unsigned char c = (unsigned char)*value;

        if ((c >= '0' && c <= '9') || (ascii_lower(*value) >= 'a' && ascii_lower(*value) <= 'z') ||
            strchr("-._~", *value))
            text_add_char(out, *value);
        else
            text_addf(out, "%%%02X", c);
    }
}

void option_form_add(struct text *out, const char *key, const char *value)
{
    if (out->len)
        text_add_char(out, '&');
    add_encoded(out, key);
    text_add_char(out, '=');
    add_encoded(out, value);
}

/* --- writing --------------------------------------------------------------- */

static void format_units(uint64_t value, const struct unit *units, struct text *out)
{
    /* Zero has every unit: seconds or octets read best. */
    if (!value) {
        text_add_str(out, units == time_units ? "0s" : "0");
        return;
    }
    while (value % units->factor)
        units++;
    text_addf(out, "%" PRIu64 "%s", value / units->factor, units->name);
}

static void format_factor(uint64_t thousandths, struct text *out)
{
    size_t end;

    text_addf(out, "%" PRIu64 ".%03u", thousandths / 1000, (unsigned)(thousandths % 1000));
    for (end = out->len; end > 2 && out->at[end - 1] == '0' && out->at[end - 2] != '.'; end--)
        ;
    out->len = end;
    out->at[end] = '\0';
}

static const char *word_of(const struct option_word *words, int value)
{
    while (words->text && words->value != value)
        words++;
    return words->text ? words->text : "?";
}

static void format_number(const struct option_row *row, uint64_t value, struct text *out)
{
    switch (row->type) {
    case OPTION_SIZE:
        format_units(value, size_units, out);
        break;
    case OPTION_DURATION:
        format_units(value, time_units, out);
        break;
    case OPTION_FACTOR:
        format_factor(value, out);
        break;
    case OPTION_MODE:
        text_addf(out, "%04" PRIo64, value);
        break;
    default:
        text_add_u64(out, value);
    }
}

void option_format(const struct option_row *row, const void *base, struct text *out)
{
    const void *field = (const char *)base + row->offset;

    switch (row->type) {
    case OPTION_BOOL:
        text_add_str(out, *(const bool *)field ? "true" : "false");
        break;
    case OPTION_CHOICE:
        text_add_str(out, word_of(row->words, *(const int *)field));
        break;
    case OPTION_TEXT:
    case OPTION_DOMAINS:
        text_add_str(out, field);
        break;
    case OPTION_LISTENERS:
    case OPTION_RANGES:
        format_list(row, base, out);
        break;
    case OPTION_FACTOR:
        format_number(row, (uint64_t)(*(const double *)field * 1000 + 0.5), out);
        break;
    case OPTION_U32:
    case OPTION_MODE:
        format_number(row, *(const uint32_t *)field, out);
        break;
    default:
        format_number(row, *(const uint64_t *)field, out);
    }
}

/* --- for people ------------------------------------------------------------ */

static const char *const type_names[] = {
    [OPTION_BOOL] = "true or false", [OPTION_U32] = "number",      [OPTION_SIZE] = "size",
    [OPTION_DURATION] = "duration",  [OPTION_MODE] = "octal mode", [OPTION_FACTOR] = "factor",
    [OPTION_CHOICE] = "choice",      [OPTION_TEXT] = "text",       [OPTION_LISTENERS] = "list",
    [OPTION_RANGES] = "list",        [OPTION_DOMAINS] = "list",
};

const char *option_type_name(const struct option_row *row)
{
    return row->type == OPTION_TEXT ? row->form->expects : type_names[row->type];
}

static void add_words(const struct option_word *words, struct text *out)
{
    int last = -1;

    for (; words->text; words++) {
        if (words->value <= last) /* a synonym */
            continue;
        text_addf(out, "%s%s", last < 0 ? "" : ", ", words->text);
        last = words->value;
    }
}

void option_range(const struct option_row *row, struct text *out)
{
    switch (row->type) {
    case OPTION_BOOL:
    case OPTION_LISTENERS:
    case OPTION_RANGES:
    case OPTION_DOMAINS:
        break;
    case OPTION_CHOICE:
        add_words(row->words, out);
        break;
    case OPTION_TEXT:
        if (row->max < CONF_TEXT_MAX - 1)
            text_addf(out, "at most %" PRIu64 " octets", row->max);
        break;
    default:
        format_number(row, row->min, out);
        text_add_str(out, " to ");
        format_number(row, row->max, out);
    }
}

void option_expects(const struct option_row *row, struct text *out)
{
    static const char *const phrases[] = {
        [OPTION_BOOL] = "true or false",
        [OPTION_U32] = "a whole number, ",
        [OPTION_SIZE] = "a size such as 512K, 50M or 1G, ",
        [OPTION_DURATION] = "a duration such as 500ms, 30s, 5m or 1h (a plain number: seconds), ",
        [OPTION_MODE] = "permission bits in octal, ",
        [OPTION_FACTOR] = "a number with at most three decimals, ",
        [OPTION_CHOICE] = "one of ",
        [OPTION_LISTENERS] =
            "IPv4:PORT, [IPv6]:PORT, *:PORT or unix:/PATH, tls none, starttls or implicit",
        [OPTION_RANGES] = "addresses, ranges such as 192.0.2.0/24, or unix",
        [OPTION_DOMAINS] = "domains such as example.com",
    };

    if (row->type != OPTION_TEXT) {
        text_add_str(out, phrases[row->type]);
        option_range(row, out);
        return;
    }
    text_addf(out, "%s%s, at most %" PRIu64 " octets", row->form->expects,
              row->min ? "" : " or empty", row->max);
}
