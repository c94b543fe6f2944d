/* The control port: what has happened, and what shall happen. All JSON. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "sim/access_token.h"
#include "sim/authorize_errors.h"
#include "sim/files.h"
#include "sim/session.h"
#include "sim/token_errors.h"

#define MESSAGES_LIMIT 1000

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

static json_t *parse(const struct http_request *request, struct http_reply *reply)
{
    json_error_t error;
    json_t *body =
        json_loadb(request->body.ptr ? request->body.ptr : "", request->body.len, 0, &error);

    if (!body)
        refuse(reply, 400, error.text);
    return body;
}

/* The account that a body names as "user"; refuses an unknown one. */
static struct account *named_user(const struct http_request *request, const json_t *body,
                                  struct http_reply *reply)
{
    const char *name = json_string_value(json_object_get(body, "user"));
    struct account *account = name ? accounts_find(&request->sim->accounts, slice_of(name)) : NULL;

    if (!account)
        refuse(reply, 404, "\"user\" names no account");
    return account;
}

static json_t *show_errors(const struct sim *sim)
{
    uint64_t first = sim->error_count > SIM_ERRORS ? sim->error_count - SIM_ERRORS : 0;
    json_t *out = json_array();

    for (uint64_t i = first; i < sim->error_count; i++)
        json_array_append_new(out, json_string(sim->errors[i % SIM_ERRORS]));
    return out;
}

/* All users, or the one of ?user=; with "" none, which is short. */
static json_t *show_users(struct sim *sim, const char *only)
{
    struct account *account, *next;
    json_t *users = json_object();

    HASH_ITER (hh, sim->accounts.by_email, account, next) {
        if (!only || strcmp(only, account->email) == 0)
            json_object_set_new(users, account->email, stats_show(&account->stats));
    }
    return users;
}

static void get_state(const struct http_request *request, struct http_reply *reply)
{
    struct sim *sim = request->sim;
    json_t *users = show_users(sim, http_query(request, "user"));

    answer(reply, json_pack("{s:o, s:i, s:I, s:I, s:o, s:o}", "totals", stats_show(&sim->totals),
                            "sessions", (int)sim->sessions.count, "connections_accepted",
                            (json_int_t)sim->connections, "last_seq",
                            (json_int_t)recorder_last(&sim->recorder), "errors", show_errors(sim),
                            "users", users));
}

static void delete_state(const struct http_request *request, struct http_reply *reply)
{
    struct sim *sim = request->sim;
    struct account *account, *next;

    HASH_ITER (hh, sim->accounts.by_email, account, next) {
        stats_reset(&account->stats);
    }
    stats_reset(&sim->totals);
    sim->error_count = 0;
    (void)reply;
}

static uint64_t query_number(const struct http_request *request, const char *name, uint64_t value)
{
    const char *text = http_query(request, name);

    if (text)
        slice_to_u64(slice_of(text), &value);
    return value;
}

static void get_messages(const struct http_request *request, struct http_reply *reply)
{
    const struct recorder *recorder = &request->sim->recorder;
    uint64_t since = query_number(request, "since", 0);
    uint64_t limit = query_number(request, "limit", MESSAGES_LIMIT);
    json_t *messages = recorder_show(recorder, since, limit);
    size_t count = json_array_size(messages);
    json_t *last = count ? json_array_get(messages, count - 1) : NULL;
    json_int_t next = last ? json_integer_value(json_object_get(last, "seq")) : (json_int_t)since;

    answer(reply, json_pack("{s:o, s:I, s:I}", "messages", messages, "next", next, "last_seq",
                            (json_int_t)recorder_last(recorder)));
}

static void delete_messages(const struct http_request *request, struct http_reply *reply)
{
    recorder_forget(&request->sim->recorder);
    (void)reply;
}

static void knobs_changed(struct sim *sim)
{
    list_foreach_safe (&sim->sessions, node)
        session_knobs_changed(container_of(node, struct session, node));
}

static void get_knobs(const struct http_request *request, struct http_reply *reply)
{
    struct sim *sim = request->sim;
    struct account *account, *next;
    struct client *client, *other;
    json_t *users = json_object(), *clients = json_object();

    HASH_ITER (hh, sim->accounts.by_email, account, next) {
        if (account->knobs)
            json_object_set_new(users, account->email, knobs_show(account->knobs));
    }
    HASH_ITER (hh, sim->clients.by_id, client, other) {
        if (client->knobs)
            json_object_set_new(clients, client->id, knobs_show(client->knobs));
    }
    answer(reply,
           json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "global", knobs_show(&sim->knobs), "users",
                     users, "clients", clients, "help", knobs_describe(), "token_errors",
                     token_error_names(), "authorize_errors", authorize_error_names()));
}

static struct knobs *knobs_of_scope(struct sim *sim, const json_t *body)
{
    const char *scope = json_string_value(json_object_get(body, "scope"));
    struct account *account;
    struct client *client;

    if (!scope || strcmp(scope, "global") == 0)
        return &sim->knobs;
    account = accounts_find(&sim->accounts, slice_of(scope));
    if (account)
        return account_own_knobs(account);
    client = clients_find(&sim->clients, slice_of(scope));
    return client ? client_own_knobs(client) : NULL;
}

static void post_knobs(const struct http_request *request, struct http_reply *reply)
{
    json_t *body = parse(request, reply);
    struct knobs *knobs = body ? knobs_of_scope(request->sim, body) : NULL;
    struct reason why;

    if (body && !knobs)
        refuse(reply, 404, "\"scope\" is neither global nor an account nor a client_id");
    else if (body && !knobs_apply(knobs, body, &why))
        refuse(reply, 400, why.text);
    else if (body)
        knobs_changed(request->sim);
    json_decref(body);
}

static void delete_knobs(const struct http_request *request, struct http_reply *reply)
{
    struct sim *sim = request->sim;
    struct account *account, *next;
    struct client *client, *other;

    HASH_ITER (hh, sim->accounts.by_email, account, next) {
        if (account->knobs)
            knobs_clear(account->knobs);
    }
    HASH_ITER (hh, sim->clients.by_id, client, other) {
        if (client->knobs)
            knobs_clear(client->knobs);
    }
    knobs_clear(&sim->knobs);
    knobs_changed(sim);
    (void)reply;
}

static void get_accounts(const struct http_request *request, struct http_reply *reply)
{
    answer(reply, files_accounts(request->sim));
}

static const char *text_of(const json_t *body, const char *name)
{
    return json_string_value(json_object_get(body, name));
}

static bool add_account(struct sim *sim, const json_t *body, struct http_reply *reply)
{
    const char *email = text_of(body, "email"), *name = text_of(body, "provider");
    const struct profile *profile = name ? profile_find(name) : sim->options.profile;
    struct account *account = NULL;

    if (!email || !profile) {
        refuse(reply, 400, "an account needs \"email\"; \"provider\" is gmail or outlook");
        return false;
    }
    if (!accounts_find(&sim->accounts, slice_of(email)))
        account = accounts_add(&sim->accounts, email, profile,
                               clients_need(&sim->clients, profile, text_of(body, "client_id"),
                                            text_of(body, "client_secret")));
    if (!account || !account_new_grant(&sim->accounts, account, text_of(body, "refresh_token"))) {
        refuse(reply, 409, "there is such an account, or such a refresh token");
        return false;
    }
    return true;
}

/* One account or an array of them; answers what GET /accounts would for all. */
static void post_accounts(const struct http_request *request, struct http_reply *reply)
{
    json_t *body = parse(request, reply), *item;
    bool ok = body != NULL;
    size_t i;

    if (json_is_array(body)) {
        json_array_foreach(body, i, item)
        {
            ok = ok && add_account(request->sim, item, reply);
        }
    } else if (body) {
        ok = add_account(request->sim, body, reply);
    }
    json_decref(body);
    if (ok)
        get_accounts(request, reply);
}

/* {"user": u, "what": "access" | "refresh" | "all"}, or {"client": id}: what it
 * has without a user. */
static void post_revoke(const struct http_request *request, struct http_reply *reply)
{
    json_t *body = parse(request, reply);
    const char *id = body ? text_of(body, "client") : NULL;
    struct client *client = id ? clients_find(&request->sim->clients, slice_of(id)) : NULL;
    struct account *account = body && !client ? named_user(request, body, reply) : NULL;
    const char *what = body ? text_of(body, "what") : NULL;

    if (client)
        accesses_forget(&request->sim->accounts, &client->accesses);
    if (account && (!what || strcmp(what, "refresh") != 0))
        accesses_forget(&request->sim->accounts, &account->accesses);
    if (account && (!what || strcmp(what, "access") != 0))
        account_revoke_grants(account, NULL);
    json_decref(body);
}

static struct access *give_token(struct sim *sim, struct account *account, uint64_t seconds)
{
    struct access_order order = {.account = account,
                                 .client = account->client,
                                 .knobs = sim_token_scope(sim, account->client, account),
                                 .seconds = (int64_t)seconds,
                                 .expires_ms = clock_wall_ms() + seconds * 1000};
    struct scope scope;

    scope_read(account->profile, NULL, &scope);
    order.scope = &scope;
    return access_issue(sim, &order);
}

/* {"user": u, "expires_in": seconds}: a token without the token endpoint. */
static void post_tokens(const struct http_request *request, struct http_reply *reply)
{
    json_t *body = parse(request, reply);
    struct account *account = body ? named_user(request, body, reply) : NULL;
    const json_t *given = body ? json_object_get(body, "expires_in") : NULL;
    uint64_t seconds = json_is_integer(given) ? (uint64_t)json_integer_value(given) : 3600;

    if (account)
        answer(reply, json_pack("{s:s}", "access_token",
                                give_token(request->sim, account, seconds)->token));
    json_decref(body);
}

static bool disconnect_one(struct session *session, const char *how)
{
    enum out_kind kind = OUT_FINISH;

    if (!session->conn || session->ended)
        return false;
    session->flight_us = clock_us();
    if (strcmp(how, "goodbye") == 0)
        session_reply(session, REPLY_GOODBYE);
    else if (strcmp(how, "idle") == 0)
        session_reply(session, REPLY_IDLE);
    else if (strcmp(how, "drop") == 0)
        kind = OUT_DROP;
    else if (strcmp(how, "reset") == 0)
        kind = OUT_RESET;
    session_end(session, kind);
    outbox_release(session);
    return true;
}

/* {"user": u or absent: all, "how": "close" | "drop" | "reset" | "goodbye" |
 * "idle"}: what a provider does to idle connections. */
static void post_disconnect(const struct http_request *request, struct http_reply *reply)
{
    json_t *body = parse(request, reply);
    const char *how = body ? text_of(body, "how") : NULL;
    const char *user = body ? text_of(body, "user") : NULL;
    int count = 0;

    if (!body)
        return;
    list_foreach_safe (&request->sim->sessions, node) {
        struct session *session = container_of(node, struct session, node);

        if (!user || (session->user && strcmp(session->user->email, user) == 0))
            count += disconnect_one(session, how ? how : "close");
    }
    answer(reply, json_pack("{s:i}", "disconnected", count));
    json_decref(body);
}

const struct http_route http_control_routes[] = {
    {"GET", "/state", get_state},
    {"DELETE", "/state", delete_state},
    {"GET", "/messages", get_messages},
    {"DELETE", "/messages", delete_messages},
    {"GET", "/knobs", get_knobs},
    {"POST", "/knobs", post_knobs},
    {"DELETE", "/knobs", delete_knobs},
    {"GET", "/accounts", get_accounts},
    {"POST", "/accounts", post_accounts},
    {"POST", "/revoke-tokens", post_revoke},
    {"POST", "/tokens", post_tokens},
    {"POST", "/disconnect", post_disconnect},
    {"GET", "/clients", http_get_clients},
    {"POST", "/clients", http_post_clients},
    {"GET", "/devices", http_get_devices},
    {"POST", "/devices", http_post_devices},
    {"GET", "/introspect", http_introspect},
    {"POST", "/introspect", http_introspect},
    {NULL, NULL, NULL},
};
