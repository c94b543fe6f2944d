#include "relay/upstream/endpoint.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#define BDAT_LOSSES_MAX 2
#define NUMERIC_TTL_MS (3600 * 1000)
#define MIN_TTL_MS 1000

static void on_no_answer(struct timer *timer);
static void on_room(struct timer *timer);

static bool numeric_address(struct endpoint *endpoint)
{
    struct net_address *address = &endpoint->addresses[0];

    memset(address, 0, sizeof(*address));
    if (inet_pton(AF_INET, endpoint->host, &address->v4.sin_addr) == 1) {
        address->v4.sin_family = AF_INET;
        address->v4.sin_port = htons((uint16_t)endpoint->port);
        address->len = sizeof(address->v4);
    } else if (inet_pton(AF_INET6, endpoint->host, &address->v6.sin6_addr) == 1) {
        address->v6.sin6_family = AF_INET6;
        address->v6.sin6_port = htons((uint16_t)endpoint->port);
        address->len = sizeof(address->v6);
    } else {
        return false;
    }
    endpoint->address_count = 1;
    endpoint->addresses_until = loop_now(&endpoint->worker->loop) + NUMERIC_TTL_MS;
    return true;
}

struct endpoint *endpoint_get(struct endpoint **table, struct worker *worker, struct slice host,
                              uint32_t port)
{
    char key[IPC_ID_MAX + 16];
    struct endpoint *endpoint;

    snprintf(key, sizeof(key), "%.*s:%u", (int)host.len, host.ptr, port);
    HASH_FIND_STR(*table, key, endpoint);
    if (endpoint) {
        endpoint->refs++;
        return endpoint;
    }
    endpoint = calloc(1, sizeof(*endpoint));
    if (!endpoint)
        return NULL;
    endpoint->key = slice_dup(slice_of(key));
    endpoint->host = slice_dup(host);
    if (!endpoint->key || !endpoint->host) {
        free(endpoint->key);
        free(endpoint->host);
        free(endpoint);
        return NULL;
    }
    endpoint->port = port;
    endpoint->refs = 1;
    endpoint->worker = worker;
    endpoint->table = table;
    tls_peer_init(&endpoint->tls);
    timer_init(&endpoint->patience, on_no_answer);
    list_init(&endpoint->waiters);
    list_init(&endpoint->crowd);
    timer_init(&endpoint->serve_crowd, on_room);
    smtp_reply_init(&endpoint->last_failure);
    HASH_ADD_KEYPTR(hh, *table, endpoint->key, strlen(endpoint->key), endpoint);
    return endpoint;
}

void endpoint_put(struct endpoint *endpoint)
{
    if (!endpoint || --endpoint->refs)
        return;
    HASH_DEL(*endpoint->table, endpoint);
    request_cancel(&endpoint->request);
    loop_timer_cancel(&endpoint->worker->loop, &endpoint->patience);
    loop_timer_cancel(&endpoint->worker->loop, &endpoint->serve_crowd);
    tls_peer_clear(&endpoint->tls);
    smtp_reply_clear(&endpoint->last_failure);
    free(endpoint->key);
    free(endpoint->host);
    free(endpoint);
}

static void tell_waiters(struct endpoint *endpoint, const struct reason *why)
{
    struct list_node *node;
    size_t count = endpoint->waiters.count;

    /* Who asks again from inside the callback waits for the next answer. */
    while (count-- && (node = list_pop_head(&endpoint->waiters))) {
        struct endpoint_waiter *waiter = container_of(node, struct endpoint_waiter, node);

        waiter->resolved(waiter, why);
    }
}

/* "192.0.2.1:587 [2001:db8::1]:587" */
static void take_addresses(struct endpoint *endpoint, struct slice text)
{
    const struct conf *conf = worker_conf(endpoint->worker);

    endpoint->address_count = 0;
    while (text.len && endpoint->address_count < DIAL_MAX_ADDRESSES) {
        const char *space = memchr(text.ptr, ' ', text.len);
        size_t len = space ? (size_t)(space - text.ptr) : text.len;
        struct net_address *address = &endpoint->addresses[endpoint->address_count];
        char one[NET_ADDRESS_TEXT];

        if (slice_copy((struct slice){text.ptr, len}, one, sizeof(one)) &&
            net_address_parse(one, address, NULL) &&
            (address->any.sa_family != AF_INET6 || conf->use_ipv6))
            endpoint->address_count++;
        text.ptr += len + (space != NULL);
        text.len -= len + (space != NULL);
    }
}

/* It may be only this answer that is lost: the next attempt asks again. */
static void on_no_answer(struct timer *timer)
{
    struct endpoint *endpoint = container_of(timer, struct endpoint, patience);
    struct reason why;

    request_cancel(&endpoint->request);
    reason_set(&why, "cannot find the address of %s: no answer in time", endpoint->host);
    endpoint->refs++;
    tell_waiters(endpoint, &why);
    endpoint_put(endpoint);
}

static void on_resolved(struct request *request, const struct ipc_message *answer)
{
    struct endpoint *endpoint = request->owner;
    const struct ipc_resolve_done *done = &answer->u.resolve_done;
    uint64_t ttl = done->ttl_ms > MIN_TTL_MS ? done->ttl_ms : MIN_TTL_MS;
    struct reason why;

    loop_timer_cancel(&endpoint->worker->loop, &endpoint->patience);
    endpoint->refs++; /* a waiter may let go of the last reference */
    take_addresses(endpoint, done->addresses);
    if (endpoint->address_count) {
        endpoint->addresses_until = loop_now(&endpoint->worker->loop) + ttl;
        tell_waiters(endpoint, NULL);
    } else {
        reason_set(&why, "cannot find the address of %s: %.*s", endpoint->host,
                   done->error.len ? (int)done->error.len : 32,
                   done->error.len ? done->error.ptr : "no usable address in the answer ");
        tell_waiters(endpoint, &why);
    }
    endpoint_put(endpoint);
}

void endpoint_resolve(struct endpoint *endpoint, struct endpoint_waiter *waiter)
{
    struct reason why;

    if ((endpoint->address_count &&
         endpoint->addresses_until > loop_now(&endpoint->worker->loop)) ||
        numeric_address(endpoint)) {
        waiter->resolved(waiter, NULL);
        return;
    }
    list_push_tail(&endpoint->waiters, &waiter->node);
    if (endpoint->request.number)
        return;
    if (request_resolve(endpoint->worker, &endpoint->request, slice_of(endpoint->host),
                        endpoint->port, on_resolved, endpoint)) {
        loop_timer_set(&endpoint->worker->loop, &endpoint->patience,
                       worker_conf(endpoint->worker)->connect_timeout_ms);
        return;
    }
    list_remove(&endpoint->waiters, &waiter->node);
    reason_set(&why, "out of memory");
    waiter->resolved(waiter, &why);
}

void endpoint_cancel(struct endpoint *endpoint, struct endpoint_waiter *waiter)
{
    if (list_node_linked(&waiter->node))
        list_remove(&endpoint->waiters, &waiter->node);
}

void endpoint_forget_addresses(struct endpoint *endpoint)
{
    endpoint->addresses_until = 0;
}

bool endpoint_bdat_works(const struct endpoint *endpoint)
{
    return endpoint->bdat_demoted_until <= loop_now(&endpoint->worker->loop);
}

void endpoint_demote_bdat(struct endpoint *endpoint, const char *why)
{
    uint64_t for_ms = worker_conf(endpoint->worker)->bdat_demotion_ms;

    if (!endpoint_bdat_works(endpoint))
        return;
    endpoint->bdat_demoted_until = loop_now(&endpoint->worker->loop) + for_ms;
    endpoint->bdat_losses = 0;
    stats_add(&endpoint->worker->stats->bdat_demotions_total, 1);
    log_event(LOG_WARN, "bdat_demoted", log_s("endpoint", endpoint->key), log_s("reason", why),
              log_u("for_ms", for_ms));
}

void endpoint_lost_behind_bdat(struct endpoint *endpoint)
{
    if (++endpoint->bdat_losses >= BDAT_LOSSES_MAX)
        endpoint_demote_bdat(endpoint, "connections lost behind BDAT");
}

/* --- who is connected next -------------------------------------------------------- */

/* Each worker has its share, so that no lock is needed. */
static size_t share_of(const struct endpoint *endpoint, uint32_t limit)
{
    unsigned workers = endpoint->worker->relay->worker_count;

    return limit ? (limit + workers - 1) / workers : SIZE_MAX;
}

bool endpoint_has_room(const struct endpoint *endpoint, uint32_t most)
{
    return endpoint->dialing < share_of(endpoint, most) &&
           endpoint->dialing < share_of(endpoint, worker_conf(endpoint->worker)->concurrent_dials);
}

void endpoint_join_crowd(struct endpoint *endpoint, struct list_node *node,
                         void (*serve)(struct list_node *node))
{
    endpoint->serve = serve;
    if (!list_node_linked(node))
        list_push_tail(&endpoint->crowd, node);
}

void endpoint_leave_crowd(struct endpoint *endpoint, struct list_node *node)
{
    if (list_node_linked(node))
        list_remove(&endpoint->crowd, node);
}

void endpoint_dial_begins(struct endpoint *endpoint)
{
    endpoint->dialing++;
}

/* Who is served dials, or has found another way meanwhile. */
static void on_room(struct timer *timer)
{
    struct endpoint *endpoint = container_of(timer, struct endpoint, serve_crowd);
    size_t count = endpoint->crowd.count;
    struct list_node *node;

    endpoint->refs++;
    while (count-- && endpoint_has_room(endpoint, 0) && (node = list_pop_head(&endpoint->crowd)))
        endpoint->serve(node);
    endpoint_put(endpoint);
}

/* --- what fails -------------------------------------------------------------------- */

/* False: it was among them already. */
static bool add_failing(struct endpoint *endpoint, uint32_t account)
{
    for (unsigned i = 0; i < endpoint->failing_count; i++) {
        if (endpoint->failing[i] == account)
            return false;
    }
    if (endpoint->failing_count < ENDPOINT_FAILING_MAX)
        endpoint->failing[endpoint->failing_count++] = account;
    return true;
}

static void log_opened(const struct endpoint *endpoint)
{
    char line[400];

    smtp_reply_oneline(&endpoint->last_failure, line, sizeof(line));
    log_event(LOG_WARN, "endpoint_breaker_open", log_s("endpoint", endpoint->key),
              log_s("reason", line), log_u("for_ms", endpoint->breaker.recovery_ms));
}

void endpoint_dial_ended(struct endpoint *endpoint, uint32_t account, bool trial,
                         enum breaker_result result, const struct smtp_reply *why)
{
    uint64_t now = loop_now(&endpoint->worker->loop);

    endpoint->dialing--;
    if (!list_empty(&endpoint->crowd))
        loop_timer_set(&endpoint->worker->loop, &endpoint->serve_crowd, 0);
    if (result == BREAKER_OK)
        endpoint->failing_count = 0;
    if (result == BREAKER_FAILED) {
        smtp_reply_copy(&endpoint->last_failure, why);
        if (endpoint->breaker.state == BREAKER_CLOSED && !add_failing(endpoint, account))
            result = BREAKER_NOTHING;
    }
    if (!breaker_end(&endpoint->breaker, now, trial, result))
        return;
    stats_add(&endpoint->worker->stats->endpoint_breakers_total, 1);
    log_opened(endpoint);
}
