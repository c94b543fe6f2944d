
#include <stdlib.h>
#include <unistd.h>

#include "net/tls.h"
#include "relay/settings.h"

struct settings *settings_ref(struct settings *settings)
{
    atomic_fetch_add(&settings->refs, 1);
    return settings;
}

void settings_unref(struct settings *settings)
{
    if (!settings || atomic_fetch_sub(&settings->refs, 1) != 1)
        return;
    conf_free(settings->conf);
    SSL_CTX_free(settings->client_tls);
    SSL_CTX_free(settings->server_tls);
    free(settings);
}

bool settings_trusts(const struct settings *settings, const struct net_address *client)
{
    for (size_t i = 0; i < settings->trusted_count; i++) {
        if (net_range_holds(&settings->trusted[i], client))
            return true;
    }
    return false;
}

static void choose_names(struct settings *settings)
{
    const struct conf *conf = settings->conf;

    if (conf->hostname[0])
        slice_copy(slice_of(conf->hostname), settings->hostname, sizeof(settings->hostname));
    else if (gethostname(settings->hostname, sizeof(settings->hostname) - 1) != 0)
        slice_copy(SLICE("localhost"), settings->hostname, sizeof(settings->hostname));
    /* A provider wants a full name or an address literal (PROVIDERS.md section
     * 1); "" makes the client use its own address. */
    if (conf->upstream_helo[0])
        slice_copy(slice_of(conf->upstream_helo), settings->upstream_helo,
                   sizeof(settings->upstream_helo));
    else if (strchr(settings->hostname, '.'))
        slice_copy(slice_of(settings->hostname), settings->upstream_helo,
                   sizeof(settings->upstream_helo));
}

static bool take_ranges(struct settings *settings, struct reason *why)
{
    for (size_t i = 0; i < settings->conf->trusted_count; i++) {
        if (!net_range_parse(slice_of(settings->conf->trusted_clients[i]), &settings->trusted[i],
                             why))
            return false;
        settings->trusted_count++;
    }
    return true;
}

struct settings *settings_new(const struct ipc_config *config, struct reason *why)
{
    struct settings *settings = calloc(1, sizeof(*settings));

    if (!settings) {
        reason_set(why, "out of memory");
        return NULL;
    }
    atomic_init(&settings->refs, 1);
    settings->conf = conf_read(config->options, why);
    if (!settings->conf || !take_ranges(settings, why))
        goto fail;
    settings->client_tls = tls_client_context(config->ca_pem, why);
    if (!settings->client_tls)
        goto fail;
    if (config->cert_pem.len) {
        settings->server_tls = tls_server_context(config->cert_pem, config->key_pem, why);
        if (!settings->server_tls)
            goto fail;
    }
    choose_names(settings);
    return settings;
fail:
    settings_unref(settings);
    return NULL;
}
