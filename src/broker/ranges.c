#include "broker/ranges.h"

#include <arpa/inet.h>
#include <string.h>

#define V4(...)                                                                                    \
    {                                                                                              \
        AF_INET,                                                                                   \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
#define V6(...)                                                                                    \
    {                                                                                              \
        AF_INET6,                                                                                  \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }

const struct ip_range ip_ranges[] = {
    {V4(0), 8, RANGE_NEVER, "this network (RFC 791)"},
    {V4(10), 8, RANGE_PRIVATE, "private use (RFC 1918)"},
    {V4(100, 64), 10, RANGE_PRIVATE, "carrier-grade NAT (RFC 6598)"},
    {V4(127), 8, RANGE_LOOPBACK, "loopback (RFC 1122)"},
    {V4(169, 254), 16, RANGE_NEVER, "link-local (RFC 3927)"},
    {V4(172, 16), 12, RANGE_PRIVATE, "private use (RFC 1918)"},
    {V4(192, 0, 0), 24, RANGE_NEVER, "IETF protocol assignments (RFC 6890)"},
    {V4(192, 0, 2), 24, RANGE_NEVER, "documentation, TEST-NET-1 (RFC 5737)"},
    {V4(192, 88, 99), 24, RANGE_NEVER, "6to4 relay anycast (RFC 7526)"},
    {V4(192, 168), 16, RANGE_PRIVATE, "private use (RFC 1918)"},
    {V4(198, 18), 15, RANGE_NEVER, "benchmarking (RFC 2544)"},
    {V4(198, 51, 100), 24, RANGE_NEVER, "documentation, TEST-NET-2 (RFC 5737)"},
    {V4(203, 0, 113), 24, RANGE_NEVER, "documentation, TEST-NET-3 (RFC 5737)"},
    {V4(224), 4, RANGE_NEVER, "multicast (RFC 5771)"},
    {V4(255, 255, 255, 255), 32, RANGE_NEVER, "limited broadcast (RFC 8190)"},
    {V4(240), 4, RANGE_NEVER, "reserved (RFC 1112)"},
    {V6(0), 128, RANGE_NEVER, "unspecified (RFC 4291)"},
    {V6([15] = 1), 128, RANGE_LOOPBACK, "loopback (RFC 4291)"},
    {V6([10] = 0xff, [11] = 0xff), 96, RANGE_NEVER, "IPv4-mapped (RFC 4291)"},
    {V6(0, 0x64, 0xff, 0x9b), 96, RANGE_NEVER, "IPv4/IPv6 translation (RFC 6052)"},
    {V6(0, 0x64, 0xff, 0x9b, 0, 1), 48, RANGE_NEVER, "IPv4/IPv6 translation (RFC 8215)"},
    {V6(1), 64, RANGE_NEVER, "discard-only (RFC 6666)"},
    {V6(0x20, 1), 23, RANGE_NEVER, "IETF protocol assignments (RFC 2928)"},
    {V6(0x20, 1, 0x0d, 0xb8), 32, RANGE_NEVER, "documentation (RFC 3849)"},
    {V6(0x20, 2), 16, RANGE_NEVER, "6to4 (RFC 3056)"},
    {V6(0x3f, 0xff), 20, RANGE_NEVER, "documentation (RFC 9637)"},
    {V6(0x5f, 0), 16, RANGE_NEVER, "segment routing (RFC 9602)"},
    {V6(0xfc), 7, RANGE_PRIVATE, "unique local (RFC 4193)"},
    {V6(0xfe, 0x80), 10, RANGE_NEVER, "link-local (RFC 4291)"},
    {V6(0xff), 8, RANGE_NEVER, "multicast (RFC 4291)"},
    {.name = NULL},
};

bool ip_parse(const char *text, struct ip_address *out)
{
    *out = (struct ip_address){0};
    out->family = strchr(text, ':') ? AF_INET6 : AF_INET;
    return inet_pton((int)out->family, text, out->bits) == 1;
}

void ip_format(const struct ip_address *address, char out[IP_TEXT_MAX])
{
    if (!inet_ntop((int)address->family, address->bits, out, IP_TEXT_MAX))
        out[0] = '\0';
}

bool ip_same_prefix(const struct ip_address *a, const struct ip_address *b, unsigned prefix)
{
    unsigned whole = prefix / 8, rest = prefix % 8;

    if (a->family != b->family || memcmp(a->bits, b->bits, whole) != 0)
        return false;
    return !rest || !((a->bits[whole] ^ b->bits[whole]) >> (8 - rest));
}

const struct ip_range *range_of(const struct ip_address *address)
{
    for (const struct ip_range *range = ip_ranges; range->name; range++) {
        if (ip_same_prefix(address, &range->first, range->prefix))
            return range;
    }
    return NULL;
}
