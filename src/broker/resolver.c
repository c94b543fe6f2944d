#include "broker/resolver.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <uthash.h>

#include "base/log.h"
#include "broker/dns.h"

#define TTL_MIN_MS 5000
#define TTL_LOCAL_MS 60000 /* /etc/hosts and numbers */
#define STALE_MAX_MS 86400000
/* So old an answer is still given at once, while a newer one is fetched. */
#define STALE_AT_ONCE_MS 60000
#define ENTRIES_MAX 1024
#define WAITING_MAX 4096
#define HOST_MAX 256

struct waiting {
    struct list_node node;
    resolver_done *done;
    void *owner;
    uint64_t tag;
    uint32_t port;
};

struct entry {
    UT_hash_handle hh;
    struct list_node age_node;
    struct resolver *resolver;
    char host[HOST_MAX];
    struct net_address addresses[DNS_ADDRESSES_MAX]; /* of the last good answer */
    size_t count;
    uint64_t fresh_until, stale_until; /* ms */
    char error[128];                   /* of the last query; "" it succeeded */
    bool querying;
    struct list waiting;
};

struct resolver {
    struct loop *loop;
    struct dns *dns;
    struct entry *entries;
    struct list by_age; /* entry.age_node, the longest unused first */
    size_t waiting;
    uint64_t ttl_max_ms;
    bool ipv6;
};

struct resolver *resolver_new(struct loop *loop, struct reason *why)
{
    struct resolver *resolver = calloc(1, sizeof(*resolver));

    if (!resolver) {
        reason_set(why, "out of memory");
        return NULL;
    }
    resolver->loop = loop;
    resolver->ttl_max_ms = TTL_LOCAL_MS;
    list_init(&resolver->by_age);
    resolver->dns = dns_new(loop, why);
    if (!resolver->dns) {
        free(resolver);
        return NULL;
    }
    return resolver;
}

void resolver_configure(struct resolver *resolver, uint64_t ttl_max_ms, bool ipv6)
{
    resolver->ttl_max_ms = ttl_max_ms > TTL_MIN_MS ? ttl_max_ms : TTL_MIN_MS;
    resolver->ipv6 = ipv6;
}

static void forget_waiting(struct resolver *resolver, struct entry *entry)
{
    struct list_node *node;

    while ((node = list_pop_head(&entry->waiting))) {
        free(container_of(node, struct waiting, node));
        resolver->waiting--;
    }
}

static void drop_entry(struct resolver *resolver, struct entry *entry)
{
    forget_waiting(resolver, entry);
    list_remove(&resolver->by_age, &entry->age_node);
    HASH_DEL(resolver->entries, entry);
    free(entry);
}

void resolver_forget_all(struct resolver *resolver)
{
    list_foreach (&resolver->by_age, node)
        forget_waiting(resolver, container_of(node, struct entry, age_node));
}

void resolver_free(struct resolver *resolver)
{
    struct list_node *node;

    if (!resolver)
        return;
    dns_free(resolver->dns);
    while ((node = list_first(&resolver->by_age)))
        drop_entry(resolver, container_of(node, struct entry, age_node));
    free(resolver);
}

static void add_address(struct text *out, struct net_address address, uint32_t port)
{
    char text[NET_ADDRESS_TEXT];
    size_t before = out->len;

    if (address.any.sa_family == AF_INET)
        address.v4.sin_port = htons((uint16_t)port);
    else
        address.v6.sin6_port = htons((uint16_t)port);
    net_address_format(&address, text, sizeof(text));
    if (out->len)
        text_add_char(out, ' ');
    text_add_str(out, text);
    if (out->cut) /* no half address */
        out->at[out->len = before] = '\0';
}

static void answer(const struct entry *entry, const struct waiting *to, uint64_t now)
{
    struct resolve_answer answer = {.error = ""};
    struct text text;

    text_init(&text, answer.addresses, sizeof(answer.addresses));
    if (now < entry->stale_until) {
        for (size_t i = 0; i < entry->count; i++)
            add_address(&text, entry->addresses[i], to->port);
    }
    if (!text.len)
        answer.error = entry->error[0] ? entry->error : "no address";
    answer.ttl_ms = entry->fresh_until > now ? entry->fresh_until - now : TTL_MIN_MS;
    to->done(to->owner, to->tag, &answer);
}

static uint64_t life_of(const struct resolver *resolver, const struct dns_result *result)
{
    uint64_t ttl = result->ttl_ms ? result->ttl_ms : TTL_LOCAL_MS;

    if (ttl < TTL_MIN_MS)
        return TTL_MIN_MS;
    return ttl < resolver->ttl_max_ms ? ttl : resolver->ttl_max_ms;
}

static void take_failure(struct entry *entry, const struct dns_result *result, uint64_t now)
{
    bool news = !entry->error[0];

    slice_copy(slice_of(result->error), entry->error, sizeof(entry->error));
    /* The next question in five seconds, not at once. */
    entry->fresh_until = now + TTL_MIN_MS;
    if (news)
        log_event(LOG_WARN, "dns_failed", log_s("host", entry->host),
                  log_s("reason", result->error),
                  log_b("stale", entry->count && now < entry->stale_until));
}

static void take_result(struct entry *entry, const struct dns_result *result, uint64_t now)
{
    if (!result->count) {
        take_failure(entry, result, now);
        return;
    }
    memcpy(entry->addresses, result->addresses, sizeof(entry->addresses));
    entry->count = result->count;
    entry->error[0] = '\0';
    entry->fresh_until = now + life_of(entry->resolver, result);
    entry->stale_until = entry->fresh_until + STALE_MAX_MS;
}

static void on_result(void *owner, const struct dns_result *result)
{
    struct entry *entry = owner;
    struct resolver *resolver = entry->resolver;
    uint64_t now = loop_now(resolver->loop);
    struct list_node *node;

    take_result(entry, result, now);
    /* `querying` keeps the entry alive while callbacks ask for other names. */
    while ((node = list_pop_head(&entry->waiting))) {
        struct waiting *waiting = container_of(node, struct waiting, node);

        resolver->waiting--;
        answer(entry, waiting, now);
        free(waiting);
    }
    entry->querying = false;
}

static void make_room(struct resolver *resolver)
{
    list_foreach_safe (&resolver->by_age, node) {
        struct entry *entry = container_of(node, struct entry, age_node);

        if (resolver->by_age.count < ENTRIES_MAX)
            return;
        if (!entry->querying)
            drop_entry(resolver, entry);
    }
}

static struct entry *find_or_make(struct resolver *resolver, struct slice host)
{
    char name[HOST_MAX];
    struct entry *entry;

    if (!host.len || !slice_copy(host, name, sizeof(name)) || strlen(name) != host.len)
        return NULL;
    ascii_lower_in_place(name);
    HASH_FIND_STR(resolver->entries, name, entry);
    if (entry) {
        list_remove(&resolver->by_age, &entry->age_node);
        list_push_tail(&resolver->by_age, &entry->age_node);
        return entry;
    }
    make_room(resolver);
    entry = resolver->by_age.count < ENTRIES_MAX ? calloc(1, sizeof(*entry)) : NULL;
    if (!entry)
        return NULL;
    entry->resolver = resolver;
    memcpy(entry->host, name, sizeof(name));
    list_init(&entry->waiting);
    HASH_ADD_STR(resolver->entries, host, entry);
    list_push_tail(&resolver->by_age, &entry->age_node);
    return entry;
}

static bool take_number(struct entry *entry, uint64_t now)
{
    struct net_address *address = &entry->addresses[0];

    if (inet_pton(AF_INET, entry->host, &address->v4.sin_addr) == 1) {
        address->v4.sin_family = AF_INET;
        address->len = sizeof(address->v4);
    } else if (inet_pton(AF_INET6, entry->host, &address->v6.sin6_addr) == 1) {
        address->v6.sin6_family = AF_INET6;
        address->len = sizeof(address->v6);
    } else {
        return false;
    }
    entry->count = 1;
    entry->fresh_until = now + TTL_LOCAL_MS;
    entry->stale_until = UINT64_MAX;
    return true;
}

/* Whether the answer at hand is good enough not to wait for a newer one. */
static bool may_answer(const struct entry *entry, uint64_t now)
{
    if (now < entry->fresh_until)
        return true; /* an error is fresh, too */
    if (!entry->count || now >= entry->stale_until)
        return false;
    return entry->error[0] || now < entry->fresh_until + STALE_AT_ONCE_MS;
}

static bool wait_for(struct entry *entry, const struct waiting *asked)
{
    struct resolver *resolver = entry->resolver;
    struct waiting *waiting = resolver->waiting < WAITING_MAX ? malloc(sizeof(*waiting)) : NULL;

    if (!waiting)
        return false;
    *waiting = *asked;
    waiting->node = (struct list_node){NULL, NULL};
    list_push_tail(&entry->waiting, &waiting->node);
    resolver->waiting++;
    return true;
}

void resolver_find(struct resolver *resolver, struct slice host, uint32_t port, resolver_done *done,
                   void *owner, uint64_t tag)
{
    struct entry *entry = find_or_make(resolver, host);
    struct waiting asked = {.done = done, .owner = owner, .tag = tag, .port = port};
    uint64_t now = loop_now(resolver->loop);
    bool ask;

    if (!entry) {
        done(owner, tag, &(struct resolve_answer){.error = "no name, or too many names"});
        return;
    }
    if (now >= entry->fresh_until)
        take_number(entry, now);
    ask = now >= entry->fresh_until && !entry->querying;
    entry->querying = entry->querying || ask; /* it stays while callbacks run */
    if (may_answer(entry, now))
        answer(entry, &asked, now);
    else if (!wait_for(entry, &asked))
        done(owner, tag, &(struct resolve_answer){.error = "too many questions at once"});
    if (ask)
        dns_query(resolver->dns, entry->host, resolver->ipv6, on_result, entry);
}
