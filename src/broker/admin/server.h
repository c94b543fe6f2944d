/* The admin API: HTTP on TCP and on a unix socket, served by the broker's loop.
 *
 * Started when the accounts are known, before the relay relays, so that /health
 * can tell; served until the end, so that a drain can be watched.
 */
#pragma once

#include "base/str.h"

struct admin;
struct broker;
struct conf;

/* What only files can tell of the configuration: a listener that other machines
 * can reach needs an API token. `accounts` is the store's location. */
bool admin_check(const struct conf *conf, const char *accounts, struct reason *why);

/* Binds and serves. NULL and a reason when admin.host and admin.port cannot
 * serve; a unix socket chosen by "auto" that cannot is only reported. */
struct admin *admin_start(struct broker *broker, struct reason *why);
/* The setup was replaced: limits, tokens, certificates. */
void admin_reload(struct admin *admin);
/* Cuts all connections. Handlers that have requests may still reply. NULL is
 * right. */
void admin_stop(struct admin *admin);
/* When no handler runs any more, behind loop_close. */
void admin_free(struct admin *admin);

/* Where the TCP or named unix listener is, "" none. */
void admin_format(const struct admin *admin, char *out, size_t cap);
/* The folder that holds the store: "accounts.json" is in ".". */
void admin_store_folder(const char *location, char *out, size_t cap);
