/* Addresses of host names, behind a cache.
 *
 * An answer lives as long as its TTL says, within bounds. When DNS is down,
 * an old answer serves on: a provider's addresses hardly change, and mail that
 * could flow must. One query a name is in flight, whoever asks for it.
 */
#pragma once

#include "base/list.h"
#include "base/str.h"
#include "net/loop.h"

struct resolver;

#define RESOLVE_TEXT_MAX 1024

struct resolve_answer {
    char addresses[RESOLVE_TEXT_MAX]; /* "192.0.2.1:25 [2001:db8::1]:25"; "" none */
    uint64_t ttl_ms;
    const char *error; /* why there is none, else "" */
};

/* Called once, perhaps before resolver_find returns. `answer` is valid during
 * the call. `tag` is the caller's. */
typedef void resolver_done(void *owner, uint64_t tag, const struct resolve_answer *answer);

struct resolver *resolver_new(struct loop *loop, struct reason *why);
/* Nobody is called any more. */
void resolver_free(struct resolver *resolver);
void resolver_configure(struct resolver *resolver, uint64_t ttl_max_ms, bool ipv6);

/* Names and numbers. */
void resolver_find(struct resolver *resolver, struct slice host, uint32_t port, resolver_done *done,
                   void *owner, uint64_t tag);
/* Forgets whoever asked; answers still reach the cache. */
void resolver_forget_all(struct resolver *resolver);
