/* IP addresses as the broker compares them, and the ranges that are reserved:
 * the special-purpose registries of RFC 6890 with what was added since. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#define IP_TEXT_MAX 48 /* INET6_ADDRSTRLEN and to spare */

/* No padding, unused bits are zero: it is a hash key. */
struct ip_address {
    uint32_t family; /* AF_INET or AF_INET6 */
    unsigned char bits[16];
};

/* Numbers only, without port, brackets or scope. */
bool ip_parse(const char *text, struct ip_address *out);
void ip_format(const struct ip_address *address, char out[IP_TEXT_MAX]);
/* Whether the first `prefix` bits are equal. */
bool ip_same_prefix(const struct ip_address *a, const struct ip_address *b, unsigned prefix);

enum range_use {
    RANGE_NEVER,    /* nobody outside can be reached from there */
    RANGE_LOOPBACK, /* reaches this host alone */
    RANGE_PRIVATE,  /* reaches others through NAT */
};

struct ip_range {
    struct ip_address first;
    unsigned prefix;
    enum range_use use;
    const char *name; /* for operators */
};

/* The most specific first; ends with a row without a name. */
extern const struct ip_range ip_ranges[];

/* The reserved range that the address is in, or NULL. */
const struct ip_range *range_of(const struct ip_address *address);
