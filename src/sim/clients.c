#include "sim/clients.h"

#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>

#include "sim/random.h"

#define JTIS_KEPT 4096

struct jti {
    UT_hash_handle hh;
    char id[];
};

static void forget_jtis(struct client *client)
{
    struct jti *jti, *next;

    HASH_ITER (hh, client->seen, jti, next) {
        HASH_DEL(client->seen, jti);
        free(jti);
    }
}

static void client_free(struct client *client)
{
    forget_jtis(client);
    if (client->knobs)
        knobs_clear(client->knobs);
    free(client->knobs);
    EVP_PKEY_free(client->key);
    json_decref(client->redirects);
    json_decref(client->roles);
    json_decref(client->mailboxes);
    free(client->id);
    free(client->name);
    free(client->certificate);
    free(client->secret);
    free(client->secret_expires);
    free(client);
}

void clients_clear(struct clients *clients)
{
    struct client *client, *next;

    HASH_ITER (hh, clients->by_id, client, next) {
        HASH_DEL(clients->by_id, client);
        client_free(client);
    }
}

static char *made_up_id(const struct profile *profile)
{
    char random[33], out[128];

    random_hex(random, 32);
    ascii_lower_in_place(random);
    if (profile == &profile_gmail)
        snprintf(out, sizeof(out), "123456789012-%s.apps.googleusercontent.com", random);
    else
        snprintf(out, sizeof(out), "%.8s-%.4s-%.4s-%.4s-%.12s", random, random + 8, random + 12,
                 random + 16, random + 20);
    return strdup(out);
}

static char *made_up_secret(const struct profile *profile)
{
    char out[48] = "GOCSPX-";

    if (!profile->needs_secret)
        return NULL;
    random_text(out + 7, 28);
    return strdup(out);
}

struct client *clients_find(struct clients *clients, struct slice id)
{
    struct client *client;

    HASH_FIND(hh, clients->by_id, id.ptr, id.len, client);
    return client;
}

static void set_text(char **field, const char *text)
{
    free(*field);
    *field = text && *text ? strdup(text) : NULL;
}

struct client *clients_need(struct clients *clients, const struct profile *profile, const char *id,
                            const char *secret)
{
    struct client *client = id ? clients_find(clients, slice_of(id)) : NULL;

    if (!client) {
        client = calloc(1, sizeof(*client));
        client->id = id ? strdup(id) : made_up_id(profile);
        client->profile = profile;
        client->secret = secret ? NULL : made_up_secret(profile);
        list_init(&client->accesses);
        HASH_ADD_KEYPTR(hh, clients->by_id, client->id, strlen(client->id), client);
    }
    if (secret)
        set_text(&client->secret, secret);
    return client;
}

bool client_is_public(const struct client *client)
{
    return !client->secret && !client->key;
}

static X509 *read_certificate(const char *pem)
{
    BIO *in = BIO_new_mem_buf(pem, -1);
    X509 *cert = PEM_read_bio_X509(in, NULL, NULL, NULL);

    BIO_free(in);
    return cert;
}

bool client_set_certificate(struct client *client, const char *pem, struct reason *why)
{
    X509 *cert = *pem ? read_certificate(pem) : NULL;

    if (*pem && !cert)
        return reason_set(why, "\"certificate\" is not a certificate in PEM");
    EVP_PKEY_free(client->key);
    client->key = cert ? X509_get_pubkey(cert) : NULL;
    set_text(&client->certificate, pem);
    if (cert) {
        X509_digest(cert, EVP_sha1(), client->sha1, NULL);
        X509_digest(cert, EVP_sha256(), client->sha256, NULL);
    }
    X509_free(cert);
    return true;
}

struct knobs *client_own_knobs(struct client *client)
{
    if (!client->knobs)
        client->knobs = calloc(1, sizeof(*client->knobs));
    return client->knobs;
}

static bool lists(const json_t *array, const char *text)
{
    size_t i;
    json_t *item;

    json_array_foreach(array, i, item)
    {
        if (strcmp(json_string_value(item), text) == 0)
            return true;
    }
    return false;
}

bool client_may_open(const struct client *client, const char *email)
{
    return !client->mailboxes || lists(client->mailboxes, email);
}

bool client_has_role(const struct client *client, const char *role)
{
    return client->roles ? lists(client->roles, role) : strcmp(role, "SMTP.SendAsApp") == 0;
}

bool client_take_jti(struct client *client, const char *id)
{
    size_t len = strlen(id);
    struct jti *jti;

    HASH_FIND(hh, client->seen, id, len, jti);
    if (jti)
        return false;
    if (HASH_COUNT(client->seen) >= JTIS_KEPT)
        forget_jtis(client);
    jti = calloc(1, sizeof(*jti) + len + 1);
    memcpy(jti->id, id, len);
    HASH_ADD_KEYPTR(hh, client->seen, jti->id, len, jti);
    return true;
}

static void show_text(json_t *out, const char *name, const char *text)
{
    if (text)
        json_object_set_new(out, name, json_string(text));
}

json_t *client_show(const struct client *client)
{
    json_t *out =
        json_pack("{s:s, s:s}", "client_id", client->id, "provider", client->profile->provider);

    show_text(out, "name", client->name);
    show_text(out, "client_secret", client->secret);
    show_text(out, "secret_expires", client->secret_expires);
    show_text(out, "certificate", client->certificate);
    if (client->disabled)
        json_object_set_new(out, "disabled", json_true());
    if (client->redirects)
        json_object_set(out, "redirect_uris", client->redirects);
    if (client->roles)
        json_object_set(out, "roles", client->roles);
    if (client->mailboxes)
        json_object_set(out, "mailboxes", client->mailboxes);
    return out;
}

static bool are_texts(const json_t *array)
{
    size_t i;
    json_t *item;

    json_array_foreach(array, i, item)
    {
        if (!json_is_string(item))
            return false;
    }
    return json_is_array(array);
}

/* null: back to what holds without the list. */
static bool take_list(json_t **field, const json_t *fields, const char *name, struct reason *why)
{
    json_t *value = json_object_get(fields, name);

    if (!value)
        return true;
    if (!json_is_null(value) && !are_texts(value))
        return reason_set(why, "\"%s\" is an array of texts, or null", name);
    json_decref(*field);
    *field = json_is_null(value) ? NULL : json_incref(value);
    return true;
}

static void take_text(char **field, const json_t *fields, const char *name)
{
    const json_t *value = json_object_get(fields, name);

    if (value)
        set_text(field, json_string_value(value));
}

bool client_change(struct client *client, const json_t *fields, struct reason *why)
{
    const char *pem = json_string_value(json_object_get(fields, "certificate"));
    const char *expires = json_string_value(json_object_get(fields, "secret_expires"));

    if (expires && *expires && !knob_is_date(expires))
        return reason_set(why, "\"secret_expires\" is a date: 2026-12-31");
    if (!take_list(&client->redirects, fields, "redirect_uris", why) ||
        !take_list(&client->roles, fields, "roles", why) ||
        !take_list(&client->mailboxes, fields, "mailboxes", why) ||
        (pem && !client_set_certificate(client, pem, why)))
        return false;
    take_text(&client->name, fields, "name");
    take_text(&client->secret, fields, "client_secret");
    take_text(&client->secret_expires, fields, "secret_expires");
    if (json_object_get(fields, "disabled"))
        client->disabled = json_is_true(json_object_get(fields, "disabled"));
    return true;
}
