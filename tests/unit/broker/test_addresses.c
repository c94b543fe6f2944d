#include "check.h"

#include <linux/rtnetlink.h>
#include <stdio.h>

#include "broker/addresses.h"

#define ETH 2
#define LO 1

static struct addresses table;
static struct address_user users[64];
static size_t judged;
static char judged_text[IP_TEXT_MAX];
static enum address_verdict judged_verdict;

static void on_judged(void *owner, struct address *address)
{
    assert_ptr_equal(owner, &judged);
    judged++;
    ip_format(&address->ip, judged_text);
    judged_verdict = address->verdict;
}

static void rules(bool use_ipv6, bool private_ok, bool private_assign)
{
    struct address_rules all = {.binding = true,
                                .validate = true,
                                .use_ipv6 = use_ipv6,
                                .private_ok = private_ok,
                                .private_assign = private_assign};

    addresses_configure(&table, &all);
}

static void tell(enum netlink_kind kind, const char *text, unsigned index, unsigned prefix,
                 unsigned flags, unsigned scope)
{
    struct netlink_event event = {.kind = kind, .flags = flags, .scope = scope};

    assert_true(ip_parse(text, &event.place.address));
    event.place.index = index;
    event.place.prefix = prefix;
    assert_true(addresses_take(&table, &event));
}

static unsigned host_prefix(const char *text)
{
    return strchr(text, ':') ? 128 : 32;
}

static void add(const char *text)
{
    tell(NETLINK_ADDRESS, text, ETH, host_prefix(text), IFA_F_PERMANENT, RT_SCOPE_UNIVERSE);
}

static void gone(const char *text)
{
    tell(NETLINK_GONE, text, ETH, host_prefix(text), 0, 0);
}

static void add_flagged(const char *text, unsigned flags)
{
    tell(NETLINK_ADDRESS, text, ETH, host_prefix(text), flags, RT_SCOPE_UNIVERSE);
}

static void check_verdict(const char *text, enum address_verdict wanted)
{
    enum address_verdict got = addresses_check(&table, text);

    if (got != wanted)
        fail_msg("%s: got %s, wanted %s", text, address_verdict_names[got],
                 address_verdict_names[wanted]);
}

static int set_up(void **state)
{
    (void)state;
    addresses_init(&table);
    table.judged = on_judged;
    table.owner = &judged;
    rules(false, true, false);
    addresses_dump_begin(&table);
    addresses_dump_end(&table);
    judged = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(users); i++)
        addresses_leave(&table, &users[i]);
    addresses_clear(&table);
    return 0;
}

static void test_comes_and_goes(void **state)
{
    (void)state;
    check_verdict("", ADDRESS_OK);
    check_verdict("8.8.8.8", ADDRESS_ABSENT);
    check_verdict("no address", ADDRESS_MALFORMED);
    add("8.8.8.8");
    check_verdict("8.8.8.8", ADDRESS_OK);
    check_verdict("8.8.8.9", ADDRESS_ABSENT);
    gone("8.8.8.8");
    gone("8.8.8.8"); /* which we do not know any more */
    check_verdict("8.8.8.8", ADDRESS_ABSENT);
    check_num("who has no users is not heard of", (long long)judged, 0);
}

/* On two interfaces, or with two prefixes: it is there while one is. */
static void test_several_places(void **state)
{
    (void)state;
    add("8.8.8.8");
    tell(NETLINK_ADDRESS, "8.8.8.8", ETH + 1, 32, 0, 0);
    tell(NETLINK_ADDRESS, "8.8.8.8", ETH, 24, 0, 0);
    gone("8.8.8.8");
    check_verdict("8.8.8.8", ADDRESS_OK);
    tell(NETLINK_GONE, "8.8.8.8", ETH, 24, 0, 0);
    check_verdict("8.8.8.8", ADDRESS_OK);
    tell(NETLINK_GONE, "8.8.8.8", ETH + 1, 32, 0, 0);
    check_verdict("8.8.8.8", ADDRESS_ABSENT);
}

/* Nothing is known to be absent before the first dump. */
static void test_not_known_yet(void **state)
{
    (void)state;
    addresses_clear(&table);
    addresses_init(&table);
    table.judged = on_judged;
    table.owner = &judged;
    rules(false, true, false);
    check_num("use", addresses_use(&table, &users[0], "8.8.8.8"), ADDRESS_OK);
    addresses_dump_begin(&table);
    add("8.8.4.4");
    check_verdict("8.8.8.8", ADDRESS_OK);
    addresses_dump_end(&table);
    check_verdict("8.8.8.8", ADDRESS_ABSENT);
    check_num("told", (long long)judged, 1);
    check_text("of", slice_of(judged_text), "8.8.8.8");
}

static void test_reserved(void **state)
{
    static const struct {
        const char *address;
        enum address_verdict allowed, forbidden; /* private ones */
    } rows[] = {
        {"8.8.8.8", ADDRESS_OK, ADDRESS_OK},
        {"10.1.2.3", ADDRESS_OK, ADDRESS_PRIVATE},
        {"100.64.0.1", ADDRESS_OK, ADDRESS_PRIVATE},
        {"127.0.0.2", ADDRESS_OK, ADDRESS_PRIVATE},
        {"fd00::1", ADDRESS_OK, ADDRESS_PRIVATE},
        {"192.0.2.1", ADDRESS_RESERVED, ADDRESS_RESERVED},
        {"169.254.0.1", ADDRESS_RESERVED, ADDRESS_RESERVED},
        {"224.0.0.1", ADDRESS_RESERVED, ADDRESS_RESERVED},
        {"fe80::1", ADDRESS_RESERVED, ADDRESS_RESERVED},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        add(rows[i].address);
    rules(true, true, false);
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        check_verdict(rows[i].address, rows[i].allowed);
    rules(true, false, false);
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        check_verdict(rows[i].address, rows[i].forbidden);
    check_verdict("192.0.2.77", ADDRESS_RESERVED); /* the worse news of two */
    rules(false, true, false);
    check_verdict("fd00::1", ADDRESS_IPV6_OFF);
}

static void test_options_off(void **state)
{
    struct address_rules off = {.binding = false}, unchecked = {.binding = true};

    (void)state;
    addresses_use(&table, &users[0], "192.0.2.1");
    check_verdict("192.0.2.1", ADDRESS_RESERVED);
    addresses_configure(&table, &unchecked);
    check_verdict("192.0.2.1", ADDRESS_OK);
    check_verdict("2001:db8::1", ADDRESS_IPV6_OFF);
    check_num("users are told of options", (long long)judged, 1);
    addresses_configure(&table, &off);
    check_verdict("2001:db8::1", ADDRESS_OK);
}

static void test_detection(void **state)
{
    (void)state;
    rules(true, true, false);
    addresses_use(&table, &users[0], "2a00::1");
    add_flagged("2a00::1", IFA_F_TENTATIVE);
    check_verdict("2a00::1", ADDRESS_TENTATIVE);
    add_flagged("2a00::1", IFA_F_TENTATIVE | IFA_F_OPTIMISTIC);
    check_verdict("2a00::1", ADDRESS_OK);
    add_flagged("2a00::1", IFA_F_TENTATIVE | IFA_F_DADFAILED);
    check_verdict("2a00::1", ADDRESS_DUPLICATE);
    add_flagged("2a00::1", IFA_F_DEPRECATED);
    check_verdict("2a00::1", ADDRESS_OK); /* who names it has no other */
    check_num("each was told", (long long)judged, 4);
}

/* As the kernel has it: an IPv4 network on lo is local as a whole. */
static void test_network_on_loopback(void **state)
{
    (void)state;
    addresses_use(&table, &users[0], "8.8.8.77");
    addresses_use(&table, &users[1], "8.8.9.77");
    tell(NETLINK_ADDRESS, "8.8.8.0", LO, 24, 0, RT_SCOPE_HOST);
    check_num("told", (long long)judged, 1);
    check_verdict("8.8.8.77", ADDRESS_OK);
    check_verdict("8.8.8.78", ADDRESS_OK);
    check_verdict("8.8.9.77", ADDRESS_ABSENT);
    tell(NETLINK_GONE, "8.8.8.0", LO, 24, 0, RT_SCOPE_HOST);
    check_num("told", (long long)judged, 2);
    check_verdict("8.8.8.77", ADDRESS_ABSENT);
    check_verdict("8.8.8.78", ADDRESS_ABSENT);
    tell(NETLINK_ADDRESS, "8.8.8.0", ETH, 24, 0, RT_SCOPE_HOST);
    check_verdict("8.8.8.77", ADDRESS_ABSENT);
    rules(true, true, false);
    tell(NETLINK_ADDRESS, "2a00::", LO, 64, 0, RT_SCOPE_UNIVERSE);
    check_verdict("2a00::1", ADDRESS_ABSENT);
}

static void test_only_its_users_are_told(void **state)
{
    (void)state;
    addresses_use(&table, &users[0], "8.8.8.8");
    addresses_use(&table, &users[1], "8.8.4.4");
    add("8.8.8.8");
    check_num("told", (long long)judged, 1);
    check_text("of", slice_of(judged_text), "8.8.8.8");
    check_num("verdict", judged_verdict, ADDRESS_OK);
    add("8.8.8.8");
    add_flagged("8.8.8.8", IFA_F_DEPRECATED);
    check_num("nothing new", (long long)judged, 1);
    gone("8.8.8.8");
    check_num("verdict", judged_verdict, ADDRESS_ABSENT);
    check_num("moved", addresses_use(&table, &users[0], "8.8.4.4"), ADDRESS_ABSENT);
    add("8.8.8.8");
    check_num("left", (long long)judged, 2);
}

/* What a dump does not name is gone, and notifications in between count. */
static void test_dump(void **state)
{
    (void)state;
    add("8.8.8.8");
    add("8.8.4.4");
    add("1.1.1.1");
    addresses_use(&table, &users[0], "8.8.4.4");
    addresses_dump_begin(&table);
    add("8.8.8.8");
    add("9.9.9.9");
    gone("1.1.1.1");
    check_verdict("8.8.4.4", ADDRESS_OK);
    addresses_dump_end(&table);
    check_verdict("8.8.8.8", ADDRESS_OK);
    check_verdict("9.9.9.9", ADDRESS_OK);
    check_verdict("8.8.4.4", ADDRESS_ABSENT);
    check_verdict("1.1.1.1", ADDRESS_ABSENT);
    check_num("told", (long long)judged, 1);
}

static void test_explain(void **state)
{
    static const struct {
        const char *address;
        enum address_verdict verdict;
        const char *has[2]; /* address or cause, and cure */
    } rows[] = {
        {"8.8.8.8", ADDRESS_ABSENT, {"8.8.8.8 is not an address of this host", "add it"}},
        {"2a00::1", ADDRESS_IPV6_OFF, {"2a00::1 is IPv6", "upstream.use_ipv6"}},
        {"192.0.2.1", ADDRESS_RESERVED, {"TEST-NET-1", "name a public address"}},
        {"10.0.0.1", ADDRESS_PRIVATE, {"private use", "upstream.source_ip_private"}},
        {"2a00::1", ADDRESS_TENTATIVE, {"2a00::1 is not ready", "duplicate"}},
        {"2a00::1", ADDRESS_DUPLICATE, {"2a00::1", "another host has it"}},
        {"nonsense", ADDRESS_MALFORMED, {"nonsense is not an IP address", "correct it"}},
    };
    char why[ADDRESS_WHY_MAX];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        address_explain(rows[i].address, rows[i].verdict, why);
        for (size_t j = 0; j < 2; j++) {
            if (!strstr(why, rows[i].has[j]))
                fail_msg("\"%s\" lacks \"%s\"", why, rows[i].has[j]);
        }
    }
    address_explain("8.8.8.8", ADDRESS_OK, why);
    check_text("ok", slice_of(why), "");
    /* The longest of each is whole. */
    for (int v = ADDRESS_OK + 1; v < ADDRESS_VERDICTS; v++) {
        address_explain("64:ff9b:1:1111:1111:1111:1111:1111", (enum address_verdict)v, why);
        assert_in_range(strlen(why), 20, ADDRESS_WHY_MAX - 2);
    }
}

/* --- new accounts ------------------------------------------------------------- */

static void check_assigned(const char *wanted)
{
    char text[IP_TEXT_MAX];

    addresses_assign(&table, text);
    check_text("assigned", slice_of(text), wanted);
}

static void test_nothing_to_choose(void **state)
{
    (void)state;
    check_assigned("");
    add("8.8.8.8");
    check_assigned("");
    add("10.0.0.1");
    add("127.0.0.1");
    add("2a00::1");
    add("192.0.2.1");
    check_assigned("");
    add("8.8.4.4");
    check_assigned("8.8.8.8");
    gone("8.8.4.4");
    check_assigned("");
}

static void test_in_turn(void **state)
{
    (void)state;
    add("8.8.8.1");
    add("8.8.8.2");
    add("8.8.8.3");
    for (int round = 0; round < 3; round++) {
        check_assigned("8.8.8.1");
        check_assigned("8.8.8.2");
        check_assigned("8.8.8.3");
    }
}

/* What accounts have counts, whoever gave it to them. */
static void test_least_used_first(void **state)
{
    (void)state;
    add("8.8.8.1");
    add("8.8.8.2");
    add("8.8.8.3");
    for (size_t i = 0; i < 3; i++)
        addresses_use(&table, &users[i], "8.8.8.1");
    addresses_use(&table, &users[3], "8.8.8.2");
    check_assigned("8.8.8.3");
    check_assigned("8.8.8.2");
    check_assigned("8.8.8.3");
    check_assigned("8.8.8.2");
    /* Kept promises are not counted twice. */
    addresses_use(&table, &users[4], "8.8.8.3");
    addresses_use(&table, &users[5], "8.8.8.3");
    addresses_use(&table, &users[6], "8.8.8.2");
    addresses_use(&table, &users[7], "8.8.8.2");
    check_assigned("8.8.8.3");
    check_assigned("8.8.8.1"); /* 3 each: the one that waits longest */
}

/* Accounts that were never made weigh nothing in the end. */
static void test_broken_promises(void **state)
{
    (void)state;
    add("8.8.8.1");
    add("8.8.8.2");
    addresses_use(&table, &users[0], "8.8.8.2");
    addresses_use(&table, &users[1], "8.8.8.2");
    check_assigned("8.8.8.1");
    check_assigned("8.8.8.1");
    addresses_dump_begin(&table);
    add("8.8.8.1");
    add("8.8.8.2");
    addresses_dump_end(&table);
    check_assigned("8.8.8.1");
}

static void test_who_may_be_assigned(void **state)
{
    (void)state;
    rules(true, true, true);
    add("8.8.8.1");
    add("8.8.8.2");
    for (size_t i = 0; i < 9; i++)
        addresses_use(&table, &users[i], i % 2 ? "8.8.8.1" : "8.8.8.2");
    add_flagged("2a00::1", IFA_F_TEMPORARY);
    add_flagged("2a00::2", IFA_F_DEPRECATED);
    add_flagged("2a00::3", IFA_F_TENTATIVE);
    tell(NETLINK_ADDRESS, "8.8.8.3", ETH, 24, 0, RT_SCOPE_LINK);
    add("127.0.0.1");
    add("fe80::1");
    check_assigned("8.8.8.1");
    add_flagged("2a00::3", 0); /* its detection is over */
    check_assigned("2a00::3");
    add_flagged("8.8.8.4", IFA_F_SECONDARY);
    check_assigned("8.8.8.4");
    add("10.0.0.1");
    check_assigned("10.0.0.1");
    rules(false, true, false);
    gone("8.8.8.4");
    check_assigned("8.8.8.2");
}

/* --- for the API ----------------------------------------------------------------- */

static char listed[1024];

static void list(void *owner, const struct address_info *info)
{
    size_t len = strlen(listed);

    assert_null(owner);
    check_num(info->text, info->why[0] == '\0', info->usable);
    snprintf(listed + len, sizeof(listed) - len, "%s %s %s %zu\n", info->text,
             info->present ? "present" : "missing", info->usable ? "usable" : "unusable",
             info->accounts);
}

static void test_each(void **state)
{
    (void)state;
    add("8.8.8.8");
    tell(NETLINK_ADDRESS, "127.0.0.1", LO, 8, 0, RT_SCOPE_HOST);
    add("2a00::1");
    addresses_use(&table, &users[0], "8.8.8.8");
    addresses_use(&table, &users[1], "8.8.8.8");
    addresses_use(&table, &users[2], "127.0.0.2");
    addresses_use(&table, &users[3], "8.8.4.4");
    listed[0] = '\0';
    check_num("count", (long long)addresses_each(&table, list, NULL), 5);
    check_text("list", slice_of(listed),
               "8.8.8.8 present usable 2\n127.0.0.1 present usable 0\n"
               "2a00::1 present unusable 0\n127.0.0.2 present usable 1\n"
               "8.8.4.4 missing unusable 1\n");
}

/* The same by chance, against what is true: a list of what was added last. */
static void test_random_changes(void **state)
{
    bool there[16][3] = {{false}};
    uint64_t seed = 88172645463325252u;

    (void)state;
    for (size_t i = 0; i < 16; i++) {
        char text[IP_TEXT_MAX];

        snprintf(text, sizeof(text), "8.8.8.%zu", i);
        addresses_use(&table, &users[i], text);
    }
    for (int i = 0; i < 20000; i++) {
        size_t number = next_random(&seed) % 16, index = next_random(&seed) % 3;
        bool *one = &there[number][index];
        char text[IP_TEXT_MAX];

        *one = next_random(&seed) % 2;
        snprintf(text, sizeof(text), "8.8.8.%zu", number);
        tell(*one ? NETLINK_ADDRESS : NETLINK_GONE, text, (unsigned)index + ETH, 32, 0, 0);
        check_num(text, users[number].address->verdict == ADDRESS_OK,
                  there[number][0] || there[number][1] || there[number][2]);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_comes_and_goes),
        TEST(test_several_places),
        TEST(test_not_known_yet),
        TEST(test_reserved),
        TEST(test_options_off),
        TEST(test_detection),
        TEST(test_network_on_loopback),
        TEST(test_only_its_users_are_told),
        TEST(test_dump),
        TEST(test_explain),
        TEST(test_nothing_to_choose),
        TEST(test_in_turn),
        TEST(test_least_used_first),
        TEST(test_broken_promises),
        TEST(test_who_may_be_assigned),
        TEST(test_each),
        TEST(test_random_changes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
