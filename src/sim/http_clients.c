/* The control port's view of the OAuth side: applications, and device codes
 * that wait for a user. */
#include <stdio.h>
#include <stdlib.h>

#include "sim/sim.h"

static void answer(struct http_reply *reply, json_t *body)
{
    reply->body = json_dumps(body, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
    json_decref(body);
}

static void refuse(struct http_reply *reply, unsigned status, const char *why)
{
    reply->status = status;
    answer(reply, json_pack("{s:s}", "error", why));
}

static json_t *parse(const struct http_request *request)
{
    return json_loadb(request->body.ptr ? request->body.ptr : "", request->body.len, 0, NULL);
}

static const char *text_of(const json_t *body, const char *name)
{
    const char *text = json_string_value(json_object_get(body, name));

    return text ? text : "";
}

/* The keys' files come along: they are what the private halves are in. */
static json_t *show(const struct sim *sim, const struct client *client)
{
    json_t *out = client_show(client);

    if (!client->name)
        return out;
    if (strcmp(client->name, "service-account") == 0)
        json_object_set_new(out, "file",
                            json_sprintf("%s/service-account.json", sim->options.state_dir));
    if (strcmp(client->name, "confidential") == 0) {
        json_object_set_new(out, "key_file", json_sprintf("%s/app.pem", sim->options.state_dir));
        json_object_set_new(out, "certificate_file",
                            json_sprintf("%s/app.crt", sim->options.state_dir));
    }
    return out;
}

/* All that are not an account's own; those are in GET /accounts. */
void http_get_clients(const struct http_request *request, struct http_reply *reply)
{
    struct sim *sim = request->sim;
    struct client *client, *next;
    json_t *out = json_array();

    HASH_ITER (hh, sim->clients.by_id, client, next) {
        if (client->name)
            json_array_append_new(out, show(sim, client));
    }
    answer(reply, json_pack("{s:s, s:o}", "tenant", SIM_TENANT, "clients", out));
}

/* Makes an application, or changes the one that has this client_id. */
void http_post_clients(const struct http_request *request, struct http_reply *reply)
{
    struct sim *sim = request->sim;
    json_t *body = parse(request);
    const char *id = text_of(body, "client_id"), *provider = text_of(body, "provider");
    const struct profile *profile = *provider ? profile_find(provider) : sim->options.profile;
    struct client *client;
    struct reason why;

    if (!json_is_object(body) || !profile) {
        refuse(reply, 400, "an application is a JSON object; \"provider\" is gmail or outlook");
        json_decref(body);
        return;
    }
    client = clients_need(&sim->clients, profile, *id ? id : NULL,
                          json_string_value(json_object_get(body, "client_secret")));
    if (!client_change(client, body, &why))
        refuse(reply, 400, why.text);
    else
        answer(reply, show(sim, client));
    json_decref(body);
}

void http_get_devices(const struct http_request *request, struct http_reply *reply)
{
    answer(reply, devices_show(&request->sim->devices));
}

/* {"user_code": absent: the newest that waits, "user": u, "action": "allow" |
 * "decline" | "expire"} */
void http_post_devices(const struct http_request *request, struct http_reply *reply)
{
    struct sim *sim = request->sim;
    json_t *body = parse(request);
    struct device *device = devices_find_user_code(&sim->devices, text_of(body, "user_code"));
    struct account *account = accounts_find(&sim->accounts, slice_of(text_of(body, "user")));
    const char *action = text_of(body, "action");

    if (!device)
        refuse(reply, 404, "no such device code");
    else if (strcmp(action, "expire") == 0)
        device->state = DEVICE_EXPIRED;
    else if (strcmp(action, "decline") == 0)
        device_answer(device, NULL);
    else if (!account)
        refuse(reply, 404, "\"user\" names no account");
    else
        device_answer(device, account);
    json_decref(body);
}
