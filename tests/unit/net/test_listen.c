#include "check.h"

#include "net/listen.h"

static const struct {
    const char *text;
    bool ok;
    const char *formatted, *host;
} addresses[] = {
    {"127.0.0.1:2525", true, "127.0.0.1:2525", "127.0.0.1"},
    {"[::1]:25", true, "[::1]:25", "::1"},
    {"*:587", true, "[::]:587", "::"},
    {"[2001:db8::1]:0", true, "[2001:db8::1]:0", "2001:db8::1"},
    {"[::ffff:192.0.2.1]:25", true, "192.0.2.1:25", "192.0.2.1"},
    {"unix:/run/x.sock", true, "unix:/run/x.sock", "unix"},
    {"localhost:25", false, "", ""},
    {"127.0.0.1", false, "", ""},
    {"127.0.0.1:65536", false, "", ""},
    {"127.0.0.1:", false, "", ""},
    {":25", false, "", ""},
    {"", false, "", ""},
};

static void test_addresses(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(addresses); i++) {
        struct net_address address;
        char text[NET_ADDRESS_TEXT];
        struct reason why = {""};

        check_num(addresses[i].text, net_address_parse(addresses[i].text, &address, &why),
                  addresses[i].ok);
        if (!addresses[i].ok) {
            assert_true(why.text[0] != '\0');
            continue;
        }
        net_address_format(&address, text, sizeof(text));
        check_text(addresses[i].text, slice_of(text), addresses[i].formatted);
        net_address_host(&address, text, sizeof(text));
        check_text(addresses[i].text, slice_of(text), addresses[i].host);
    }
}

static void test_long_unix_path(void **state)
{
    char path[200] = "unix:/";
    struct net_address address;

    (void)state;
    memset(path + 6, 'x', sizeof(path) - 7);
    path[sizeof(path) - 1] = '\0';
    assert_false(net_address_parse(path, &address, NULL));
}

static const struct {
    const char *range, *address;
    bool holds;
} ranges[] = {
    {"127.0.0.0/8", "127.255.0.1:1", true},
    {"127.0.0.0/8", "128.0.0.1:1", false},
    {"192.0.2.128/25", "192.0.2.128:1", true},
    {"192.0.2.128/25", "192.0.2.127:1", false},
    {"192.0.2.1", "192.0.2.1:1", true},
    {"192.0.2.1", "192.0.2.2:1", false},
    {"0.0.0.0/0", "203.0.113.9:1", true},
    {"::1", "[::1]:1", true},
    {"::1", "[::2]:1", false},
    {"2001:db8::/33", "[2001:db8:7fff::1]:1", true},
    {"2001:db8::/33", "[2001:db8:8000::1]:1", false},
    {"127.0.0.0/8", "[::ffff:127.0.0.1]:1", true},
    {"::/0", "[::ffff:127.0.0.1]:1", false},
    {"127.0.0.1", "[::1]:1", false},
    {"unix", "unix:/x", true},
    {"unix", "127.0.0.1:1", false},
    {"127.0.0.1", "unix:/x", false},
};

static void test_ranges(void **state)
{
    static const char *const bad[] = {"", "x", "127.0.0.0/33", "::/129", "1.2.3.4/", "1.2.3.4/a"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(ranges); i++) {
        struct net_address address;
        struct net_range range;

        assert_true(net_range_parse(slice_of(ranges[i].range), &range, NULL));
        assert_true(net_address_parse(ranges[i].address, &address, NULL));
        check_num(ranges[i].range, net_range_holds(&range, &address), ranges[i].holds);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct net_range range;

        check_num(bad[i], net_range_parse(slice_of(bad[i]), &range, NULL), false);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_long_unix_path),
        cmocka_unit_test(test_ranges),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
