/* What is remembered of a client's address: how many connections it has, and
 * how often it failed to log in. One table for the whole process, as the
 * limits are the process's; it is touched once per connection and once per
 * failed login. An IPv6 client is its /64, which is what one customer gets.
 *
 * Trusted clients are not counted: behind such an address stand many
 * applications, and one with a wrong password must not stop the others. */
#pragma once

#include "conf/conf.h"
#include "net/listen.h"

struct client_address;

enum client_admission { CLIENT_ADMITTED, CLIENT_TOO_MANY, CLIENT_BARRED, CLIENT_NO_MEMORY };

/* Counts a connection; client_address_leave takes the pointer back. */
enum client_admission client_address_enter(const struct net_address *peer, const struct conf *conf,
                                           uint64_t now, struct client_address **out);
void client_address_leave(struct client_address **owned);

/* True when this failure was the last one that is allowed. */
bool client_address_failed(struct client_address *address, const struct conf *conf, uint64_t now);
/* Too many failures of late. */
bool client_address_barred(struct client_address *address, const struct conf *conf, uint64_t now);

/* Entries kept now; for tests. */
size_t client_addresses_count(void);
