#include "sim/tokens_file.h"

#include <stdlib.h>

#include "sim/files.h"

#define NAME "tokens.json"

static json_t *show_grants(const struct account *account)
{
    json_t *out = json_array();

    list_foreach (&account->grants, node) {
        const struct grant *grant = container_of(node, struct grant, node);

        json_array_append_new(out, json_pack("[s, i]", grant->token, (int)grant->state));
    }
    return out;
}

static json_t *show_accesses(const struct account *account)
{
    json_t *out = json_array();

    list_foreach (&account->accesses, node) {
        const struct access *access = container_of(node, struct access, node);

        json_array_append_new(out,
                              json_pack("[s, I]", access->token, (json_int_t)access->expires_ms));
    }
    return out;
}

static json_t *show(const struct account *account)
{
    const char *secret = account->client_secret ? account->client_secret : "";

    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o}", "email", account->email, "provider",
                     account->profile->provider, "client_id", account->client_id, "client_secret",
                     secret, "refresh", show_grants(account), "access", show_accesses(account));
}

bool tokens_save(struct accounts *accounts, const char *dir, struct reason *why)
{
    struct account *account, *next;
    json_t *all = json_array();
    char *text;
    bool ok;

    HASH_ITER (hh, accounts->by_email, account, next) {
        json_array_append_new(all, show(account));
    }
    text = json_dumps(all, JSON_COMPACT);
    ok = text && file_write(dir, NAME, slice_of(text), why);
    free(text);
    json_decref(all);
    return ok;
}

static void take_grants(struct accounts *accounts, struct account *account, const json_t *grants)
{
    size_t i;
    json_t *item;

    json_array_foreach(grants, i, item)
    {
        const char *token;
        int state;

        if (json_unpack(item, "[s, i]", &token, &state) == 0)
            account_new_grant(accounts, account, token)->state = (enum grant_state)state;
    }
}

static void take_accesses(struct accounts *accounts, struct account *account, const json_t *tokens)
{
    size_t i;
    json_t *item;

    json_array_foreach(tokens, i, item)
    {
        const char *token;
        json_int_t expires;

        if (json_unpack(item, "[s, I]", &token, &expires) == 0)
            account_add_access(accounts, account, token, (uint64_t)expires);
    }
}

static bool take(struct accounts *accounts, json_t *record)
{
    const char *email, *provider, *client_id, *secret;
    json_t *grants, *accesses;
    const struct profile *profile;
    struct account *account;

    if (json_unpack(record, "{s:s, s:s, s:s, s:s, s:o, s:o}", "email", &email, "provider",
                    &provider, "client_id", &client_id, "client_secret", &secret, "refresh",
                    &grants, "access", &accesses) != 0)
        return false;
    profile = profile_find(provider);
    account = profile ? accounts_add(accounts, email, profile, client_id, secret) : NULL;
    if (!account)
        return false;
    take_grants(accounts, account, grants);
    take_accesses(accounts, account, accesses);
    return true;
}

bool tokens_load(struct accounts *accounts, const char *dir, struct reason *why)
{
    char *text = file_exists(dir, NAME) ? file_read(dir, NAME, why) : NULL;
    json_t *all = text ? json_loads(text, 0, NULL) : NULL, *record;
    bool ok = all || !file_exists(dir, NAME);
    size_t i;

    json_array_foreach(all, i, record)
    {
        ok = ok && take(accounts, record);
    }
    json_decref(all);
    free(text);
    return ok || reason_set(why, "%s/" NAME " is not what was written there", dir);
}
