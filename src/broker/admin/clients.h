/* What each client address may still do: requests, TLS handshakes, wrong tokens.
 *
 * The table is bounded; of an address that drops out nothing is remembered. IPv6
 * addresses count by their /64, which is what one host has.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "net/listen.h"

struct clients;

struct clients_limits {
    uint32_t requests_per_second;
    uint32_t failures;  /* wrong tokens... */
    uint64_t window_ms; /* ...within this time */
};

struct clients *clients_new(void);
void clients_free(struct clients *clients);
void clients_configure(struct clients *clients, const struct clients_limits *limits);

/* "192.0.2.1", "2001:db8:1:2::/64", "unix": what the functions below take. */
void clients_key(const struct net_address *address, char *out, size_t cap);

/* False: too many; *wait_s is when there is room again. */
bool clients_take_request(struct clients *clients, const char *key, uint64_t now_ms,
                          uint64_t *wait_s);
bool clients_take_handshake(struct clients *clients, const char *key, uint64_t now_ms);
/* Counts a wrong token; true while there may be more. */
bool clients_count_failure(struct clients *clients, const char *key, uint64_t now_ms,
                           uint64_t *wait_s);
