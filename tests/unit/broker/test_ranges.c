#include "check.h"

#include "broker/ranges.h"

static struct ip_address ip(const char *text)
{
    struct ip_address address;

    if (!ip_parse(text, &address))
        fail_msg("%s is not an address", text);
    return address;
}

static void test_parse(void **state)
{
    static const struct {
        const char *in, *out; /* NULL: refused */
    } rows[] = {
        {"192.0.2.1", "192.0.2.1"},
        {"2001:DB8:0::1", "2001:db8::1"},
        {"::ffff:192.0.2.1", "::ffff:192.0.2.1"},
        {"", NULL},
        {"192.0.2", NULL},
        {"192.0.2.1:25", NULL},
        {"192.0.2.256", NULL},
        {"[::1]", NULL},
        {"fe80::1%eth0", NULL},
        {"localhost", NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct ip_address address;
        char text[IP_TEXT_MAX];
        bool parsed = ip_parse(rows[i].in, &address);

        check_num(rows[i].in, parsed, rows[i].out != NULL);
        if (!parsed)
            continue;
        ip_format(&address, text);
        check_text(rows[i].in, slice_of(text), rows[i].out);
    }
}

static void test_same_prefix(void **state)
{
    static const struct {
        const char *a, *b;
        unsigned prefix;
        bool same;
    } rows[] = {
        {"1.2.3.4", "1.2.3.4", 32, true},
        {"1.2.3.4", "1.2.3.5", 32, false},
        {"1.2.3.4", "1.2.3.5", 31, true},
        {"1.2.3.4", "9.9.9.9", 0, true},
        {"128.0.0.0", "0.0.0.0", 1, false},
        {"10.0.0.1", "10.0.128.1", 16, true},
        {"10.0.0.1", "10.0.128.1", 17, false},
        {"::1", "::1", 128, true},
        {"::1", "::", 128, false},
        {"::1", "::", 127, true},
        {"::", "0.0.0.0", 0, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct ip_address a = ip(rows[i].a), b = ip(rows[i].b);

        check_num(rows[i].a, ip_same_prefix(&a, &b, rows[i].prefix), rows[i].same);
    }
}

/* First and last address of each range, and their neighbours outside. */
static void test_ranges(void **state)
{
    static const struct {
        const char *address, *name; /* NULL: public */
        enum range_use use;
    } rows[] = {
        {"0.0.0.0", "this network", RANGE_NEVER},
        {"0.255.255.255", "this network", RANGE_NEVER},
        {"1.0.0.0", NULL},
        {"9.255.255.255", NULL},
        {"10.0.0.0", "private", RANGE_PRIVATE},
        {"10.255.255.255", "private", RANGE_PRIVATE},
        {"11.0.0.0", NULL},
        {"100.63.255.255", NULL},
        {"100.64.0.0", "carrier-grade NAT", RANGE_PRIVATE},
        {"100.127.255.255", "carrier-grade NAT", RANGE_PRIVATE},
        {"100.128.0.0", NULL},
        {"126.255.255.255", NULL},
        {"127.0.0.1", "loopback", RANGE_LOOPBACK},
        {"127.255.255.255", "loopback", RANGE_LOOPBACK},
        {"128.0.0.0", NULL},
        {"169.253.255.255", NULL},
        {"169.254.169.254", "link-local", RANGE_NEVER},
        {"169.255.0.0", NULL},
        {"172.15.255.255", NULL},
        {"172.16.0.0", "private", RANGE_PRIVATE},
        {"172.31.255.255", "private", RANGE_PRIVATE},
        {"172.32.0.0", NULL},
        {"192.0.0.1", "IETF protocol", RANGE_NEVER},
        {"192.0.1.1", NULL},
        {"192.0.2.1", "TEST-NET-1", RANGE_NEVER},
        {"192.0.3.0", NULL},
        {"192.88.99.1", "6to4 relay", RANGE_NEVER},
        {"192.167.255.255", NULL},
        {"192.168.0.0", "private", RANGE_PRIVATE},
        {"192.169.0.0", NULL},
        {"198.17.255.255", NULL},
        {"198.18.0.0", "benchmarking", RANGE_NEVER},
        {"198.19.255.255", "benchmarking", RANGE_NEVER},
        {"198.20.0.0", NULL},
        {"198.51.100.7", "TEST-NET-2", RANGE_NEVER},
        {"198.51.101.0", NULL},
        {"203.0.113.9", "TEST-NET-3", RANGE_NEVER},
        {"203.0.114.0", NULL},
        {"223.255.255.255", NULL},
        {"224.0.0.1", "multicast", RANGE_NEVER},
        {"239.255.255.255", "multicast", RANGE_NEVER},
        {"240.0.0.0", "reserved", RANGE_NEVER},
        {"255.255.255.254", "reserved", RANGE_NEVER},
        {"255.255.255.255", "limited broadcast", RANGE_NEVER},
        {"::", "unspecified", RANGE_NEVER},
        {"::1", "loopback", RANGE_LOOPBACK},
        {"::2", NULL},
        {"::ffff:8.8.8.8", "IPv4-mapped", RANGE_NEVER},
        {"64:ff9b::1", "translation (RFC 6052)", RANGE_NEVER},
        {"64:ff9b:1::1", "translation (RFC 8215)", RANGE_NEVER},
        {"100::1", "discard-only", RANGE_NEVER},
        {"100:0:0:1::", NULL},
        {"2001::1", "IETF protocol", RANGE_NEVER},
        {"2001:1ff:ffff::", "IETF protocol", RANGE_NEVER},
        {"2001:200::", NULL},
        {"2001:db8:ffff::", "documentation", RANGE_NEVER},
        {"2001:db9::", NULL},
        {"2002:102:304::", "6to4", RANGE_NEVER},
        {"2a00:1450::1", NULL},
        {"3fff:fff::1", "documentation", RANGE_NEVER},
        {"3fff:1000::", NULL},
        {"5f00::1", "segment routing", RANGE_NEVER},
        {"5f01::", NULL},
        {"fbff::", NULL},
        {"fc00::", "unique local", RANGE_PRIVATE},
        {"fdff::1", "unique local", RANGE_PRIVATE},
        {"fe80::1", "link-local", RANGE_NEVER},
        {"febf::1", "link-local", RANGE_NEVER},
        {"fec0::1", NULL},
        {"ff02::1", "multicast", RANGE_NEVER},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct ip_address address = ip(rows[i].address);
        const struct ip_range *range = range_of(&address);

        check_num(rows[i].address, range != NULL, rows[i].name != NULL);
        if (!range)
            continue;
        if (!strstr(range->name, rows[i].name))
            fail_msg("%s: got \"%s\"", rows[i].address, range->name);
        check_num(rows[i].address, range->use, rows[i].use);
    }
}

/* A row behind a wider one would never be found. */
static void test_each_row_is_found(void **state)
{
    (void)state;
    for (const struct ip_range *range = ip_ranges; range->name; range++) {
        if (range_of(&range->first) != range)
            fail_msg("%s is hidden by %s", range->name, range_of(&range->first)->name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_same_prefix),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_each_row_is_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
