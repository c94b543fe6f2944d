#include "conf/forms.h"

#include <arpa/inet.h>

#include "base/date.h"

/* No controls anywhere: the text form for the relay is one line per option. */
static bool is_printable(const char *value)
{
    for (; *value; value++) {
        if ((unsigned char)*value < 32 || *value == 127)
            return false;
    }
    return true;
}

static bool is_name_char(char c)
{
    c = ascii_lower(c);
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static bool is_host_name(struct slice host)
{
    if (!host.len || host.len > 253 || host.ptr[0] == '.' || host.ptr[0] == '-')
        return false;
    for (size_t i = 0; i < host.len; i++) {
        if (!is_name_char(host.ptr[i]) && !(host.ptr[i] == '.' && host.ptr[i - 1] != '.'))
            return false;
    }
    return true;
}

static bool is_address(int family, struct slice text)
{
    char copy[INET6_ADDRSTRLEN];
    unsigned char bits[16];

    return slice_copy(text, copy, sizeof(copy)) && inet_pton(family, copy, bits) == 1;
}

static bool is_port(const char *text, uint64_t min)
{
    uint64_t port;

    return slice_to_u64(slice_of(text), &port) && port >= min && port <= 65535;
}

/* Cuts "HOST:PORT" and "[V6]:PORT" at the last colon. */
static const char *split_port(const char *value, struct slice *host, bool *bracketed)
{
    const char *colon = strrchr(value, ':');

    if (!colon)
        return NULL;
    *host = (struct slice){value, (size_t)(colon - value)};
    *bracketed = host->len > 2 && host->ptr[0] == '[' && colon[-1] == ']';
    if (*bracketed) {
        host->ptr++;
        host->len -= 2;
    }
    return colon + 1;
}

static bool is_unix(const char *value)
{
    return strncmp(value, "unix:/", 6) == 0 && is_printable(value) && !strpbrk(value, " ,");
}

bool form_is_listener(const char *value)
{
    struct slice host;
    bool bracketed;
    const char *port = split_port(value, &host, &bracketed);

    if (is_unix(value))
        return true;
    if (!port || !is_port(port, 0))
        return false;
    if (bracketed)
        return is_address(AF_INET6, host);
    return slice_equal(host, SLICE("*")) || is_address(AF_INET, host);
}

bool form_is_range(const char *value)
{
    const char *slash = strchr(value, '/');
    struct slice host = {value, slash ? (size_t)(slash - value) : strlen(value)};
    uint64_t bits = 0;

    if (strcmp(value, "unix") == 0)
        return true;
    if (slash && !slice_to_u64(slice_of(slash + 1), &bits))
        return false;
    return (is_address(AF_INET, host) && bits <= 32) || (is_address(AF_INET6, host) && bits <= 128);
}

bool form_is_provider_name(const char *value)
{
    const char *at = value;

    while (is_name_char(*at))
        at++;
    return at > value && !*at && at - value < CONF_NAME_MAX;
}

static bool is_url(const char *value)
{
    struct slice text = slice_of(value);

    return slice_starts_nocase(text, SLICE("https://")) && text.len > 8 && is_printable(value) &&
           !strpbrk(value, " \"<>\\^`{|}") && (is_name_char(value[8]) || value[8] == '[');
}

/* "127.0.0.1", "[::1]" or "localhost", then a port, a path or nothing. */
static bool is_loopback_url(const char *rest)
{
    struct slice host = {rest, strcspn(rest, ":/?#")};
    const char *end = rest + host.len;

    if (rest[0] == '[') {
        host = (struct slice){rest, strcspn(rest, "]")};
        end = rest + host.len + (rest[host.len] == ']');
        if (!slice_equal(host, SLICE("[::1")))
            return false;
    } else if (!slice_equal_nocase(host, SLICE("localhost")) &&
               !(slice_starts_nocase(host, SLICE("127.")) && is_address(AF_INET, host))) {
        return false;
    }
    if (*end == ':')
        end += 1 + strspn(end + 1, "0123456789");
    return *end == '\0' || *end == '/' || *end == '?';
}

/* Without a name and a password in it: those would be sent as they are. */
static bool is_webhook(const char *value)
{
    struct slice text = slice_of(value);
    const char *host;

    if (slice_starts_nocase(text, SLICE("http://")))
        return is_printable(value) && !strpbrk(value, " \"#<>\\^`{|}") &&
               is_loopback_url(value + 7);
    host = strstr(value, "//");
    return is_url(value) && host && !strchr(value, '#') &&
           !memchr(host, '@', 2 + strcspn(host + 2, "/?"));
}

static bool is_endpoint(const char *value)
{
    struct slice host;
    bool bracketed;
    const char *port = split_port(value, &host, &bracketed);

    return port && is_port(port, 1) &&
           (bracketed ? is_address(AF_INET6, host) : is_host_name(host));
}

static bool is_host(const char *value)
{
    struct slice host = slice_of(value);

    if (host.len > 2 && host.ptr[0] == '[') /* an address literal as EHLO has it */
        return host.ptr[host.len - 1] == ']' && is_printable(value) && !strchr(value, ' ');
    return is_host_name(host);
}

static bool is_admin(const char *value)
{
    struct slice host = slice_of(value);

    return is_address(AF_INET, host) || is_address(AF_INET6, host) || is_unix(value) ||
           strcmp(value, "localhost") == 0;
}

static bool is_socket(const char *value)
{
    return (value[0] == '/' && is_printable(value)) || strcmp(value, "auto") == 0 ||
           strcmp(value, "none") == 0;
}

bool form_is_domain(const char *value)
{
    return is_host_name(slice_of(value)) && strchr(value, '.') && value[strlen(value) - 1] != '.';
}

static bool is_tenant(const char *value)
{
    return is_host_name(slice_of(value));
}

/* Visible ASCII: what goes into forms and headers as it is. */
static bool is_visible(const char *value)
{
    for (; *value; value++) {
        if ((unsigned char)*value <= 32 || (unsigned char)*value >= 127)
            return false;
    }
    return true;
}

/* application/x-www-form-urlencoded. */
static bool is_pairs(const char *value)
{
    return is_visible(value) && !strpbrk(value, "\"#<>\\^`{|}?/") && value[0] != '&' &&
           strchr(value, '=') && !strstr(value, "&&");
}

static bool is_day(const char *value)
{
    uint64_t ms;

    return date_parse_day(value, &ms);
}

const struct option_form form_any = {"text without control characters", is_printable};
const struct option_form form_path = {"a path", is_printable};
const struct option_form form_url = {"an https:// URL", is_url};
const struct option_form form_webhook = {
    "an https:// URL, or an http:// one of this host such as http://127.0.0.1:8080/", is_webhook};
const struct option_form form_endpoint = {"host:port", is_endpoint};
const struct option_form form_host = {"a host name", is_host};
const struct option_form form_admin = {"an IP address, localhost or unix:/path", is_admin};
const struct option_form form_socket = {"auto, none or a path that begins with /", is_socket};
const struct option_form form_provider = {"a provider's name", form_is_provider_name};
const struct option_form form_tenant = {"a tenant's id or domain", is_tenant};
const struct option_form form_secret = {"visible ASCII characters without spaces", is_visible};
const struct option_form form_pairs = {"form fields, as a mapping or as a=b&c=d", is_pairs};
const struct option_form form_day = {"a day such as 2026-12-31", is_day};
