/* The addresses of this host, and who sends from them.
 *
 * One table holds what the kernel has (places: an address on an interface) and
 * what accounts name (users), so that a change of one address touches its own
 * accounts only. Each address has a verdict: whether mail may leave from it.
 * The verdict is kept, not computed when asked for; whoever has accounts there
 * hears when it changes.
 *
 * Nothing here talks to the kernel: address_watch.c does, and tests do.
 */
#pragma once

#include <uthash.h>

#include "base/list.h"
#include "broker/netlink.h"

enum address_verdict {
    ADDRESS_OK,
    ADDRESS_MALFORMED,
    ADDRESS_IPV6_OFF,
    ADDRESS_RESERVED,  /* a range that is never used */
    ADDRESS_PRIVATE,   /* one that upstream.source_ip_private forbids */
    ADDRESS_ABSENT,    /* not this host's */
    ADDRESS_TENTATIVE, /* its duplicate address detection has not ended */
    ADDRESS_DUPLICATE, /* another host has it */
    ADDRESS_VERDICTS
};

extern const char *const address_verdict_names[ADDRESS_VERDICTS];

#define ADDRESS_WHY_MAX 256

/* A sentence for the operator: address, cause and cure. "" for ADDRESS_OK. */
void address_explain(const char *text, enum address_verdict verdict, char out[ADDRESS_WHY_MAX]);

/* What the options say; see their help. */
struct address_rules {
    bool binding, validate, use_ipv6;
    bool private_ok;     /* an account may name a private address */
    bool private_assign; /* and new accounts get them */
};

struct address {
    UT_hash_handle hh;
    struct ip_address ip;
    const struct ip_range *range; /* reserved; NULL: public */
    struct list places;           /* address_place.node */
    struct list users;            /* address_user.node */
    enum address_verdict verdict;
    struct list_node candidate; /* on addresses.candidates */
    size_t promised;            /* assigned, and not in use yet */
    uint64_t assigned_at;       /* counts assignments; 0: never */
};

/* Part of whatever sends from an address. */
struct address_user {
    struct address *address; /* NULL: the system's choice */
    struct list_node node;
};

struct addresses {
    struct address *table;
    struct address_place *places;
    struct list nets;       /* address_place.net_node: IPv4 networks that are local as a whole */
    struct list candidates; /* for new accounts */
    struct address_rules rules;
    bool known; /* the kernel was read once: what is not here is not there */
    uint64_t round, assignments;
    /* The verdict on an address with users has changed. May not add or remove
     * users. */
    void (*judged)(void *owner, struct address *address);
    void *owner;
};

void addresses_init(struct addresses *addresses);
void addresses_clear(struct addresses *addresses); /* no user is left */
void addresses_configure(struct addresses *addresses, const struct address_rules *rules);

/* --- what the kernel says: ADDRESS and GONE ---------------------------------- */

/* False: memory is out, and a new dump is due. */
bool addresses_take(struct addresses *addresses, const struct netlink_event *event);
/* A dump names all: what is not named between these two is gone. */
void addresses_dump_begin(struct addresses *addresses);
void addresses_dump_end(struct addresses *addresses);

/* --- who sends from them ------------------------------------------------------ */

/* May mail leave from this address? "": the system's choice, always. */
enum address_verdict addresses_check(const struct addresses *addresses, const char *text);

/* Names the address that the user sends from (again); its verdict now. */
enum address_verdict addresses_use(struct addresses *addresses, struct address_user *user,
                                   const char *text);
void addresses_leave(struct addresses *addresses, struct address_user *user);

/* The address for a new account that names none: of those that mail may leave
 * from, the one with the fewest accounts, in turn where that is equal. Only
 * addresses that reach others and stay (no loopback, temporary or deprecated
 * ones; private ones where upstream.source_ip_private is true). "" when there
 * are not two to choose from. An assignment counts like an account until an
 * account uses the address, or for a minute. */
void addresses_assign(struct addresses *addresses, char out[IP_TEXT_MAX]);

struct address_info {
    char text[IP_TEXT_MAX];
    bool present; /* this host has it; false: an account names it all the same */
    bool usable;
    char why[ADDRESS_WHY_MAX]; /* when it is not usable, else "" */
    size_t accounts;
};

/* All of them, and returns how many there are. `info` is valid in the call. */
size_t addresses_each(const struct addresses *addresses,
                      void (*each)(void *owner, const struct address_info *info), void *owner);
