#include "broker/admin/clients.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdlib.h>
#include <uthash.h>

#include "base/list.h"

#define CLIENTS_MAX 1024
#define KEY_MAX 64
#define BURST_SECONDS 2
#define MILLI 1000 /* of a request: buckets hold no fractions */

struct bucket {
    uint64_t level; /* in thousandths */
    uint64_t filled_ms;
};

struct client {
    UT_hash_handle hh;
    struct list_node node; /* clients.by_use */
    char key[KEY_MAX];
    struct bucket requests, handshakes;
    uint32_t failures;
    uint64_t failures_since_ms;
};

struct clients {
    struct clients_limits limits;
    struct client *table;
    struct list by_use; /* the last used first */
};

struct clients *clients_new(void)
{
    struct clients *clients = calloc(1, sizeof(*clients));

    if (clients) {
        list_init(&clients->by_use);
        clients->limits = (struct clients_limits){100, 20, 60000};
    }
    return clients;
}

static void drop(struct clients *clients, struct client *client)
{
    assert(clients->table);
    HASH_DELETE(hh, clients->table, client);
    list_remove(&clients->by_use, &client->node);
    free(client);
}

void clients_free(struct clients *clients)
{
    struct list_node *node;

    if (!clients)
        return;
    while ((node = list_first(&clients->by_use)))
        drop(clients, container_of(node, struct client, node));
    free(clients);
}

void clients_configure(struct clients *clients, const struct clients_limits *limits)
{
    clients->limits = *limits;
}

void clients_key(const struct net_address *address, char *out, size_t cap)
{
    struct net_address network = *address;
    struct text text;

    if (address->any.sa_family != AF_INET6 || IN6_IS_ADDR_V4MAPPED(&address->v6.sin6_addr)) {
        net_address_host(address, out, cap);
        return;
    }
    memset(network.v6.sin6_addr.s6_addr + 8, 0, 8);
    net_address_host(&network, out, cap);
    text_init(&text, out + strlen(out), cap - strlen(out));
    text_add_str(&text, "/64");
}

static uint64_t capacity(const struct clients *clients)
{
    return (uint64_t)clients->limits.requests_per_second * BURST_SECONDS * MILLI;
}

/* NULL when memory is out. */
static struct client *find(struct clients *clients, const char *key, uint64_t now_ms)
{
    struct client *client;
    char copy[KEY_MAX];

    slice_copy(slice_of(key), copy, sizeof(copy));
    HASH_FIND_STR(clients->table, copy, client);
    if (client) {
        list_remove(&clients->by_use, &client->node);
        list_push_head(&clients->by_use, &client->node);
        return client;
    }
    if (clients->by_use.count >= CLIENTS_MAX)
        drop(clients, container_of(list_last(&clients->by_use), struct client, node));
    client = calloc(1, sizeof(*client));
    if (!client)
        return NULL;
    memcpy(client->key, copy, sizeof(copy));
    client->requests = client->handshakes = (struct bucket){capacity(clients), now_ms};
    HASH_ADD_STR(clients->table, key, client);
    list_push_head(&clients->by_use, &client->node);
    return client;
}

/* A thousandth per millisecond for each request per second. */
static bool take(const struct clients *clients, struct bucket *bucket, uint64_t now_ms)
{
    uint64_t full = capacity(clients), gained;

    if (__builtin_mul_overflow(now_ms - bucket->filled_ms,
                               (uint64_t)clients->limits.requests_per_second, &gained) ||
        gained > full)
        gained = full;
    bucket->level += gained;
    if (bucket->level > full)
        bucket->level = full;
    bucket->filled_ms = now_ms;
    if (bucket->level < MILLI)
        return false;
    bucket->level -= MILLI;
    return true;
}

bool clients_take_request(struct clients *clients, const char *key, uint64_t now_ms,
                          uint64_t *wait_s)
{
    struct client *client = find(clients, key, now_ms);

    *wait_s = 1; /* the rate is at least one per second */
    return client && take(clients, &client->requests, now_ms);
}

bool clients_take_handshake(struct clients *clients, const char *key, uint64_t now_ms)
{
    struct client *client = find(clients, key, now_ms);

    return client && take(clients, &client->handshakes, now_ms);
}

bool clients_count_failure(struct clients *clients, const char *key, uint64_t now_ms,
                           uint64_t *wait_s)
{
    struct client *client = find(clients, key, now_ms);
    uint64_t window = clients->limits.window_ms;

    *wait_s = 1;
    if (!client)
        return false;
    if (!client->failures || now_ms - client->failures_since_ms >= window) {
        client->failures = 0;
        client->failures_since_ms = now_ms;
    }
    *wait_s = (window - (now_ms - client->failures_since_ms)) / 1000 + 1;
    if (client->failures > clients->limits.failures)
        return false;
    return ++client->failures <= clients->limits.failures;
}
