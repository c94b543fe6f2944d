#define HASH_NONFATAL_OOM 1
#include "relay/inbound/addresses.h"

#include <pthread.h>
#include <stdlib.h>
#include <uthash.h>

/* Addresses without a connection that are remembered for their failures; the
 * oldest is forgotten first. */
#define IDLE_MAX 8192

struct address_key {
    uint16_t family;
    unsigned char bits[8]; /* IPv4 address, or IPv6 /64 */
};

struct client_address {
    struct address_key key;
    unsigned open, failures;
    uint64_t since; /* of the first failure that counts */
    struct list_node idle_node;
    UT_hash_handle hh;
};

static struct {
    pthread_mutex_t lock;
    struct client_address *table;
    struct list idle; /* oldest first */
} addresses = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .idle = {.head = {&addresses.idle.head, &addresses.idle.head}},
};

static struct address_key key_of(const struct net_address *peer)
{
    const unsigned char *v6 = peer->v6.sin6_addr.s6_addr;
    struct address_key key;

    memset(&key, 0, sizeof(key)); /* padding too: it is hashed */
    key.family = peer->any.sa_family;
    if (key.family == AF_INET) {
        memcpy(key.bits, &peer->v4.sin_addr, 4);
    } else if (key.family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&peer->v6.sin6_addr)) {
        key.family = AF_INET;
        memcpy(key.bits, v6 + 12, 4);
    } else if (key.family == AF_INET6) {
        memcpy(key.bits, v6, 8);
    }
    return key;
}

static void forget(struct client_address *address)
{
    if (list_node_linked(&address->idle_node))
        list_remove(&addresses.idle, &address->idle_node);
    HASH_DEL(addresses.table, address);
    free(address);
}

static struct client_address *find_or_add(const struct address_key *key)
{
    struct client_address *address;

    HASH_FIND(hh, addresses.table, key, sizeof(*key), address);
    if (address)
        return address;
    address = calloc(1, sizeof(*address));
    if (!address)
        return NULL;
    address->key = *key;
    HASH_ADD(hh, addresses.table, key, sizeof(address->key), address);
    if (!address->hh.tbl) {
        free(address);
        return NULL;
    }
    return address;
}

static bool barred(struct client_address *address, const struct conf *conf, uint64_t now)
{
    /* Workers read their clocks at different times: `since` may be ahead. */
    if (now > address->since && now - address->since >= conf->auth_failure_window_ms)
        address->failures = 0;
    return conf->auth_failures_per_address && address->failures >= conf->auth_failures_per_address;
}

static enum client_admission enter(const struct address_key *key, const struct conf *conf,
                                   uint64_t now, struct client_address **out)
{
    struct client_address *address = find_or_add(key);

    if (!address)
        return CLIENT_NO_MEMORY;
    if (barred(address, conf, now))
        return CLIENT_BARRED;
    if (conf->max_connections_per_address && address->open >= conf->max_connections_per_address)
        return CLIENT_TOO_MANY;
    if (list_node_linked(&address->idle_node))
        list_remove(&addresses.idle, &address->idle_node);
    address->open++;
    *out = address;
    return CLIENT_ADMITTED;
}

enum client_admission client_address_enter(const struct net_address *peer, const struct conf *conf,
                                           uint64_t now, struct client_address **out)
{
    struct address_key key = key_of(peer);
    enum client_admission admission;

    *out = NULL;
    pthread_mutex_lock(&addresses.lock);
    admission = enter(&key, conf, now, out);
    pthread_mutex_unlock(&addresses.lock);
    return admission;
}

void client_address_leave(struct client_address **owned)
{
    struct client_address *address = *owned;

    *owned = NULL;
    if (!address)
        return;
    pthread_mutex_lock(&addresses.lock);
    if (--address->open == 0 && address->failures == 0) {
        forget(address);
    } else if (address->open == 0) {
        list_push_tail(&addresses.idle, &address->idle_node);
        if (addresses.idle.count > IDLE_MAX)
            forget(container_of(list_first(&addresses.idle), struct client_address, idle_node));
    }
    pthread_mutex_unlock(&addresses.lock);
}

bool client_address_failed(struct client_address *address, const struct conf *conf, uint64_t now)
{
    bool last;

    pthread_mutex_lock(&addresses.lock);
    barred(address, conf, now); /* ends a window that is over */
    if (address->failures++ == 0)
        address->since = now;
    last = address->failures == conf->auth_failures_per_address;
    pthread_mutex_unlock(&addresses.lock);
    return last;
}

bool client_address_barred(struct client_address *address, const struct conf *conf, uint64_t now)
{
    bool is;

    pthread_mutex_lock(&addresses.lock);
    is = barred(address, conf, now);
    pthread_mutex_unlock(&addresses.lock);
    return is;
}

size_t client_addresses_count(void)
{
    size_t count;

    pthread_mutex_lock(&addresses.lock);
    count = HASH_COUNT(addresses.table);
    pthread_mutex_unlock(&addresses.lock);
    return count;
}
