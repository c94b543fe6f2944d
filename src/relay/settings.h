/* The configuration as the relay's threads use it. */
#pragma once

#include <openssl/ssl.h>
#include <stdatomic.h>

#include "conf/conf.h"
#include "ipc/ipc.h"
#include "net/listen.h"

/* Configuration as the workers use it: immutable, replaced as a whole on
 * reload, freed with its last reference. */
struct settings {
    atomic_uint refs;
    struct conf *conf;
    SSL_CTX *client_tls;
    SSL_CTX *server_tls; /* NULL: no listener has TLS */
    struct net_range trusted[CONF_TRUSTED_MAX];
    size_t trusted_count;
    char hostname[256];      /* greeting and EHLO answer */
    char upstream_helo[256]; /* what we call ourselves at providers */
};

/* From the broker's message; NULL and a reason when it does not hold together. */
struct settings *settings_new(const struct ipc_config *config, struct reason *why);
struct settings *settings_ref(struct settings *settings);
void settings_unref(struct settings *settings);
bool settings_trusts(const struct settings *settings, const struct net_address *client);
