#include "broker/store/checks.h"

#include <arpa/inet.h>
#include <sodium.h>
#include <stdbool.h>
#include <string.h>

#include "base/date.h"
#include "base/str.h"
#include "conf/conf.h"
#include "ipc/ipc.h"

/* One answer at the end, not one per octet: tokens are long, and many. */
static bool all_between(const char *text, unsigned char low, unsigned char high)
{
    bool outside = false;

    for (size_t i = 0, len = strlen(text); i < len; i++)
        outside |= (unsigned char)((unsigned char)text[i] - low) > (unsigned char)(high - low);
    return !outside;
}

/* No space and no control; octets above ASCII are for internationalised
 * mailboxes. */
static bool is_word(const char *text)
{
    return text[0] && all_between(text, 0x21, 0xff) && !strchr(text, 0x7f);
}

const char *check_email(const char *text)
{
    const char *at = strrchr(text, '@');

    if (strlen(text) > 254 || !is_word(text) || !at || at == text || !at[1] ||
        strpbrk(text, "<>\",;"))
        return "an e-mail address such as user@example.com";
    return NULL;
}

const char *check_user(const char *text)
{
    if (text[0] && (strlen(text) > IPC_ID_MAX || !is_word(text)))
        return "a mailbox name of at most 256 octets without spaces";
    return NULL;
}

const char *check_id(const char *text)
{
    if (text[0] &&
        (strlen(text) > IPC_ID_MAX || !all_between(text, 0x20, 0xff) || strchr(text, 0x7f)))
        return "a printable text of at most 256 octets";
    return NULL;
}

const char *check_provider(const char *text)
{
    if (!text[0] || strlen(text) >= CONF_NAME_MAX || !all_between(text, 0x21, 0x7e))
        return "a provider's name, such as gmail or outlook";
    return NULL;
}

const char *check_secret(const char *text)
{
    if (strlen(text) > IPC_TOKEN_MAX || !all_between(text, 0x21, 0x7e))
        return "at most 16384 visible ASCII characters, without spaces or line breaks";
    return NULL;
}

const char *check_scope(const char *text)
{
    if (strlen(text) >= CONF_TEXT_MAX || !all_between(text, 0x20, 0x7e))
        return "scopes separated by spaces";
    return NULL;
}

const char *check_https_url(const char *text)
{
    static const char scheme[] = "https://";
    const char *host = text + sizeof(scheme) - 1;
    size_t host_len;

    if (!text[0])
        return NULL;
    if (strlen(text) >= CONF_TEXT_MAX || !slice_starts_nocase(slice_of(text), SLICE("https://")))
        return "an https:// URL: tokens never travel in clear";
    host_len = strcspn(host, "/?#");
    if (!host_len || !all_between(text, 0x21, 0x7e) || memchr(host, '@', host_len) ||
        strchr(text, '#'))
        return "a complete https:// URL without user name or fragment";
    return NULL;
}

static bool is_host_name(const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char c = ascii_lower(name[i]);

        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '.' && c != '_')
            return false;
    }
    return len > 0 && len <= 253;
}

static bool is_bracketed_address(const char *text, size_t len)
{
    char literal[INET6_ADDRSTRLEN];
    struct in6_addr address;

    return len > 2 && text[0] == '[' && text[len - 1] == ']' &&
           slice_copy((struct slice){text + 1, len - 2}, literal, sizeof(literal)) &&
           inet_pton(AF_INET6, literal, &address) == 1;
}

const char *check_endpoint(const char *text)
{
    const char *colon = strrchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : 0;
    uint64_t port;

    if (!text[0])
        return NULL;
    if (!colon || !slice_to_u64(slice_of(colon + 1), &port) || port == 0 || port > 65535 ||
        !(is_host_name(text, len) || is_bracketed_address(text, len)))
        return "host:port of the SMTP server, such as smtp.gmail.com:587";
    return NULL;
}

const char *check_address(const char *text)
{
    struct in6_addr address;

    if (text[0] && inet_pton(AF_INET, text, &address) != 1 &&
        inet_pton(AF_INET6, text, &address) != 1)
        return "an IP address of this host, or \"\" for the system's choice";
    return NULL;
}

const char *check_reason(const char *text)
{
    if (strlen(text) > 200 || !all_between(text, 0x20, 0xff) || strchr(text, 0x7f))
        return "a line of at most 200 octets";
    return NULL;
}

const char *check_tenant(const char *text)
{
    if (text[0] && !is_host_name(text, strlen(text)))
        return "a tenant's id or domain, common, organizations or consumers";
    return NULL;
}

const char *check_password_hash(const char *text)
{
    char padded[crypto_pwhash_STRBYTES] = "";

    if (!text[0])
        return NULL;
    if (strncmp(text, crypto_pwhash_argon2id_STRPREFIX, strlen(crypto_pwhash_argon2id_STRPREFIX)) !=
            0 ||
        !slice_copy(slice_of(text), padded, sizeof(padded)) ||
        crypto_pwhash_str_needs_rehash(padded, crypto_pwhash_OPSLIMIT_INTERACTIVE,
                                       crypto_pwhash_MEMLIMIT_INTERACTIVE) < 0)
        return "an Argon2id hash as \"bearerctl passwd\" prints it";
    return NULL;
}

const char *check_app(const char *text)
{
    if (strlen(text) >= CONF_NAME_MAX || !all_between(text, 0x21, 0x7e))
        return "the name of an application of the configuration (apps.NAME)";
    return NULL;
}

const char *check_day(const char *text)
{
    uint64_t ms;

    if (text[0] && !date_parse_day(text, &ms))
        return "a day such as 2026-12-31";
    return NULL;
}
