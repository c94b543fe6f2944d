/* Against the kernel that runs the test; what changes there is the black-box
 * tests' business, as it takes rights. */
#include "check.h"

#include <ifaddrs.h>
#include <stdio.h>

#include "broker/address_watch.h"

static struct loop loop;
static struct addresses table;

static bool is_ip(const struct ifaddrs *one)
{
    return one->ifa_addr &&
           (one->ifa_addr->sa_family == AF_INET || one->ifa_addr->sa_family == AF_INET6);
}

static struct ip_address ip_of(const struct ifaddrs *one)
{
    struct ip_address ip = {.family = one->ifa_addr->sa_family};

    if (ip.family == AF_INET)
        memcpy(ip.bits, &((const struct sockaddr_in *)one->ifa_addr)->sin_addr, 4);
    else
        memcpy(ip.bits, &((const struct sockaddr_in6 *)one->ifa_addr)->sin6_addr, 16);
    return ip;
}

/* Whatever libc knows to be there is in the table when it has been opened. */
static void test_complete_when_opened(void **state)
{
    struct address_watch *watch;
    struct ifaddrs *all;
    struct reason why;
    size_t seen = 0;

    (void)state;
    assert_int_equal(getifaddrs(&all), 0);
    watch = address_watch_open(&loop, &table, &why);
    if (!watch)
        fail_msg("%s", why.text);
    assert_true(table.known);
    for (struct ifaddrs *one = all; one; one = one->ifa_next) {
        struct ip_address ip;
        struct address *address;
        char text[IP_TEXT_MAX];

        if (!is_ip(one))
            continue;
        ip = ip_of(one);
        ip_format(&ip, text);
        HASH_FIND(hh, table.table, &ip, sizeof(ip), address);
        if (!address || list_empty(&address->places))
            fail_msg("%s is not in the table", text);
        seen++;
    }
    freeifaddrs(all);
    assert_true(seen > 0);
    check_num("127.0.0.2", addresses_check(&table, "127.0.0.2"), ADDRESS_OK);
    check_num("192.88.98.1", addresses_check(&table, "192.88.98.1"), ADDRESS_ABSENT);
    address_watch_close(watch);
}

static int set_up(void **state)
{
    struct address_rules rules = {
        .binding = true, .validate = true, .use_ipv6 = true, .private_ok = true};
    struct reason why;

    (void)state;
    addresses_init(&table);
    addresses_configure(&table, &rules);
    return loop_init(&loop, &why) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    addresses_clear(&table);
    loop_close(&loop);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_complete_when_opened, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
