/* Where a login's code and tokens go.
 *
 * Whoever signs in trusts the page that he sees, the provider's of the configuration. Its
 * code, which is as good as a password for some minutes, and the tokens must not end
 * elsewhere: at a token endpoint or mail server that only the account's record names, and
 * that somebody may have written there who could write records but read no secret.
 */
#include "broker/admin/login.h"
#include "broker/oauth/clocks.h"
#include "broker/wipe.h"
#include "conf/conf.h"

#define LIVE_HOST "https://login.live.com/"

bool login_place_is_live(const struct account_record *record)
{
    return strncmp(record->token_url, LIVE_HOST, strlen(LIVE_HOST)) == 0;
}

static struct slice host_of(const char *endpoint)
{
    const char *colon = strrchr(endpoint, ':');
    struct slice host = {endpoint, colon ? (size_t)(colon - endpoint) : strlen(endpoint)};

    if (host.len > 2 && *host.ptr == '[')
        host = (struct slice){host.ptr + 1, host.len - 2};
    return host;
}

/* "smtp-relay.gmail.com" beside "smtp.gmail.com". */
static bool is_sibling(struct slice host, struct slice of)
{
    const char *dot = of.len ? memchr(of.ptr, '.', of.len) : NULL;
    size_t len = dot ? of.len - (size_t)(dot - of.ptr) : 0;

    if (len < 4 || !memchr(dot + 1, '.', len - 1) || host.len <= len)
        return false;
    return slice_equal_nocase((struct slice){host.ptr + host.len - len, len},
                              (struct slice){dot, len});
}

static bool is_token_host(const struct conf_provider *provider, const struct account_record *record)
{
    struct slice origin = url_origin(record->token_url);

    return slice_equal_nocase(origin, url_origin(provider->token_url)) ||
           slice_equal_nocase(origin, url_origin(provider->authorize_url)) ||
           (login_place_is_live(record) && strcmp(provider->name, "outlook") == 0);
}

static bool is_mail_host(const struct conf_provider *provider, const struct account_record *record)
{
    struct slice ours = host_of(provider->smtp_endpoint);

    return slice_equal_nocase(slice_of(record->host), ours) ||
           is_sibling(slice_of(record->host), ours) ||
           conf_endpoint_ceiling(slice_of(record->endpoint)); /* Google's and Microsoft's */
}

const char *login_place_check(const struct conf_provider *provider,
                              const struct account_record *record, struct reason *why)
{
    struct slice origin = url_origin(record->token_url);
    const char *key = NULL;

    if (record->app[0]) /* the configuration says where */
        return NULL;
    if (!is_token_host(provider, record)) {
        key = "oauth_token_url";
        reason_set(why,
                   "oauth_token_url: %.120s asks for tokens at %.*s, which is not where %s gives "
                   "them: remove the key from the account, or describe that place in "
                   "providers.NAME of the configuration",
                   record->email, origin.len < 100 ? (int)origin.len : 100, origin.ptr,
                   provider->name);
    } else if (!is_mail_host(provider, record)) {
        key = "oauth_endpoint";
        reason_set(
            why,
            "oauth_endpoint: mail of %.120s goes to %.100s, which is no server of %s: remove "
            "the key from the account, or describe that place in providers.NAME of the "
            "configuration",
            record->email, record->host, provider->name);
    }
    return key;
}

bool login_place_keep(struct login *login, const struct account_record *record)
{
    struct store_place *place = &login->place;

    *place = (struct store_place){.client_id = slice_dup(slice_of(record->client_id)),
                                  .client_secret = slice_dup(slice_of(record->client_secret)),
                                  .token_url = slice_dup(slice_of(record->token_url)),
                                  .endpoint = slice_dup(slice_of(record->endpoint))};
    return place->client_id && place->client_secret && place->token_url && place->endpoint;
}

void login_place_clear(struct login *login)
{
    free(login->place.client_id);
    secret_free(&login->place.client_secret);
    free(login->place.token_url);
    free(login->place.endpoint);
    login->place = (struct store_place){NULL};
}
