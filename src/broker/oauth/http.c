/* libcurl tells which sockets it waits for (on_curl_socket) and when it wants
 * to be called (on_curl_timer); the loop calls it back for either, and finished
 * requests are taken out behind each such call.
 */
#include "broker/oauth/http.h"

#include <curl/curl.h>
#include <openssl/pem.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/list.h"
#include "broker/wipe.h"

#define CA_CACHE_S 60L

struct http {
    struct loop *loop;
    CURLM *multi;
    uv_timer_t timer;
    struct http_settings settings;
    struct list requests; /* http_request.node */
};

struct http_request {
    struct http *http;
    struct list_node node;
    CURL *easy;
    struct curl_slist *headers;
    char *body;
    size_t body_len;
    char *answer; /* OAUTH_BODY_MAX octets, once the first came */
    size_t answer_len;
    bool too_large, status_only;
    char retry_after[64], content_type[64], date[64];
    char error[CURL_ERROR_SIZE];
    http_done *done;
    http_looked *looked; /* NULL: a form is sent */
    void *owner;
};

struct http_socket {
    uv_poll_t poll;
    struct http *http;
    curl_socket_t fd;
};

static void finish(struct http_request *request, CURLcode code);

static void free_request(struct http_request *request)
{
    list_remove(&request->http->requests, &request->node);
    curl_easy_cleanup(request->easy);
    curl_slist_free_all(request->headers);
    secret_free_len(request->body, request->body_len);
    secret_free_len(request->answer, request->answer_len);
    free(request);
}

/* A callback may begin and cancel requests, so each round asks anew. */
static void take_finished(struct http *http)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(http->multi, &left))) {
        struct http_request *request = NULL;
        CURLcode code = message->data.result;

        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&request);
        finish(request, code);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct http *http = timer->data;
    int running;

    curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    take_finished(http);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct http_socket *socket = poll->data;
    struct http *http = socket->http;
    int flags = 0, running;

    if (status < 0)
        flags = CURL_CSELECT_ERR;
    if (events & UV_READABLE)
        flags |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        flags |= CURL_CSELECT_OUT;
    curl_multi_socket_action(http->multi, socket->fd, flags, &running);
    take_finished(http);
}

static int on_curl_timer(CURLM *multi, long timeout_ms, void *owner)
{
    struct http *http = owner;

    (void)multi;
    if (timeout_ms < 0)
        uv_timer_stop(&http->timer);
    else
        uv_timer_start(&http->timer, on_timer, (uint64_t)timeout_ms, 0);
    return 0;
}

static void free_socket(uv_handle_t *handle)
{
    free(handle->data);
}

static struct http_socket *watch(struct http *http, curl_socket_t fd)
{
    struct http_socket *socket = calloc(1, sizeof(*socket));

    if (!socket || uv_poll_init_socket(&http->loop->uv, &socket->poll, fd) < 0) {
        free(socket);
        return NULL;
    }
    socket->poll.data = socket;
    socket->http = http;
    socket->fd = fd;
    curl_multi_assign(http->multi, fd, socket);
    return socket;
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *owner, void *assigned)
{
    struct http *http = owner;
    struct http_socket *socket = assigned;
    int events = 0;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (socket)
            uv_close((uv_handle_t *)&socket->poll, free_socket);
        curl_multi_assign(http->multi, fd, NULL);
        return 0;
    }
    if (!socket && !(socket = watch(http, fd)))
        return -1;
    if (what & CURL_POLL_IN)
        events |= UV_READABLE;
    if (what & CURL_POLL_OUT)
        events |= UV_WRITABLE;
    return uv_poll_start(&socket->poll, events, on_poll) < 0 ? -1 : 0;
}

struct http *http_new(struct loop *loop, const struct http_settings *settings, struct reason *why)
{
    struct http *http = calloc(1, sizeof(*http));

    if (http)
        http->multi = curl_multi_init();
    if (!http || !http->multi) {
        free(http);
        reason_set(why, "out of memory for HTTPS");
        return NULL;
    }
    http->loop = loop;
    list_init(&http->requests);
    uv_timer_init(&loop->uv, &http->timer);
    http->timer.data = http;
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX);
    http_configure(http, settings);
    return http;
}

void http_configure(struct http *http, const struct http_settings *settings)
{
    http->settings = *settings;
    curl_multi_setopt(http->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)settings->connections);
    curl_multi_setopt(http->multi, CURLMOPT_MAX_HOST_CONNECTIONS,
                      (long)settings->connections_per_host);
    curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, (long)settings->connections);
}

static void free_http(uv_handle_t *handle)
{
    free(handle->data);
}

void http_free(struct http *http)
{
    if (!http)
        return;
    list_foreach_safe (&http->requests, node) {
        http_cancel(container_of(node, struct http_request, node));
    }
    curl_multi_cleanup(http->multi);
    uv_close((uv_handle_t *)&http->timer, free_http);
}

static size_t on_body(char *octets, size_t size, size_t count, void *owner)
{
    struct http_request *request = owner;
    size_t len = size * count;

    if (request->status_only)
        return len;
    if (!request->answer)
        request->answer = malloc(OAUTH_BODY_MAX);
    if (!request->answer || len > OAUTH_BODY_MAX - request->answer_len) {
        request->too_large = request->answer != NULL;
        return 0;
    }
    memcpy(request->answer + request->answer_len, octets, len);
    request->answer_len += len;
    return len;
}

static void take_header(struct slice line, struct slice name, char *out, size_t cap)
{
    if (!slice_starts_nocase(line, name))
        return;
    line.ptr += name.len;
    line.len -= name.len;
    while (line.len && (line.ptr[line.len - 1] == '\r' || line.ptr[line.len - 1] == '\n'))
        line.len--;
    slice_copy(slice_trim(line), out, cap);
}

static size_t on_header(char *octets, size_t size, size_t count, void *owner)
{
    struct http_request *request = owner;
    struct slice line = {octets, size * count};

    take_header(line, SLICE("Retry-After:"), request->retry_after, sizeof(request->retry_after));
    take_header(line, SLICE("Date:"), request->date, sizeof(request->date));
    take_header(line, SLICE("Content-Type:"), request->content_type, sizeof(request->content_type));
    return line.len;
}

static void set_protocols(CURL *easy, bool plain)
{
#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, plain ? "https,http" : "https");
#else
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS,
                     (long)(plain ? CURLPROTO_HTTPS | CURLPROTO_HTTP : CURLPROTO_HTTPS));
#endif
}

static void set_tls(CURL *easy, const struct http_settings *settings)
{
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (!settings->ca_file[0])
        return;
    curl_easy_setopt(easy, CURLOPT_CAINFO, settings->ca_file);
    /* Else the system's folder would be trusted as well. */
    curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
#if LIBCURL_VERSION_NUM >= 0x075700
    /* curl keeps what it read; a file that was replaced must count soon. */
    curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, CA_CACHE_S);
#endif
}

static void set_transfer(struct http_request *request, const struct http_call *call)
{
    const struct http_settings *settings = &request->http->settings;
    CURL *easy = request->easy;

    curl_easy_setopt(easy, CURLOPT_PRIVATE, request);
    curl_easy_setopt(easy, CURLOPT_URL, call->url);
    set_protocols(easy, call->plain);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(easy, CURLOPT_PIPEWAIT, call->fresh ? 0L : 1L);
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, call->fresh ? 1L : 0L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)settings->connect_ms);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)settings->timeout_ms);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "bearerd/" BEARERD_VERSION);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, request->error);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, request);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, request);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, request->headers);
    if (request->looked) {
        curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
        curl_easy_setopt(easy, CURLOPT_CERTINFO, 1L);
    } else {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body);
    }
    set_tls(easy, settings);
}

/* False: memory is out. */
static bool add_headers(struct http_request *request, const char *const *headers)
{
    for (; *headers; headers++) {
        struct curl_slist *longer = curl_slist_append(request->headers, *headers);

        if (!longer)
            return false;
        request->headers = longer;
    }
    return true;
}

static bool begin(struct http_request *request, const struct http_call *call)
{
    request->easy = curl_easy_init();
    if (!request->easy || !add_headers(request, call->headers))
        return false;
    set_transfer(request, call);
    return curl_multi_add_handle(request->http->multi, request->easy) == CURLM_OK;
}

static const char *const json_headers[] = {"Accept: application/json", NULL};

struct http_request *http_send(struct http *http, const struct http_call *call, http_done *done,
                               void *owner)
{
    struct http_request *request = calloc(1, sizeof(*request));

    if (!request)
        return NULL;
    request->http = http;
    request->done = done;
    request->owner = owner;
    request->status_only = call->status_only;
    request->body = slice_dup(call->body);
    request->body_len = call->body.len;
    list_push_tail(&http->requests, &request->node);
    if (request->body && begin(request, call))
        return request;
    free_request(request);
    return NULL;
}

struct http_request *http_look(struct http *http, const char *url, http_looked *done, void *owner)
{
    struct http_call call = {.url = url, .headers = json_headers, .fresh = true};
    struct http_request *request = calloc(1, sizeof(*request));

    if (!request)
        return NULL;
    request->http = http;
    request->looked = done;
    request->owner = owner;
    list_push_tail(&http->requests, &request->node);
    if (begin(request, &call))
        return request;
    free_request(request);
    return NULL;
}

struct http_request *http_post(struct http *http, const char *url, struct slice body, bool fresh,
                               http_done *done, void *owner)
{
    return http_send(http, &(struct http_call){url, body, json_headers, fresh, false, false}, done,
                     owner);
}

void http_cancel(struct http_request *request)
{
    curl_multi_remove_handle(request->http->multi, request->easy);
    free_request(request);
}

static const char *failure_text(const struct http_request *request, CURLcode code)
{
    if (request->too_large)
        return "the answer is larger than 65536 octets";
    return request->error[0] ? request->error : curl_easy_strerror(code);
}

/* --- looks ---------------------------------------------------------------------------- */

static uint64_t time_ms(struct http_request *request, CURLINFO info)
{
    curl_off_t us = 0;

    curl_easy_getinfo(request->easy, info, &us);
    return us > 0 ? (uint64_t)us / 1000 + 1 : 0; /* 0: it was not reached */
}

/* The leaf's, in PEM, is among what curl kept of the chain. */
static void read_certificate(struct http_request *request, struct cert_facts *out)
{
    struct curl_certinfo *info = NULL;
    X509 *cert = NULL;

    curl_easy_getinfo(request->easy, CURLINFO_CERTINFO, &info);
    for (struct curl_slist *at = info && info->num_of_certs ? info->certinfo[0] : NULL; at && !cert;
         at = at->next) {
        BIO *in = strncmp(at->data, "Cert:", 5) == 0 ? BIO_new_mem_buf(at->data + 5, -1) : NULL;

        cert = in ? PEM_read_bio_X509(in, NULL, NULL, NULL) : NULL;
        BIO_free(in);
    }
    cert_facts_read(cert, out);
    X509_free(cert);
}

static const char *text_info(struct http_request *request, CURLINFO info)
{
    char *text = NULL;

    curl_easy_getinfo(request->easy, info, &text);
    return text ? text : "";
}

/* Where it failed. curl keeps no time of a connection that came no further. */
static enum http_stage stage_of(CURLcode code, const char *why)
{
    switch (code) {
    case CURLE_URL_MALFORMAT:
    case CURLE_COULDNT_RESOLVE_HOST:
        return HTTP_DNS;
    case CURLE_COULDNT_CONNECT:
        return HTTP_TCP;
    case CURLE_OPERATION_TIMEDOUT:
        if (slice_find_nocase(slice_of(why), SLICE("resolv")) >= 0)
            return HTTP_DNS;
        return slice_find_nocase(slice_of(why), SLICE("SSL")) >= 0 ? HTTP_TLS : HTTP_TCP;
    default:
        return HTTP_TLS;
    }
}

static void finish_look(struct http_request *request, CURLcode code)
{
    uint64_t dns = time_ms(request, CURLINFO_NAMELOOKUP_TIME_T);
    uint64_t tcp = time_ms(request, CURLINFO_CONNECT_TIME_T);
    uint64_t tls = time_ms(request, CURLINFO_APPCONNECT_TIME_T);
    struct http_look look = {.why = code == CURLE_OK ? NULL : failure_text(request, code),
                             .address = text_info(request, CURLINFO_PRIMARY_IP),
                             .source = text_info(request, CURLINFO_LOCAL_IP)};

    look.reached = code == CURLE_OK ? HTTP_STAGES : stage_of(code, look.why);
    look.took_ms[HTTP_DNS] = dns ? dns - 1 : 0;
    look.took_ms[HTTP_TCP] = tcp > dns ? tcp - dns : 0;
    look.took_ms[HTTP_TLS] = tls > tcp ? tls - tcp : 0;
    read_certificate(request, &look.cert);
    curl_multi_remove_handle(request->http->multi, request->easy);
    request->looked(request->owner, &look);
    free_request(request);
}

static void finish(struct http_request *request, CURLcode code)
{
    struct oauth_answer answer = {.body = {request->answer, request->answer_len},
                                  .retry_after = slice_of(request->retry_after),
                                  .content_type = slice_of(request->content_type),
                                  .date = slice_of(request->date),
                                  .wall_ms = clock_wall_ms()};

    if (request->looked) {
        finish_look(request, code);
        return;
    }
    curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &answer.status);
    curl_multi_remove_handle(request->http->multi, request->easy);
    if (code == CURLE_OK)
        request->done(request->owner, &answer, NULL);
    else
        request->done(request->owner, NULL, failure_text(request, code));
    free_request(request);
}
