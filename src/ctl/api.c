#include "ctl/api.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/wipe.h"
#include "ctl/place.h"

#define BODY_MAX (64u << 20)   /* of an answer that is read as a whole */
#define REFUSAL_MAX (1u << 20) /* ... of one that refuses */
#define PAUSE_MS 500
#define TIDY_S 3L

struct api {
    struct place place;
    bool secret; /* the command sends or gets secrets */
    CURL *easy;
    CURLM *multi;
    struct curl_slist *headers; /* of this request */
    uint64_t timeout_s;
    int wake_fd; /* -1: none */
    char error[CURL_ERROR_SIZE];
    /* The answer as it comes in. */
    char *body;
    size_t len, cap;
    ndjson_line *each; /* NULL: the body is kept */
    void *owner;
    struct ndjson lines;
    struct reason why; /* why reading it ended */
    bool stopped;      /* by a line function */
};

static volatile sig_atomic_t signalled;

static void on_signal(int number)
{
    signalled = number;
}

bool api_interrupted(void)
{
    return signalled != 0;
}

const char *api_shown(const struct api *api)
{
    return api->place.shown;
}

void path_add(struct text *path, const char *value)
{
    char *encoded = curl_easy_escape(NULL, value, (int)strlen(value));

    text_add_str(path, encoded ? encoded : "");
    curl_free(encoded);
}

void path_query(struct text *path, const char *name, const char *value)
{
    if (!value)
        return;
    text_add_char(path, strchr(path->at, '?') ? '&' : '?');
    text_add_str(path, name);
    text_add_char(path, '=');
    path_add(path, value);
}

/* "localhost" is whatever a resolver says. Where secrets travel without TLS,
 * only addresses of this machine will do. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    const struct api *api = arg;
    const struct sockaddr_in *four = (const void *)&address->addr;
    const struct sockaddr_in6 *six = (const void *)&address->addr;
    bool here = address->family == AF_UNIX ||
                (address->family == AF_INET && ntohl(four->sin_addr.s_addr) >> 24 == 127) ||
                (address->family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&six->sin6_addr));

    (void)purpose;
    if (!here && !api->place.https && (api->place.token || api->secret))
        return CURL_SOCKET_BAD;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static size_t keep_body(struct api *api, const char *bytes, size_t len, size_t most)
{
    size_t wanted = api->cap ? api->cap : 16384;
    char *grown;

    if (len > most - api->len) {
        reason_set(&api->why, "the answer is longer than %zu octets", most);
        return 0;
    }
    while (wanted < api->len + len)
        wanted *= 2;
    if (wanted != api->cap) {
        grown = malloc(wanted);
        if (!grown)
            return 0;
        if (api->len)
            memcpy(grown, api->body, api->len);
        secret_free_len(api->body, api->len);
        api->body = grown;
        api->cap = wanted;
    }
    memcpy(api->body + api->len, bytes, len);
    api->len += len;
    return len;
}

static long status_of(const struct api *api)
{
    long status = 0;

    curl_easy_getinfo(api->easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

static bool is_success(long status)
{
    return status >= 200 && status < 300;
}

static size_t on_body(char *bytes, size_t one, size_t len, void *arg)
{
    struct api *api = arg;
    bool success = is_success(status_of(api));

    (void)one;
    if (!success || !api->each)
        return keep_body(api, bytes, len, success ? BODY_MAX : REFUSAL_MAX);
    if (ndjson_feed(&api->lines, (struct slice){bytes, len}, api->each, api->owner, &api->why))
        return len;
    api->stopped = !api->why.text[0];
    return 0;
}

static void set_up(struct api *api)
{
    CURL *easy = api->easy;

    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, api->error);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, api);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, api);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "bearerctl/" BEARERD_VERSION);
#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* whatever the environment says */
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, 10L);
    /* Silence is what ends a request, not its length: a stream may take hours. */
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)api->timeout_s);
    if (api->place.socket)
        curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, api->place.socket);
    if (api->place.ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, api->place.ca_file);
}

static bool start_curl(void)
{
    return curl_global_init_mem(CURL_GLOBAL_DEFAULT, wipe_malloc, wipe_free, wipe_realloc,
                                wipe_strdup, wipe_calloc) == CURLE_OK;
}

static bool watch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};

    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&action.sa_mask);
    return sigaction(SIGINT, &action, NULL) == 0 && sigaction(SIGTERM, &action, NULL) == 0;
}

int api_open(struct api **out, const struct args *args)
{
    struct api *api = calloc(1, sizeof(*api));
    int rc;

    *out = NULL;
    if (!api || !start_curl() || !watch_signals()) {
        free(api);
        return ctl_fail("out of memory");
    }
    api->wake_fd = -1;
    api->secret = args->command->flags & CTL_SECRET;
    rc = args_number(args, "timeout", 1, 86400, 120, &api->timeout_s)
             ? place_find(&api->place, args)
             : CTL_USAGE;
    if (rc == CTL_OK && api->secret && !api->place.https && !api->place.loopback)
        rc =
            ctl_usage("%s: no secret goes over a network in clear: use https://", api->place.shown);
    api->easy = rc == CTL_OK ? curl_easy_init() : NULL;
    api->multi = rc == CTL_OK ? curl_multi_init() : NULL;
    if (rc == CTL_OK && !(api->easy && api->multi))
        rc = ctl_fail("out of memory");
    if (rc != CTL_OK) {
        api_close(api);
        return rc;
    }
    set_up(api);
    *out = api;
    return CTL_OK;
}

static void forget_answer(struct api *api)
{
    secret_free_len(api->body, api->len);
    ndjson_clear(&api->lines);
    api->body = NULL;
    api->len = api->cap = 0;
    api->why.text[0] = api->error[0] = '\0';
    api->stopped = false;
}

void api_close(struct api *api)
{
    if (!api)
        return;
    forget_answer(api);
    curl_easy_cleanup(api->easy);
    curl_multi_cleanup(api->multi);
    curl_slist_free_all(api->headers);
    place_clear(&api->place);
    free(api);
}

static bool add_header(struct api *api, const char *format, const char *value)
{
    char line[1024];
    struct curl_slist *longer;

    snprintf(line, sizeof(line), format, value);
    longer = curl_slist_append(api->headers, line);
    explicit_bzero(line, sizeof(line));
    if (longer)
        api->headers = longer;
    return longer != NULL;
}

static bool prepare(struct api *api, const char *method, const char *path, const char *type,
                    struct slice body)
{
    char url[API_PATH_MAX + 512];

    forget_answer(api);
    curl_slist_free_all(api->headers);
    api->headers = NULL;
    if ((size_t)snprintf(url, sizeof(url), "%s%s", api->place.url, path) >= sizeof(url))
        return reason_set(&api->why, "the URL is too long");
    curl_easy_setopt(api->easy, CURLOPT_URL, url);
    curl_easy_setopt(api->easy, CURLOPT_HTTPGET, 1L);
    if (type) {
        curl_easy_setopt(api->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
        curl_easy_setopt(api->easy, CURLOPT_POSTFIELDS, body.ptr);
    }
    curl_easy_setopt(api->easy, CURLOPT_CUSTOMREQUEST, method);
    if (!add_header(api, "%s", "Expect:") || (type && !add_header(api, "Content-Type: %s", type)) ||
        (api->place.token && !add_header(api, "Authorization: Bearer %s", api->place.token)))
        return reason_set(&api->why, "out of memory");
    curl_easy_setopt(api->easy, CURLOPT_HTTPHEADER, api->headers);
    return true;
}

static bool wait_a_moment(struct api *api, bool *woken)
{
    struct curl_waitfd wake = {.fd = api->wake_fd, .events = CURL_WAIT_POLLIN};
    unsigned extra = api->wake_fd >= 0;

    if (curl_multi_poll(api->multi, extra ? &wake : NULL, extra, PAUSE_MS, NULL) != CURLM_OK)
        return false;
    *woken = extra && wake.revents & CURL_WAIT_POLLIN;
    return true;
}

static CURLcode run(struct api *api, bool *woken)
{
    CURLcode result = CURLE_ABORTED_BY_CALLBACK;
    CURLMsg *message;
    int running = 1, left;

    *woken = false;
    if (curl_multi_add_handle(api->multi, api->easy) != CURLM_OK)
        return CURLE_OUT_OF_MEMORY;
    while (curl_multi_perform(api->multi, &running) == CURLM_OK && running && !signalled &&
           !*woken && wait_a_moment(api, woken)) {
    }
    while ((message = curl_multi_info_read(api->multi, &left))) {
        if (message->msg == CURLMSG_DONE)
            result = message->data.result;
    }
    curl_multi_remove_handle(api->multi, api->easy);
    return result;
}

static void explain_unreachable(const struct api *api)
{
    const struct place *place = &api->place;

    if (place->from)
        ctl_note("the address comes from %s; is bearerd running there? (systemctl status bearerd)",
                 place->from);
    else
        ctl_note("is it running? (systemctl status bearerd) --url or BEARERD_URL name another "
                 "place; %s",
                 place->socket ? "this socket was the first one found"
                               : "no bearerd.sock was found in the usual folders");
}

static const char *cause_of(const struct api *api, CURLcode result)
{
    static char text[CURL_ERROR_SIZE + 64];
    long number = 0;

    curl_easy_getinfo(api->easy, CURLINFO_OS_ERRNO, &number);
    if (result == CURLE_COULDNT_CONNECT && number)
        return number == EACCES ? "permission denied: only root and bearerd's own user may use "
                                  "its socket"
                                : strerror((int)number);
    if (result == CURLE_OPERATION_TIMEDOUT)
        snprintf(text, sizeof(text), "nothing came for %llu s", (unsigned long long)api->timeout_s);
    else
        snprintf(text, sizeof(text), "%s", api->error[0] ? api->error : curl_easy_strerror(result));
    return text;
}

static bool never_reached(CURLcode result)
{
    return result == CURLE_COULDNT_CONNECT || result == CURLE_COULDNT_RESOLVE_HOST ||
           result == CURLE_SSL_CONNECT_ERROR || result == CURLE_PEER_FAILED_VERIFICATION ||
           result == CURLE_SSL_CACERT_BADFILE || result == CURLE_OPERATION_TIMEDOUT ||
           result == CURLE_GOT_NOTHING || result == CURLE_RECV_ERROR || result == CURLE_SEND_ERROR;
}

static int broken(struct api *api, CURLcode result)
{
    const char *shown = api->place.shown;

    if (signalled)
        return ctl_fail("interrupted");
    if (api->why.text[0])
        return ctl_fail("%s: %s", shown, api->why.text);
    if (!never_reached(result) || status_of(api))
        return ctl_fail("the answer of bearerd at %s broke off: %s", shown, cause_of(api, result));
    ctl_fail("cannot reach bearerd at %s: %s", shown, cause_of(api, result));
    if (result == CURLE_PEER_FAILED_VERIFICATION || result == CURLE_SSL_CACERT_BADFILE)
        ctl_note("--ca-file names the authority that signed its certificate");
    else
        explain_unreachable(api);
    return CTL_UNREACHABLE;
}

static void take_answer(struct api *api, struct api_answer *answer)
{
    answer->status = status_of(api);
    answer->body = api->len ? json_loadb(api->body, api->len, 0, NULL) : NULL;
    if (!json_is_object(answer->body)) {
        json_decref(answer->body);
        answer->body = NULL;
    }
}

static char *dump(const json_t *body)
{
    return body ? json_dumps(body, JSON_COMPACT) : NULL;
}

int api_ask(struct api *api, const char *method, const char *path, const json_t *body,
            struct api_answer *answer)
{
    char *text = dump(body);
    CURLcode result;
    bool woken;

    *answer = (struct api_answer){0, NULL};
    api->each = NULL;
    if (body && !text)
        return ctl_fail("out of memory");
    if (!prepare(api, method, path, body ? "application/json" : NULL, slice_of(text))) {
        wipe_free(text);
        return ctl_fail("%s", api->why.text);
    }
    result = run(api, &woken);
    wipe_free(text);
    if (result != CURLE_OK)
        return broken(api, result);
    take_answer(api, answer);
    return CTL_OK;
}

bool api_tidy(struct api *api, const char *method, const char *path)
{
    sig_atomic_t number = signalled;
    bool woken, ok;

    signalled = 0;
    api->each = NULL;
    ok = prepare(api, method, path, NULL, SLICE_NONE);
    curl_easy_setopt(api->easy, CURLOPT_TIMEOUT, TIDY_S);
    ok = ok && run(api, &woken) == CURLE_OK && is_success(status_of(api));
    curl_easy_setopt(api->easy, CURLOPT_TIMEOUT, 0L);
    if (number)
        signalled = number;
    return ok;
}

int api_poll(struct api *api, const char *path, int wake_fd, struct api_answer *answer,
             struct reason *why)
{
    CURLcode result = CURLE_OUT_OF_MEMORY;
    bool woken = false;

    *answer = (struct api_answer){0, NULL};
    why->text[0] = '\0';
    api->each = NULL;
    api->wake_fd = wake_fd;
    if (prepare(api, "GET", path, NULL, SLICE_NONE))
        result = run(api, &woken);
    api->wake_fd = -1;
    if (woken || signalled)
        return CTL_FAILED;
    if (result != CURLE_OK) {
        reason_set(why, "cannot reach bearerd at %s: %s", api->place.shown, cause_of(api, result));
        return CTL_UNREACHABLE;
    }
    take_answer(api, answer);
    if (is_success(answer->status) && answer->body)
        return CTL_OK;
    reason_set(why, "bearerd answers %ld", answer->status);
    return CTL_FAILED;
}

static void explain_forbidden(const struct api *api, long status)
{
    if (!api->place.token)
        ctl_note(
            "no token was sent: --token-file FILE or BEARERD_TOKEN names one; at bearerd's own "
            "socket (--url unix:/PATH) root needs none");
    else
        ctl_note("the token came from %s; %s", api->place.token_from,
                 status == 401 ? "was it revoked? bearerctl api-token list shows those that are "
                                 "valid"
                               : "its scope may be too small");
}

int api_refused(struct api *api, const struct api_answer *answer)
{
    const char *error = json_string_value(json_object_get(answer->body, "error"));
    char text[256];

    /* An unknown route is answered in plain text, and so do proxies. */
    if (!error) {
        snprintf(text, sizeof(text), "bearerd at %s answers %ld%s%.*s", api->place.shown,
                 answer->status, api->len && !answer->body ? ": " : "",
                 answer->body ? 0 : (int)(api->len < 100 ? api->len : 100),
                 api->body ? api->body : "");
        text[strcspn(text, "\r\n")] = '\0';
    }
    ctl_fail("%s", error ? error : text);
    if (answer->status != 401 && answer->status != 403)
        return CTL_FAILED;
    explain_forbidden(api, answer->status);
    return CTL_FORBIDDEN;
}

int api_call(struct api *api, const char *method, const char *path, const json_t *body,
             json_t **out)
{
    struct api_answer answer;
    int rc = api_ask(api, method, path, body, &answer);

    if (rc == CTL_OK && !is_success(answer.status))
        rc = api_refused(api, &answer);
    else if (rc == CTL_OK && !answer.body)
        rc = ctl_fail("the answer of bearerd at %s is no JSON object; is it bearerd?",
                      api->place.shown);
    if (rc == CTL_OK && out)
        *out = answer.body;
    else
        json_decref(answer.body);
    return rc;
}

int api_stream(struct api *api, const char *method, const char *path, const char *type,
               struct slice body, ndjson_line *each, void *owner)
{
    struct api_answer answer = {0, NULL};
    CURLcode result;
    bool woken;
    int rc;

    api->each = each;
    api->owner = owner;
    if (!prepare(api, method, path, type, body))
        return ctl_fail("%s", api->why.text);
    result = run(api, &woken);
    if (api->stopped)
        return CTL_FAILED;
    if (result != CURLE_OK)
        return broken(api, result);
    if (is_success(status_of(api))) {
        if (ndjson_finish(&api->lines, each, owner, &api->why))
            return CTL_OK;
        return api->why.text[0] ? ctl_fail("%s: %s", api->place.shown, api->why.text) : CTL_FAILED;
    }
    take_answer(api, &answer);
    rc = api_refused(api, &answer);
    json_decref(answer.body);
    return rc;
}
