#include "sim/tokens_file.h"

#include <stdlib.h>

#include "sim/files.h"

#define NAME "tokens.json"

static json_t *show_grants(const struct account *account)
{
    json_t *out = json_array();

    list_foreach (&account->grants, node) {
        const struct grant *grant = container_of(node, struct grant, node);

        json_array_append_new(out, json_pack("[s, i, s, s, I]", grant->token, (int)grant->state,
                                             grant->client->id, grant->scope ? grant->scope : "",
                                             (json_int_t)grant->expires_ms));
    }
    return out;
}

static json_t *show_accesses(const struct list *kept)
{
    json_t *out = json_array();

    list_foreach (kept, node) {
        const struct access *access = container_of(node, struct access, node);

        json_array_append_new(out, json_pack("[s, I, s, b]", access->token,
                                             (json_int_t)access->expires_ms, access->client->id,
                                             (int)access->smtp));
    }
    return out;
}

static json_t *show_account(const struct account *account)
{
    return json_pack("{s:s, s:s, s:s, s:o, s:o}", "email", account->email, "provider",
                     account->profile->provider, "client_id", account->client->id, "refresh",
                     show_grants(account), "access", show_accesses(&account->accesses));
}

/* A public one's secret is "", else one would be made up. */
static json_t *show_client(const struct client *client)
{
    json_t *out = client_show(client);

    if (!client->secret)
        json_object_set_new(out, "client_secret", json_string(""));
    json_object_set_new(out, "access", show_accesses(&client->accesses));
    return out;
}

static json_t *show(const struct sim *sim)
{
    json_t *clients = json_array(), *accounts = json_array();
    struct account *account, *next;
    struct client *client, *other;

    HASH_ITER (hh, sim->clients.by_id, client, other) {
        json_array_append_new(clients, show_client(client));
    }
    HASH_ITER (hh, sim->accounts.by_email, account, next) {
        json_array_append_new(accounts, show_account(account));
    }
    return json_pack("{s:o, s:o}", "clients", clients, "accounts", accounts);
}

bool tokens_save(struct sim *sim, struct reason *why)
{
    json_t *all = show(sim);
    char *text = json_dumps(all, JSON_COMPACT);
    bool ok = text && file_write(sim->options.state_dir, NAME, slice_of(text), why);

    free(text);
    json_decref(all);
    return ok;
}

static bool take_grants(struct sim *sim, struct account *account, const json_t *grants)
{
    size_t i;
    json_t *item;

    json_array_foreach(grants, i, item)
    {
        const char *token, *id, *scope;
        json_int_t expires;
        int state;
        struct client *client;
        struct grant *grant;

        if (json_unpack(item, "[s, i, s, s, I]", &token, &state, &id, &scope, &expires) != 0)
            return false;
        client = clients_find(&sim->clients, slice_of(id));
        grant = client ? account_new_grant_for(&sim->accounts, account, client, token,
                                               *scope ? scope : NULL)
                       : NULL;
        if (!grant)
            return false;
        grant->state = (enum grant_state)state;
        grant->expires_ms = (uint64_t)expires;
    }
    return true;
}

static bool take_accesses(struct sim *sim, struct account *account, const json_t *tokens)
{
    size_t i;
    json_t *item;

    json_array_foreach(tokens, i, item)
    {
        const char *token, *id;
        json_int_t expires;
        int smtp;
        struct client *client;

        if (json_unpack(item, "[s, I, s, b]", &token, &expires, &id, &smtp) != 0)
            return false;
        client = clients_find(&sim->clients, slice_of(id));
        if (!client)
            return false;
        accounts_add_access(&sim->accounts, account, client, token, (uint64_t)expires)->smtp = smtp;
    }
    return true;
}

static bool take_account(struct sim *sim, json_t *record)
{
    const char *email, *provider, *client_id;
    json_t *grants, *accesses;
    const struct profile *profile;
    struct client *client;
    struct account *account;

    if (json_unpack(record, "{s:s, s:s, s:s, s:o, s:o}", "email", &email, "provider", &provider,
                    "client_id", &client_id, "refresh", &grants, "access", &accesses) != 0)
        return false;
    profile = profile_find(provider);
    client = clients_find(&sim->clients, slice_of(client_id));
    if (!profile || !client)
        return false;
    account = accounts_add(&sim->accounts, email, profile, client);
    return account && take_grants(sim, account, grants) && take_accesses(sim, account, accesses);
}

static bool take_client(struct sim *sim, json_t *record, struct reason *why)
{
    const char *id, *provider, *secret;
    const struct profile *profile;
    struct client *client;

    if (json_unpack(record, "{s:s, s:s, s:s}", "client_id", &id, "provider", &provider,
                    "client_secret", &secret) != 0)
        return false;
    profile = profile_find(provider);
    if (!profile)
        return false;
    client = clients_need(&sim->clients, profile, id, secret);
    return client_change(client, record, why) &&
           take_accesses(sim, NULL, json_object_get(record, "access"));
}

static bool take_all(struct sim *sim, const json_t *all, struct reason *why)
{
    json_t *record;
    size_t i;

    json_array_foreach(json_object_get(all, "clients"), i, record)
    {
        if (!take_client(sim, record, why))
            return false;
    }
    json_array_foreach(json_object_get(all, "accounts"), i, record)
    {
        if (!take_account(sim, record))
            return false;
    }
    return json_is_object(all);
}

bool tokens_load(struct sim *sim, struct reason *why)
{
    const char *dir = sim->options.state_dir;
    char *text = file_exists(dir, NAME) ? file_read(dir, NAME, why) : NULL;
    json_t *all = text ? json_loads(text, 0, NULL) : NULL;
    bool ok = all ? take_all(sim, all, why) : !file_exists(dir, NAME);

    json_decref(all);
    free(text);
    return ok || reason_set(why, "%s/" NAME " is not what was written there", dir);
}
