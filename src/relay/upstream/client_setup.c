/* The set-up of a connection, a function per step: from a name to a login. The last
 * step, AUTH, is in auth.c. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "relay/upstream/capacity.h"
#include "relay/upstream/client_private.h"
#include "relay/upstream/diagnosis.h"
#include "relay/upstream/pool.h"

/* --- failures ------------------------------------------------------------------ */

/* `code` 0: the reply is not the provider's. */
static void fail_with(struct client *client, enum phase phase, unsigned code,
                      const struct verdict *verdict, const struct smtp_reply *reply)
{
    struct account *account = client->account;
    char line[400];

    smtp_reply_oneline(reply, line, sizeof(line));
    stats_add(&account->worker->stats->upstream_dial_failed_total, 1);
    log_event(LOG_WARN, "upstream_failed", log_s("account", account->id),
              log_s("endpoint", client->endpoint->key), log_u("conn", client->serial),
              log_s("phase", phase_names[phase]), log_u("code", reply->code), log_s("reason", line),
              log_s("rule", verdict->rule));
    verdict_reply(verdict, reply, &account->last_failure);
    attempts_failed(client, phase, verdict, &account->last_failure);
    if (client->diagnosis)
        diagnosis_failed(client, phase, code, verdict, reply);
    client_let_go(client);
    pool_client_failed(client, phase, code, verdict, reply);
}

void client_fail(struct client *client, enum phase phase, struct smtp_reply *reply)
{
    struct verdict verdict = verdict_of(slice_of(client->account->provider), phase, false, reply);

    /* The failure's detail said that it is not about the token. */
    if (phase == PHASE_AUTH && client->failing_status) {
        verdict = (struct verdict){.class_ = VERDICT_PROVIDER_TRANSIENT,
                                   .rule = "auth_detail",
                                   .code = 454,
                                   .enhanced = {4, 7, 0},
                                   .close = true,
                                   .pause_logins = true,
                                   .for_ms = 60000};
    }
    if (verdict.class_ == VERDICT_OK)
        verdict = (struct verdict){.class_ = VERDICT_PROVIDER_TRANSIENT,
                                   .rule = "out_of_step",
                                   .code = 451,
                                   .enhanced = {4, 4, 0},
                                   .close = true};
    fail_with(client, phase, (unsigned)reply->code, &verdict, reply);
}

/* No reply of the provider, so nothing that it says of the account: whatever
 * the phase, this connection is what failed. */
void client_fail_text(struct client *client, enum phase phase, const char *text)
{
    static const struct verdict lost = {.class_ = VERDICT_PROVIDER_TRANSIENT,
                                        .rule = "no_answer",
                                        .code = 451,
                                        .enhanced = {4, 4, 1},
                                        .close = true};
    struct smtp_reply reply;

    smtp_reply_init(&reply);
    smtp_reply_set(&reply, 451, (struct smtp_enhanced){4, 4, 1}, text);
    fail_with(client, phase, 0, &lost, &reply);
    smtp_reply_clear(&reply);
}

/* --- steps --------------------------------------------------------------------- */

static void expect(struct client *client, enum client_state state)
{
    client_set_state(client, state);
    client_set_timeout(client, worker_conf(client->account->worker)->upstream_command_ms);
}

static void send_ehlo(struct client *client, enum client_state state)
{
    const char *name = client->account->worker->settings->upstream_helo;
    struct net_address local = {.len = sizeof(local.local)};
    char host[NET_ADDRESS_TEXT], line[300];

    if (name[0]) {
        snprintf(line, sizeof(line), "EHLO %s", name);
    } else {
        /* No full name is known: our address, as a literal. */
        getsockname(client->conn->fd, &local.any, &local.len);
        net_address_host(&local, host, sizeof(host));
        snprintf(line, sizeof(line), strchr(host, ':') ? "EHLO [IPv6:%s]" : "EHLO [%s]", host);
    }
    expect(client, state);
    client_write_line(client, line);
}

static bool is_implicit(const struct client *client)
{
    if (client->account->tls == CONF_UPSTREAM_BY_PORT)
        return client->endpoint->port == 465;
    return client->account->tls == CONF_UPSTREAM_IMPLICIT;
}

static void start_tls(struct client *client, enum client_state state)
{
    struct worker *worker = client->account->worker;
    SSL *ssl;

    expect(client, state);
    /* An administrator wants the certificate verified now, not some time ago. */
    ssl = tls_client(worker->settings->client_tls, client->endpoint->host,
                     client->diagnosis ? NULL : &client->endpoint->tls);
    if (client->diagnosis && ssl)
        diagnosis_watch(client, ssl);
    conn_start_tls(client->conn, ssl);
}

static void greeted(struct client *client, const struct smtp_reply *reply)
{
    bool secured = client->conn->tls == CONN_TLS;

    if (client->diagnosis)
        diagnosis_step(client, IPC_STEP_GREETING, reply);
    send_ehlo(client, secured ? CLIENT_EHLO_TLS : CLIENT_EHLO);
}

static void on_greeting(struct client *client, struct smtp_reply *reply)
{
    if (reply->code != 220)
        client_fail(client, PHASE_GREETING, reply);
    else
        greeted(client, reply);
}

static void on_ehlo_plain(struct client *client, struct smtp_reply *reply)
{
    if (reply->code != 250) {
        client_fail(client, PHASE_EHLO, reply);
        return;
    }
    smtp_caps_parse(reply, &client->caps);
    if (!(client->caps.caps & SMTP_CAP_STARTTLS)) {
        client_fail_text(client, PHASE_STARTTLS,
                         "the server does not offer STARTTLS; no credential was sent");
        return;
    }
    expect(client, CLIENT_STARTTLS);
    client_write_line(client, "STARTTLS");
}

static void on_starttls(struct client *client, struct smtp_reply *reply)
{
    if (reply->code != 220)
        client_fail(client, PHASE_STARTTLS, reply);
    else
        start_tls(client, CLIENT_HANDSHAKE);
}

static void on_ehlo_tls(struct client *client, struct smtp_reply *reply)
{
    if (reply->code != 250) {
        client_fail(client, PHASE_EHLO, reply);
        return;
    }
    smtp_caps_parse(reply, &client->caps);
    if (client->diagnosis)
        diagnosis_step(client, IPC_STEP_EHLO, reply);
    expect(client, CLIENT_AUTH);
    client_auth_begin(client);
}

void setup_secured(struct client *client)
{
    if (client->diagnosis)
        diagnosis_step(client, IPC_STEP_TLS, NULL);
    if (client->state == CLIENT_HANDSHAKE_FIRST)
        expect(client, CLIENT_GREETING);
    else
        send_ehlo(client, CLIENT_EHLO_TLS);
}

bool setup_reply(struct client *client, struct smtp_reply *reply)
{
    switch (client->state) {
    case CLIENT_GREETING:
        on_greeting(client, reply);
        break;
    case CLIENT_EHLO:
        on_ehlo_plain(client, reply);
        break;
    case CLIENT_STARTTLS:
        on_starttls(client, reply);
        break;
    case CLIENT_EHLO_TLS:
        on_ehlo_tls(client, reply);
        break;
    case CLIENT_AUTH:
    case CLIENT_AUTH_TOKEN:
    case CLIENT_AUTH_DETAIL:
        client_auth_reply(client, reply);
        break;
    default:
        return false;
    }
    return true;
}

/* --- from nothing to a connection ---------------------------------------------- */

static void on_connected(struct client *client)
{
    if (client->diagnosis)
        diagnosis_step(client, IPC_STEP_TCP, NULL);
    if (is_implicit(client))
        start_tls(client, CLIENT_HANDSHAKE_FIRST);
    else
        expect(client, CLIENT_GREETING);
}

static void on_dialed(struct dial *dial, int fd, const struct reason *why)
{
    struct client *client = dial->owner;

    if (fd < 0) {
        client_fail_text(client, PHASE_CONNECT, why->text);
    } else {
        client->conn = conn_open(&client->account->worker->loop, fd, &client_handler, client);
        if (client->conn)
            on_connected(client);
        else
            client_fail_text(client, PHASE_CONNECT, "out of memory");
    }
}

static void on_resolved(struct endpoint_waiter *waiter, const struct reason *why)
{
    struct client *client = container_of(waiter, struct client, resolve);
    struct account *account = client->account;

    if (why) {
        client_fail_text(client, PHASE_CONNECT, why->text);
        return;
    }
    if (client->diagnosis)
        diagnosis_step(client, IPC_STEP_DNS, NULL);
    client_set_state(client, CLIENT_DIALING);
    dial_start(&client->dial, client->endpoint->addresses, client->endpoint->address_count,
               &account->source, worker_conf(account->worker)->connect_timeout_ms, on_dialed);
}

struct client *client_open_for(struct account *account, struct diagnosis *diagnosis)
{
    struct client *client = calloc(1, sizeof(*client));

    if (!client)
        return NULL;
    client->account = account;
    client->endpoint = account->endpoint;
    client->endpoint->refs++;
    client->serial = ++account->worker->conn_serial * RELAY_WORKERS_MAX + account->worker->index;
    client->generation = account->generation;
    client->token_expires_wall_ms = account->token_expires_wall_ms;
    client->token_serial = account->token_serial;
    client->born_ms = loop_now(&account->worker->loop);
    client->born_us = clock_us();
    dial_init(&client->dial, &account->worker->loop, client);
    smtp_reply_parser_init(&client->parser);
    client->resolve.resolved = on_resolved;
    client_set_state(client, CLIENT_RESOLVING);
    attempts_begin(client);
    if (diagnosis)
        diagnosis_attach(diagnosis, client);
    stats_add(&account->worker->stats->upstream_dials_total, 1);
    endpoint_resolve(client->endpoint, &client->resolve);
    return client;
}

struct client *client_open(struct account *account)
{
    return client_open_for(account, NULL);
}
