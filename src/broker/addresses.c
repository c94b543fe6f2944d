#include "broker/addresses.h"

#include <linux/rtnetlink.h>
#include <stdlib.h>

/* The kernel gives this number to the loopback interface of every network
 * namespace. All of an IPv4 network on it is local: 127.0.0.2 by 127.0.0.1/8. */
#define LOOPBACK_INDEX 1

struct address_place {
    UT_hash_handle hh;
    struct netlink_place place; /* the key */
    uint32_t flags, scope;
    uint64_t round; /* of the dump that named it last */
    struct address *address;
    struct list_node node;     /* address->places */
    struct list_node net_node; /* addresses->nets */
};

const char *const address_verdict_names[ADDRESS_VERDICTS] = {
    "ok", "malformed", "ipv6_off", "reserved", "private", "absent", "tentative", "duplicate"};

/* --- verdicts ------------------------------------------------------------------ */

static enum address_verdict place_verdict(const struct address_place *place)
{
    if (place->flags & IFA_F_DADFAILED)
        return ADDRESS_DUPLICATE;
    if (place->flags & IFA_F_TENTATIVE && !(place->flags & IFA_F_OPTIMISTIC))
        return ADDRESS_TENTATIVE;
    return ADDRESS_OK;
}

static bool in_local_net(const struct addresses *addresses, const struct ip_address *ip)
{
    list_foreach (&addresses->nets, node) {
        const struct netlink_place *net =
            &container_of(node, struct address_place, net_node)->place;

        if (ip_same_prefix(ip, &net->address, net->prefix))
            return true;
    }
    return false;
}

/* Of several places the best one counts. `address` may be NULL. */
static enum address_verdict presence(const struct addresses *addresses,
                                     const struct address *address, const struct ip_address *ip)
{
    enum address_verdict best = ADDRESS_ABSENT;

    if (address) {
        list_foreach (&address->places, node) {
            best = place_verdict(container_of(node, struct address_place, node));
            if (best == ADDRESS_OK)
                return best;
        }
    }
    return best == ADDRESS_ABSENT && in_local_net(addresses, ip) ? ADDRESS_OK : best;
}

static enum address_verdict judge(const struct addresses *addresses, const struct address *address,
                                  const struct ip_address *ip, const struct ip_range *range)
{
    const struct address_rules *rules = &addresses->rules;

    if (!rules->binding)
        return ADDRESS_OK;
    if (ip->family == AF_INET6 && !rules->use_ipv6)
        return ADDRESS_IPV6_OFF;
    if (!rules->validate)
        return ADDRESS_OK;
    if (range && range->use == RANGE_NEVER)
        return ADDRESS_RESERVED;
    if (range && !rules->private_ok)
        return ADDRESS_PRIVATE;
    return addresses->known ? presence(addresses, address, ip) : ADDRESS_OK;
}

static const char *cause_of(enum address_verdict verdict)
{
    static const char *const causes[ADDRESS_VERDICTS] = {
        [ADDRESS_OK] = "",
        [ADDRESS_MALFORMED] = "is not an IP address: correct it",
        [ADDRESS_IPV6_OFF] =
            "is IPv6, which is off: set upstream.use_ipv6 to true, or name an IPv4 address",
        [ADDRESS_RESERVED] = "name a public address of this host",
        [ADDRESS_PRIVATE] =
            "set upstream.source_ip_private to auto, or name a public address of this host",
        [ADDRESS_ABSENT] = "is not an address of this host: add it to an interface, or correct it",
        [ADDRESS_TENTATIVE] = "is not ready: duplicate address detection has not ended",
        [ADDRESS_DUPLICATE] = "failed duplicate address detection: another host has it",
    };

    return causes[verdict];
}

void address_explain(const char *text, enum address_verdict verdict, char out[ADDRESS_WHY_MAX])
{
    const struct ip_range *range;
    struct ip_address ip;
    struct text builder;

    text_init(&builder, out, ADDRESS_WHY_MAX);
    if (verdict == ADDRESS_OK)
        return;
    text_addf(&builder, "ip_address %.64s ", text);
    range = ip_parse(text, &ip) ? range_of(&ip) : NULL;
    if (range && (verdict == ADDRESS_RESERVED || verdict == ADDRESS_PRIVATE))
        text_addf(&builder, "is in a reserved range, %s: ", range->name);
    text_add_str(&builder, cause_of(verdict));
}

/* --- the table ------------------------------------------------------------------ */

static struct address *find(const struct addresses *addresses, const struct ip_address *ip)
{
    struct address *address;

    HASH_FIND(hh, addresses->table, ip, sizeof(*ip), address);
    return address;
}

static struct address *find_or_make(struct addresses *addresses, const struct ip_address *ip)
{
    struct address *address = find(addresses, ip);

    if (address || !(address = calloc(1, sizeof(*address))))
        return address;
    address->ip = *ip;
    address->range = range_of(ip);
    list_init(&address->places);
    list_init(&address->users);
    address->verdict = judge(addresses, address, ip, address->range);
    HASH_ADD(hh, addresses->table, ip, sizeof(address->ip), address);
    return address;
}

static void free_if_unused(struct addresses *addresses, struct address *address)
{
    if (!list_empty(&address->places) || !list_empty(&address->users))
        return;
    if (list_node_linked(&address->candidate))
        list_remove(&addresses->candidates, &address->candidate);
    HASH_DELETE(hh, addresses->table, address);
    free(address);
}

/* IFA_F_TEMPORARY is IFA_F_SECONDARY where IPv4 is concerned, which is fine. */
static bool is_lasting(const struct address_place *place)
{
    bool temporary = place->place.address.family == AF_INET6 && place->flags & IFA_F_TEMPORARY;

    return place_verdict(place) == ADDRESS_OK && place->scope == RT_SCOPE_UNIVERSE && !temporary &&
           !(place->flags & IFA_F_DEPRECATED);
}

static bool may_be_assigned(const struct addresses *addresses, const struct address *address)
{
    const struct address_rules *rules = &addresses->rules;

    if (address->verdict != ADDRESS_OK || !rules->binding ||
        (address->ip.family == AF_INET6 && !rules->use_ipv6))
        return false;
    if (address->range && !(address->range->use == RANGE_PRIVATE && rules->private_assign))
        return false;
    list_foreach (&address->places, node) {
        if (is_lasting(container_of(node, struct address_place, node)))
            return true;
    }
    return false;
}

/* After any change: of its places, of the networks, of the rules. */
static void update(struct addresses *addresses, struct address *address)
{
    enum address_verdict before = address->verdict;
    bool candidate = list_node_linked(&address->candidate);

    address->verdict = judge(addresses, address, &address->ip, address->range);
    if (may_be_assigned(addresses, address) != candidate) {
        if (candidate)
            list_remove(&addresses->candidates, &address->candidate);
        else
            list_push_tail(&addresses->candidates, &address->candidate);
    }
    if (address->verdict != before && !list_empty(&address->users) && addresses->judged)
        addresses->judged(addresses->owner, address);
}

static void update_all(struct addresses *addresses)
{
    struct address *address, *next;

    HASH_ITER (hh, addresses->table, address, next)
        update(addresses, address);
}

static void update_net(struct addresses *addresses, const struct netlink_place *net)
{
    struct address *address, *next;

    HASH_ITER (hh, addresses->table, address, next) {
        if (ip_same_prefix(&address->ip, &net->address, net->prefix))
            update(addresses, address);
    }
}

void addresses_init(struct addresses *addresses)
{
    *addresses = (struct addresses){.round = 1};
    addresses->rules = (struct address_rules){.binding = true, .validate = true};
    list_init(&addresses->nets);
    list_init(&addresses->candidates);
}

void addresses_configure(struct addresses *addresses, const struct address_rules *rules)
{
    addresses->rules = *rules;
    update_all(addresses);
}

/* --- what the kernel says --------------------------------------------------------- */

static bool is_local_net(const struct netlink_place *place)
{
    return place->index == LOOPBACK_INDEX && place->address.family == AF_INET && place->prefix < 32;
}

static struct address_place *add_place(struct addresses *addresses,
                                       const struct netlink_place *place)
{
    struct address_place *added = calloc(1, sizeof(*added));

    if (!added)
        return NULL;
    added->place = *place;
    added->address = find_or_make(addresses, &place->address);
    if (!added->address) {
        free(added);
        return NULL;
    }
    list_push_tail(&added->address->places, &added->node);
    HASH_ADD(hh, addresses->places, place, sizeof(added->place), added);
    if (is_local_net(place))
        list_push_tail(&addresses->nets, &added->net_node);
    return added;
}

static void drop_place(struct addresses *addresses, struct address_place *place)
{
    struct netlink_place was = place->place;
    struct address *address = place->address;

    HASH_DELETE(hh, addresses->places, place);
    list_remove(&address->places, &place->node);
    if (list_node_linked(&place->net_node))
        list_remove(&addresses->nets, &place->net_node);
    free(place);
    update(addresses, address);
    free_if_unused(addresses, address);
    if (is_local_net(&was))
        update_net(addresses, &was);
}

bool addresses_take(struct addresses *addresses, const struct netlink_event *event)
{
    struct address_place *place;
    bool fresh;

    HASH_FIND(hh, addresses->places, &event->place, sizeof(event->place), place);
    if (event->kind == NETLINK_GONE) {
        if (place)
            drop_place(addresses, place);
        return true;
    }
    fresh = !place;
    if (fresh && !(place = add_place(addresses, &event->place)))
        return false;
    place->round = addresses->round;
    if (!fresh && place->flags == event->flags && place->scope == event->scope)
        return true;
    place->flags = event->flags;
    place->scope = event->scope;
    update(addresses, place->address);
    if (fresh && is_local_net(&event->place))
        update_net(addresses, &event->place);
    return true;
}

void addresses_dump_begin(struct addresses *addresses)
{
    addresses->round++;
}

void addresses_dump_end(struct addresses *addresses)
{
    struct address_place *place, *next;
    struct address *address, *next_address;

    HASH_ITER (hh, addresses->places, place, next) {
        if (place->round != addresses->round)
            drop_place(addresses, place);
    }
    /* Promises that nobody has kept by now were for accounts that came to nothing. */
    HASH_ITER (hh, addresses->table, address, next_address)
        address->promised = 0;
    if (!addresses->known) {
        addresses->known = true;
        update_all(addresses);
    }
}

void addresses_clear(struct addresses *addresses)
{
    struct address_place *place, *next;

    addresses->judged = NULL;
    HASH_ITER (hh, addresses->places, place, next)
        drop_place(addresses, place);
    assert(!addresses->table);
}

/* --- who sends from them ------------------------------------------------------------ */

enum address_verdict addresses_check(const struct addresses *addresses, const char *text)
{
    const struct address *address;
    struct ip_address ip;

    if (!text[0])
        return ADDRESS_OK;
    if (!ip_parse(text, &ip))
        return ADDRESS_MALFORMED;
    address = find(addresses, &ip);
    return address ? address->verdict : judge(addresses, NULL, &ip, range_of(&ip));
}

enum address_verdict addresses_use(struct addresses *addresses, struct address_user *user,
                                   const char *text)
{
    struct address *address;
    struct ip_address ip;

    addresses_leave(addresses, user);
    if (!text[0])
        return ADDRESS_OK;
    if (!ip_parse(text, &ip))
        return ADDRESS_MALFORMED;
    address = find_or_make(addresses, &ip);
    if (!address)
        return ADDRESS_ABSENT; /* memory is out: nothing is sent rather than from elsewhere */
    list_push_tail(&address->users, &user->node);
    user->address = address;
    if (address->promised)
        address->promised--;
    return address->verdict;
}

void addresses_leave(struct addresses *addresses, struct address_user *user)
{
    struct address *address = user->address;

    if (!address)
        return;
    user->address = NULL;
    list_remove(&address->users, &user->node);
    free_if_unused(addresses, address);
}

static bool is_better(const struct address *a, const struct address *b)
{
    size_t a_load = a->users.count + a->promised, b_load = b->users.count + b->promised;

    return a_load != b_load ? a_load < b_load : a->assigned_at < b->assigned_at;
}

void addresses_assign(struct addresses *addresses, char out[IP_TEXT_MAX])
{
    struct address *best;

    out[0] = '\0';
    if (addresses->candidates.count < 2)
        return;
    best = container_of(list_first(&addresses->candidates), struct address, candidate);
    list_foreach (&addresses->candidates, node) {
        struct address *address = container_of(node, struct address, candidate);

        if (is_better(address, best))
            best = address;
    }
    best->promised++;
    best->assigned_at = ++addresses->assignments;
    ip_format(&best->ip, out);
}

size_t addresses_each(const struct addresses *addresses,
                      void (*each)(void *owner, const struct address_info *info), void *owner)
{
    struct address *address, *next;

    HASH_ITER (hh, addresses->table, address, next) {
        struct address_info info = {.usable = address->verdict == ADDRESS_OK,
                                    .accounts = address->users.count};

        ip_format(&address->ip, info.text);
        info.present = !list_empty(&address->places) || in_local_net(addresses, &address->ip);
        address_explain(info.text, address->verdict, info.why);
        each(owner, &info);
    }
    return HASH_COUNT(addresses->table);
}
