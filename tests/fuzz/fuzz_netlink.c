/* The kernel's messages, damaged: what comes out is whole, and the table of
 * addresses takes all of it. */
#include <linux/rtnetlink.h>

#include "broker/addresses.h"
#include "fuzz.h"

static void check(const struct netlink_event *event)
{
    bool v4 = event->place.address.family == AF_INET;

    if (event->kind == NETLINK_FAILED)
        require(event->error > 0);
    if (event->kind != NETLINK_ADDRESS && event->kind != NETLINK_GONE)
        return;
    require(v4 || event->place.address.family == AF_INET6);
    require(event->place.prefix <= (v4 ? 32 : 128));
    for (size_t i = 4; v4 && i < 16; i++)
        require(!event->place.address.bits[i]);
}

static void feed(struct addresses *addresses, struct slice datagram)
{
    struct slice copy = exact_copy(datagram), rest = copy;
    struct netlink_event event;
    int rc;

    while ((rc = netlink_next(&rest, &event)) == 1) {
        require(rest.len < datagram.len);
        check(&event);
        if (event.kind == NETLINK_DONE)
            addresses_dump_end(addresses);
        else if (event.kind != NETLINK_FAILED)
            require(addresses_take(addresses, &event));
    }
    require(rc <= 0 && !rest.len);
    exact_free(copy);
}

static void each(void *owner, const struct address_info *info)
{
    const struct addresses *addresses = owner;

    require(info->usable == (addresses_check(addresses, info->text) == ADDRESS_OK));
    require(info->present || info->accounts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = {(const char *)data, size};
    struct address_user user = {NULL};
    struct addresses addresses;
    unsigned steer = take_octet(&input);
    struct address_rules rules = {true, true, steer & 1, steer & 2, steer & 4};
    char assigned[IP_TEXT_MAX];

    addresses_init(&addresses);
    addresses_configure(&addresses, &rules);
    addresses_use(&addresses, &user, steer & 8 ? "127.0.0.2" : "8.8.8.8");
    addresses_dump_begin(&addresses);
    while (input.len)
        feed(&addresses, take_piece(&input, 64 + 8 * (steer >> 4)));
    addresses_each(&addresses, each, &addresses);
    addresses_assign(&addresses, assigned);
    require(addresses_check(&addresses, assigned) == ADDRESS_OK);
    addresses_leave(&addresses, &user);
    addresses_clear(&addresses);
    return 0;
}
