/* DNS queries: c-ares on the loop. Numbers and /etc/hosts work too. A changed
 * resolv.conf is noticed. */
#pragma once

#include "net/listen.h"
#include "net/loop.h"

#define DNS_ADDRESSES_MAX 16

struct dns;

struct dns_result {
    struct net_address addresses[DNS_ADDRESSES_MAX]; /* port 0 */
    size_t count;
    uint64_t ttl_ms;   /* as the answer says; 0: it does not */
    const char *error; /* count is 0; else NULL */
};

/* `result` is valid during the call. */
typedef void dns_done(void *owner, const struct dns_result *result);

struct dns *dns_new(struct loop *loop, struct reason *why);
/* Nobody is called any more. The memory goes with the loop's next turns. */
void dns_free(struct dns *dns);
/* May call `done` before it returns. */
void dns_query(struct dns *dns, const char *host, bool ipv6, dns_done *done, void *owner);
