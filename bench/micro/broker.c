#include <stdio.h>
#include <stdlib.h>

#include "broker/addresses.h"
#include "micro/micro.h"

#define HAVE 1000      /* addresses of this host */
#define ACCOUNTS 64000 /* spread over them */
#define GOAL_NS 1000

static struct addresses addresses;
static char texts[HAVE][IP_TEXT_MAX];
static struct address_user users[ACCOUNTS];
static size_t told;

static void on_judged(void *owner, struct address *address)
{
    (void)owner;
    list_foreach (&address->users, node)
        told++;
}

static struct netlink_event event_of(enum netlink_kind kind, const char *text)
{
    struct netlink_event event = {.kind = kind, .place = {.index = 2, .prefix = 32}};

    if (!ip_parse(text, &event.place.address))
        abort();
    return event;
}

static void check(const char *text, enum address_verdict wanted, uint64_t rounds)
{
    while (rounds--) {
        if (addresses_check(&addresses, text) != wanted)
            abort();
        keep(text);
    }
}

static void run_found(uint64_t rounds)
{
    while (rounds--)
        keep_number(addresses_check(&addresses, texts[rounds % HAVE]));
}

static void run_absent(uint64_t rounds)
{
    check("8.200.1.1", ADDRESS_ABSENT, rounds);
}

/* In the last range of the table. */
static void run_reserved(uint64_t rounds)
{
    check("ff02::1:2", ADDRESS_RESERVED, rounds);
}

static void run_absent_v6(uint64_t rounds)
{
    check("2a00:1450:4001:82b::200e", ADDRESS_ABSENT, rounds);
}

static void run_use(uint64_t rounds)
{
    while (rounds--)
        keep_number(addresses_use(&addresses, &users[rounds % ACCOUNTS], texts[rounds % HAVE]));
}

/* Leaves and comes back; its 64 accounts are told, and nobody else is. */
static void run_change(uint64_t rounds)
{
    struct netlink_event gone = event_of(NETLINK_GONE, texts[7]);
    struct netlink_event back = event_of(NETLINK_ADDRESS, texts[7]);

    while (rounds--) {
        addresses_take(&addresses, &gone);
        addresses_take(&addresses, &back);
    }
    keep_number(told);
}

static void run_assign(uint64_t rounds)
{
    char text[IP_TEXT_MAX];

    while (rounds--) {
        addresses_assign(&addresses, text);
        keep(text);
    }
}

void micro_broker_prepare(void)
{
    struct address_rules rules = {
        .binding = true, .validate = true, .use_ipv6 = true, .private_ok = true};

    addresses_init(&addresses);
    addresses_configure(&addresses, &rules);
    addresses.judged = on_judged;
    addresses_dump_begin(&addresses);
    for (size_t i = 0; i < HAVE; i++) {
        struct netlink_event event;

        snprintf(texts[i], IP_TEXT_MAX, "8.8.%zu.%zu", i / 250, i % 250);
        event = event_of(NETLINK_ADDRESS, texts[i]);
        if (!addresses_take(&addresses, &event))
            abort();
    }
    addresses_dump_end(&addresses);
    for (size_t i = 0; i < ACCOUNTS; i++)
        addresses_use(&addresses, &users[i], texts[i % HAVE]);
}

const struct micro micro_broker[] = {
    {"addresses_check, one of 1000", run_found, 0, NULL, GOAL_NS},
    {"addresses_check, absent", run_absent, 0, NULL, GOAL_NS},
    {"addresses_check, absent, IPv6", run_absent_v6, 0, NULL, GOAL_NS},
    {"addresses_check, the last reserved range", run_reserved, 0, NULL, GOAL_NS},
    {"addresses_use, another of 1000", run_use, 0, NULL, GOAL_NS},
    {"addresses_take, gone and back, 64 accounts", run_change, 0, NULL, 0},
    {"addresses_assign, of 1000", run_assign, 0, NULL, 0},
    {0},
};
