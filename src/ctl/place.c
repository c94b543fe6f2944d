#include "ctl/place.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/wipe.h"

#define DEFAULT_URL "http://127.0.0.1:9090"
#define TOKEN_MAX 512

/* Where bearerd's "admin.socket: auto" puts it: beside the account store. */
static const char *const sockets[] = {"./bearerd.sock", "/run/bearerd/bearerd.sock",
                                      "/var/lib/bearerd/bearerd.sock", "/etc/bearerd/bearerd.sock",
                                      NULL};
#define HOME_SOCKET ".local/state/bearerd/bearerd.sock"

static bool is_loopback(const char *host)
{
    struct in_addr four;
    struct in6_addr six;
    char bare[64];

    if (strcasecmp(host, "localhost") == 0)
        return true;
    if (inet_pton(AF_INET, host, &four) == 1)
        return ntohl(four.s_addr) >> 24 == 127;
    if (host[0] != '[' ||
        !slice_copy((struct slice){host + 1, strcspn(host + 1, "]%")}, bare, sizeof(bare)))
        return false;
    return inet_pton(AF_INET6, bare, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

static bool set_socket(struct place *place, const char *path, struct reason *why)
{
    struct sockaddr_un address;

    while (path[0] == '/' && path[1] == '/')
        path++; /* unix:///path */
    if (!*path || strlen(path) >= sizeof(address.sun_path))
        return reason_set(why, "the path of a unix socket has 1 to %zu octets",
                          sizeof(address.sun_path) - 1);
    place->socket = strdup(path);
    place->url = strdup("http://localhost");
    place->loopback = true;
    if (asprintf(&place->shown, "unix:%s", path) < 0)
        place->shown = NULL;
    return (place->socket && place->url && place->shown) || reason_set(why, "out of memory");
}

static char *part_of(CURLU *parts, CURLUPart part)
{
    char *text = NULL;

    return curl_url_get(parts, part, &text, 0) == CURLUE_OK ? text : NULL;
}

static bool has_part(CURLU *parts, CURLUPart part)
{
    char *text = part_of(parts, part);

    curl_free(text);
    return text != NULL;
}

static bool check_parts(CURLU *parts, struct place *place, struct reason *why)
{
    char *scheme = part_of(parts, CURLUPART_SCHEME), *host = part_of(parts, CURLUPART_HOST);
    bool known = scheme && (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);

    place->https = known && strcmp(scheme, "https") == 0;
    place->loopback = host && is_loopback(host);
    curl_free(scheme);
    curl_free(host);
    if (!known)
        return reason_set(why, "it must begin with http://, https:// or unix:/");
    if (has_part(parts, CURLUPART_USER) || has_part(parts, CURLUPART_PASSWORD))
        return reason_set(why, "no user and password here: use --token-file");
    if (has_part(parts, CURLUPART_QUERY) || has_part(parts, CURLUPART_FRAGMENT))
        return reason_set(why, "nothing may follow the host and a path");
    return true;
}

static bool set_url(struct place *place, const char *text, struct reason *why)
{
    CURLU *parts = curl_url();
    char *whole = NULL;
    bool good = false;

    if (!parts)
        return reason_set(why, "out of memory");
    if (!strstr(text, "://") || curl_url_set(parts, CURLUPART_URL, text, 0) != CURLUE_OK)
        reason_set(why, "it must be http://HOST:PORT, https://HOST:PORT or unix:/PATH");
    else
        good = check_parts(parts, place, why);
    if (good)
        whole = part_of(parts, CURLUPART_URL);
    curl_url_cleanup(parts);
    if (!whole)
        return false;
    for (size_t len = strlen(whole); len && whole[len - 1] == '/'; len--)
        whole[len - 1] = '\0';
    place->url = strdup(whole);
    place->shown = strdup(whole);
    curl_free(whole);
    return (place->url && place->shown) || reason_set(why, "out of memory");
}

bool place_parse(struct place *place, const char *text, struct reason *why)
{
    if (strncmp(text, "unix:", 5) == 0)
        return set_socket(place, text + 5, why);
    return set_url(place, text, why);
}

static bool is_socket(const char *path)
{
    struct stat facts;

    return stat(path, &facts) == 0 && S_ISSOCK(facts.st_mode);
}

static bool is_trusted(uid_t owner)
{
    return owner == 0 || owner == geteuid();
}

/* Where we happen to stand anybody may have left a socket, to get tokens and
 * secrets: /tmp, somebody's folder. */
static bool may_use(const char *path)
{
    struct stat socket, folder;

    if (strncmp(path, "./", 2) != 0)
        return true;
    if (stat(path, &socket) == 0 && is_trusted(socket.st_uid) && stat(".", &folder) == 0 &&
        is_trusted(folder.st_uid) && !(folder.st_mode & S_IWOTH))
        return true;
    ctl_note("%s may be somebody else's and is not used; if you trust it: --url unix:%s", path,
             path);
    return false;
}

static const char *search(char *home_socket, size_t cap)
{
    const char *home = getenv("HOME");

    for (size_t i = 0; sockets[i]; i++) {
        if (is_socket(sockets[i]) && may_use(sockets[i]))
            return sockets[i];
    }
    if (!home || (size_t)snprintf(home_socket, cap, "%s/" HOME_SOCKET, home) >= cap)
        return NULL;
    return is_socket(home_socket) ? home_socket : NULL;
}

static const char *from_environment(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? value : NULL;
}

static int find_url(struct place *place, const struct args *args)
{
    static const char *const variables[] = {"BEARERD_URL", "XOAUTH2_PROXY_URL", NULL};
    const char *text = args_value(args, "url"), *found;
    char home_socket[sizeof(((struct sockaddr_un *)0)->sun_path)];
    struct reason why = {""};

    place->from = text ? "--url" : NULL;
    for (size_t i = 0; !text && variables[i]; i++) {
        text = from_environment(variables[i]);
        place->from = text ? variables[i] : NULL;
    }
    if (text)
        return place_parse(place, text, &why)
                   ? CTL_OK
                   : ctl_usage("%s is \"%.200s\": %s", place->from, text, why.text);
    found = search(home_socket, sizeof(home_socket));
    if (found ? set_socket(place, found, &why) : set_url(place, DEFAULT_URL, &why))
        return CTL_OK;
    return ctl_fail("%s", why.text);
}

/* Visible ASCII: anything else would not survive a header, or would be one. */
static bool is_token(const char *text)
{
    for (const char *c = text; *c; c++) {
        if (*c <= ' ' || *c > '~')
            return false;
    }
    return *text != '\0';
}

static int keep_token(struct place *place, char *text, const char *from)
{
    size_t len = strcspn(text, "\r\n");

    text[len] = '\0';
    if (len == TOKEN_MAX || !is_token(text))
        return ctl_usage("%s holds no token: it must be one line like brd_...", from);
    place->token = strdup(text);
    place->token_from = from;
    return place->token ? CTL_OK : ctl_fail("out of memory");
}

static int read_token(struct place *place, const char *path)
{
    char text[TOKEN_MAX + 1];
    struct stat facts;
    int fd = open(path, O_RDONLY | O_CLOEXEC), rc;
    ssize_t got;

    if (fd < 0)
        return ctl_fail("cannot read the token file %s: %s", path, strerror(errno));
    if (fstat(fd, &facts) == 0 && S_ISREG(facts.st_mode) && facts.st_mode & 077)
        ctl_note("others may read the token file %s: chmod 600 it", path);
    got = read(fd, text, TOKEN_MAX);
    close(fd);
    if (got < 0)
        return ctl_fail("cannot read the token file %s: %s", path, strerror(errno));
    text[got] = '\0';
    rc = keep_token(place, text, path);
    explicit_bzero(text, sizeof(text));
    return rc;
}

static int find_token(struct place *place, const struct args *args)
{
    const char *path = args_value(args, "token-file");
    char text[TOKEN_MAX + 1];
    const char *value = from_environment("BEARERD_TOKEN");
    int rc;

    if (path)
        return read_token(place, path);
    if (!value)
        return CTL_OK;
    slice_copy(slice_of(value), text, sizeof(text));
    rc = keep_token(place, text, "BEARERD_TOKEN");
    explicit_bzero(text, sizeof(text));
    return rc;
}

int place_find(struct place *place, const struct args *args)
{
    int rc;

    *place = (struct place){.ca_file = args_value(args, "ca-file")};
    rc = find_url(place, args);
    if (rc == CTL_OK)
        rc = find_token(place, args);
    if (rc == CTL_OK && place->token && !place->https && !place->loopback)
        rc = ctl_usage("%s: no token goes over a network in clear: use https://", place->shown);
    return rc;
}

void place_clear(struct place *place)
{
    free(place->url);
    free(place->socket);
    free(place->shown);
    secret_free(&place->token);
    *place = (struct place){NULL};
}
