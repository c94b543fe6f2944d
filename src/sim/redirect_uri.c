#include "sim/redirect_uri.h"

/* The page of Microsoft's that shows a headless client's user the address. */
#define NATIVE "https://login.microsoftonline.com/common/oauth2/nativeclient"

static const char *const loopback[] = {"http://localhost", "http://127.0.0.1", "http://[::1]"};

/* Behind the host: nothing, a port, a path; and no fragment anywhere. */
static bool ends_well(const char *rest)
{
    if (*rest == ':') {
        size_t digits = strspn(rest + 1, "0123456789");

        if (!digits || digits > 5)
            return false;
        rest += 1 + digits;
    }
    return (!*rest || *rest == '/' || *rest == '?') && !strchr(rest, '#');
}

static bool is_loopback(const char *uri)
{
    for (size_t i = 0; i < sizeof(loopback) / sizeof(*loopback); i++) {
        size_t len = strlen(loopback[i]);

        if (strncmp(uri, loopback[i], len) == 0 && ends_well(uri + len))
            return true;
    }
    return false;
}

static bool is_registered(const struct client *client, const char *uri)
{
    size_t i;
    json_t *item;

    json_array_foreach(client->redirects, i, item)
    {
        if (strcmp(json_string_value(item), uri) == 0)
            return true;
    }
    return client->profile == &profile_m365 && strcmp(uri, NATIVE) == 0;
}

bool redirect_uri_fits(const struct client *client, const char *uri)
{
    for (const char *c = uri; *c; c++) {
        if (*c <= ' ' || *c == 127)
            return false;
    }
    return is_loopback(uri) || is_registered(client, uri);
}
