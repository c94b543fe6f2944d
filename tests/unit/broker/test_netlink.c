#include "broker/netlink_maker.h"

#include <errno.h>
#include <stdio.h>

#include "broker/netlink.h"

static const unsigned char v4[] = {192, 0, 2, 1}, peer[] = {192, 0, 2, 99};
static const unsigned char v6[16] = {0x20, 1, 0x0d, 0xb8, [15] = 7};

static struct datagram made;

static int set_up(void **state)
{
    (void)state;
    made = (struct datagram){.len = 0};
    return 0;
}

/* From memory of exactly its size, so that a read behind it is seen. */
static int parse_all(struct netlink_event *events, size_t cap, size_t *count)
{
    struct slice whole = {made.bytes, made.len}, rest;
    char *copy = exact_copy(whole);
    int rc = 1;

    rest = (struct slice){copy, whole.len};
    *count = 0;
    while (*count < cap && (rc = netlink_next(&rest, &events[*count])) == 1)
        (*count)++;
    assert_true(*count < cap);
    check_num("left over", (long long)rest.len, 0);
    free(copy);
    return rc;
}

static struct netlink_event parse_one(void)
{
    struct netlink_event events[2];
    size_t count;

    check_num("rc", parse_all(events, 2, &count), 0);
    check_num("events", (long long)count, 1);
    return events[0];
}

static void check_address(const struct netlink_event *event, const char *wanted)
{
    char text[IP_TEXT_MAX];

    ip_format(&event->place.address, text);
    check_text("address", slice_of(text), wanted);
}

static void test_notification(void **state)
{
    struct netlink_event event;

    (void)state;
    message_begin(&made, RTM_NEWADDR, 0, 0);
    message_address(&made, AF_INET, 24, IFA_F_PERMANENT, 3);
    message_attribute(&made, IFA_ADDRESS, v4, sizeof(v4));
    message_attribute(&made, IFA_LOCAL, v4, sizeof(v4));
    message_attribute(&made, IFA_LABEL, "eth0", 5);
    event = parse_one();
    check_num("kind", event.kind, NETLINK_ADDRESS);
    check_address(&event, "192.0.2.1");
    check_num("index", event.place.index, 3);
    check_num("prefix", event.place.prefix, 24);
    check_num("flags", event.flags, IFA_F_PERMANENT);
    assert_false(event.dumped || event.interrupted);
}

/* Behind a point-to-point link IFA_ADDRESS is the other end, in either order. */
static void test_local_wins(void **state)
{
    struct netlink_event event;

    for (int local_first = 0; local_first < 2; local_first++) {
        set_up(state);
        message_begin(&made, RTM_DELADDR, 0, 0);
        message_address(&made, AF_INET, 32, 0, 3);
        if (local_first)
            message_attribute(&made, IFA_LOCAL, v4, sizeof(v4));
        message_attribute(&made, IFA_ADDRESS, peer, sizeof(peer));
        if (!local_first)
            message_attribute(&made, IFA_LOCAL, v4, sizeof(v4));
        event = parse_one();
        check_num("kind", event.kind, NETLINK_GONE);
        check_address(&event, "192.0.2.1");
    }
}

static void test_ipv6_flags(void **state)
{
    uint32_t flags = IFA_F_TENTATIVE | IFA_F_NOPREFIXROUTE;
    struct netlink_event event;

    (void)state;
    message_begin(&made, RTM_NEWADDR, NLM_F_MULTI | NLM_F_DUMP_INTR, 77);
    message_address(&made, AF_INET6, 64, IFA_F_TENTATIVE, 2);
    message_attribute(&made, IFA_ADDRESS, v6, sizeof(v6));
    message_attribute(&made, IFA_FLAGS | NLA_F_NET_BYTEORDER, &flags, sizeof(flags));
    event = parse_one();
    check_address(&event, "2001:db8::7");
    check_num("flags", event.flags, flags);
    check_num("seq", event.seq, 77);
    assert_true(event.dumped && event.interrupted);
}

static void put_failure(unsigned type, int error)
{
    message_begin(&made, type, NLM_F_MULTI, 5);
    message_body(&made, &error, sizeof(error));
}

static void test_ends(void **state)
{
    struct netlink_event events[8];
    size_t count;

    (void)state;
    put_failure(NLMSG_DONE, 0);
    put_failure(NLMSG_DONE, -ENOMEM);
    put_failure(NLMSG_ERROR, 0); /* an acknowledgement says nothing */
    put_failure(NLMSG_ERROR, -EPERM);
    put_failure(NLMSG_ERROR, INT32_MIN);
    message_begin(&made, NLMSG_DONE, NLM_F_MULTI, 5);
    check_num("rc", parse_all(events, 8, &count), 0);
    check_num("events", (long long)count, 5);
    check_num("done", events[0].kind, NETLINK_DONE);
    check_num("failed dump", events[1].kind, NETLINK_FAILED);
    check_num("its error", events[1].error, ENOMEM);
    check_num("error", events[2].error, EPERM);
    check_num("no errno", events[3].error, EIO);
    check_num("short done", events[4].kind, NETLINK_DONE);
}

static void test_others_are_passed_over(void **state)
{
    struct netlink_event event;

    (void)state;
    message_begin(&made, NLMSG_NOOP, 0, 0);
    message_begin(&made, RTM_NEWLINK, 0, 0);
    message_body(&made, "whatever it is", 14);
    message_begin(&made, RTM_NEWADDR, 0, 0);
    message_address(&made, AF_BRIDGE, 200, 0, 3); /* another family, whose size we do not know */
    message_begin(&made, RTM_NEWADDR, 0, 0);
    message_address(&made, AF_INET, 0, 0, 9);
    message_attribute(&made, IFA_LOCAL, v4, sizeof(v4));
    event = parse_one();
    check_num("index", event.place.index, 9);
}

/* Every way to be damaged, behind a good message that still counts. */
static void test_damaged(void **state)
{
    enum {
        SHORT_HEADER,
        SHORT_LEN,
        LONG_LEN,
        NO_BODY,
        PREFIX,
        PREFIX6,
        NO_ADDRESS,
        SHORT_ADDRESS,
        LONG_ADDRESS,
        SHORT_FLAGS,
        SHORT_ATTRIBUTE,
        LONG_ATTRIBUTE,
        SHORT_ERROR,
        CASES
    };
    uint32_t len;

    for (int i = 0; i < CASES; i++) {
        struct netlink_event events[3];
        char name[24];
        size_t count;

        snprintf(name, sizeof(name), "case %d", i);
        set_up(state);
        message_begin(&made, NLMSG_DONE, 0, 1);
        message_begin(&made, i == SHORT_ERROR ? NLMSG_ERROR : RTM_NEWADDR, 0, 0);
        if (i == SHORT_HEADER)
            made.len -= 4;
        len = i == SHORT_LEN ? 15 : 1000;
        if (i == SHORT_LEN || i == LONG_LEN)
            memcpy(made.bytes + made.message, &len, sizeof(len));
        if (i == SHORT_ERROR)
            message_body(&made, "abc", 3);
        if (i == NO_BODY)
            message_body(&made, "abcdefg", 7);
        if (i >= PREFIX && i < SHORT_ERROR)
            message_address(&made, i == PREFIX6 ? AF_INET6 : AF_INET,
                            i == PREFIX    ? 33
                            : i == PREFIX6 ? 129
                                           : 24,
                            0, 3);
        if (i == PREFIX || i == PREFIX6)
            message_attribute(&made, IFA_LOCAL, v6, i == PREFIX ? 4 : 16);
        if (i == SHORT_ADDRESS || i == LONG_ADDRESS)
            message_attribute(&made, IFA_LOCAL, v6, i == SHORT_ADDRESS ? 3 : 16);
        if (i == SHORT_FLAGS || i == SHORT_ATTRIBUTE || i == LONG_ATTRIBUTE)
            message_attribute(&made, IFA_LOCAL, v4, 4);
        if (i == SHORT_FLAGS)
            message_attribute(&made, IFA_FLAGS, v4, 2);
        if (i == SHORT_ATTRIBUTE)
            message_body(&made, "\3\0\1\0", 4);
        if (i == LONG_ATTRIBUTE)
            message_body(&made, "\x09\0\1\0abcd", 8);
        check_num(name, parse_all(events, 3, &count), -1);
        check_num(name, (long long)count, 1);
    }
}

/* Any part of a datagram, cut anywhere, is read without leaving it. */
static void test_cut_anywhere(void **state)
{
    (void)state;
    message_begin(&made, RTM_NEWADDR, NLM_F_MULTI, 1);
    message_address(&made, AF_INET, 24, 0, 3);
    message_attribute(&made, IFA_LOCAL, v4, sizeof(v4));
    message_attribute(&made, IFA_LABEL, "lo:1", 5);
    put_failure(NLMSG_DONE, 0);
    for (size_t len = made.len; len > 0; len--) {
        struct netlink_event events[3];
        size_t count;

        made.len = len;
        assert_in_range(parse_all(events, 3, &count) + 1, 0, 1);
    }
}

static void test_request(void **state)
{
    char request[NETLINK_REQUEST_LEN];
    struct nlmsghdr header;

    (void)state;
    check_num("length", (long long)netlink_dump_request(0x01020304, request), NETLINK_REQUEST_LEN);
    memcpy(&header, request, sizeof(header));
    check_num("length inside", header.nlmsg_len, NETLINK_REQUEST_LEN);
    check_num("type", header.nlmsg_type, RTM_GETADDR);
    check_num("flags", header.nlmsg_flags, NLM_F_REQUEST | NLM_F_DUMP);
    check_num("seq", header.nlmsg_seq, 0x01020304);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_notification),
        TEST(test_local_wins),
        TEST(test_ipv6_flags),
        TEST(test_ends),
        TEST(test_others_are_passed_over),
        TEST(test_damaged),
        TEST(test_cut_anywhere),
        TEST(test_request),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
