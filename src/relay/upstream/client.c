#include "relay/upstream/client_private.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "relay/upstream/capacity.h"
#include "relay/upstream/diagnosis.h"
#include "relay/upstream/pool.h"
#include "relay/upstream/probe.h"
#include "relay/upstream/tx.h"

#define QUIT_MS 2000
#define TOKEN_SPARE_MS 60000 /* what a token's last minute is not used for */

static const char *const state_names[CLIENT_STATES] = {
    "resolving", "dialing", "handshake", "greeting", "ehlo", "starttls",
    "handshake", "ehlo",    "auth",      "auth",     "auth", "idle",
    "busy",      "mail",    "resetting", "quitting", "gone",
};

static enum pool_list list_of(enum client_state state)
{
    if (state < CLIENT_IDLE)
        return POOL_DIALING;
    if (state == CLIENT_IDLE)
        return POOL_IDLE;
    return state == CLIENT_QUITTING ? POOL_DRAINING : POOL_BUSY;
}

static uint64_t *gauge_of(const struct client *client, enum client_state state)
{
    struct stats *stats = client->account->worker->stats;
    uint64_t *const gauges[POOL_LISTS] = {
        [POOL_DIALING] = &stats->upstream_dialing,
        [POOL_IDLE] = &stats->upstream_idle,
        [POOL_BUSY] = &stats->upstream_busy,
        [POOL_DRAINING] = &stats->upstream_draining,
    };

    return gauges[list_of(state)];
}

/* The one mover: state, list and gauge never disagree. */
void client_set_state(struct client *client, enum client_state state)
{
    struct account *account = client->account;

    if (list_node_linked(&client->pool_node)) {
        list_remove(&account->pool[list_of(client->state)], &client->pool_node);
        stats_sub(gauge_of(client, client->state), 1);
    }
    client->state = state;
    if (state != CLIENT_GONE) {
        list_push_head(&account->pool[list_of(state)], &client->pool_node);
        stats_add(gauge_of(client, state), 1);
    }
}

void client_bury(struct account_table *table)
{
    struct list_node *node;

    while ((node = list_pop_head(&table->gone))) {
        struct client *client = container_of(node, struct client, pool_node);

        endpoint_put(client->endpoint);
        free(client);
    }
}

void client_set_timeout(struct client *client, uint64_t ms)
{
    if (client->conn)
        conn_set_timeout(client->conn, ms);
}

bool client_write(struct client *client, const char *bytes, size_t len)
{
    return client->conn && conn_write(client->conn, bytes, len);
}

bool client_write_line(struct client *client, const char *line)
{
    char command[300];
    int len = snprintf(command, sizeof(command), "%s\r\n", line);

    return client_write(client, command, (size_t)len);
}

static void end_check(struct client *client)
{
    if (client->checked)
        client->account->checking = false;
    client->checked = false;
}

void client_let_go(struct client *client)
{
    struct account_table *table = client->account->table;

    attempts_dropped(client);
    endpoint_cancel(client->endpoint, &client->resolve);
    dial_cancel(&client->dial);
    if (client->conn && client->conn->ssl)
        tls_forget_peer(client->conn->ssl);
    /* To the provider too: a replacement beside one that it still reads from
     * would be one more than it allows. */
    conn_abort(&client->conn);
    smtp_reply_parser_clear(&client->parser);
    end_check(client);
    client_set_state(client, CLIENT_GONE);
    list_push_tail(&table->gone, &client->pool_node);
    loop_timer_set(&table->worker->loop, &table->bury, 0);
}

static void log_end(const struct client *client, const char *why)
{
    log_event(LOG_DEBUG, "upstream_closed", log_s("account", client->account->id),
              log_u("conn", client->serial), log_s("state", state_names[client->state]),
              log_u("uses", client->uses), log_s("reason", why));
}

void client_close(struct client *client, const char *why)
{
    if (client->state == CLIENT_GONE)
        return;
    if (client->diagnosis)
        diagnosis_lost(client, why);
    log_end(client, why);
    if (client->state >= CLIENT_IDLE)
        stats_add(&client->account->worker->stats->upstream_retired_total, 1);
    client_let_go(client);
}

/* From the connection's own events: the slot is free for a waiting job. */
static void close_and_make_room(struct client *client, const char *why)
{
    struct account *account = client->account;

    client_close(client, why);
    pool_room(account);
}

void client_quit(struct client *client, const char *why)
{
    if (client->state != CLIENT_IDLE && client->state != CLIENT_BUSY) {
        client_close(client, why);
        return;
    }
    log_end(client, why);
    stats_add(&client->account->worker->stats->upstream_retired_total, 1);
    client_set_state(client, CLIENT_QUITTING);
    client_set_timeout(client, QUIT_MS);
    if (!client_write_line(client, "QUIT")) {
        client_let_go(client);
    }
}

/* Where there is a newer token, a login with it is safer. Without one the
 * connection serves to the end: a login would be with the same token. */
static uint64_t token_spare(const struct client *client)
{
    const struct account *account = client->account;
    bool newest = client->token_serial == account->token_serial;

    return newest ? account->token_margin_ms : TOKEN_SPARE_MS;
}

bool client_fits(const struct client *client)
{
    const struct account *account = client->account;
    uint64_t now = loop_now(&account->worker->loop);

    return !account->removed && account_keeps_connections(account) &&
           client->generation == account->generation &&
           client->token_expires_wall_ms >
               loop_wall_ms(&account->worker->loop) + token_spare(client) &&
           now - client->born_ms < account->max_age_ms &&
           now - client->used_ms < account->idle_ms &&
           (!account->max_messages || client->uses < account->max_messages);
}

/* How long an idle connection may lie there: the nearest of its ends. */
static uint64_t idle_time(const struct client *client)
{
    const struct account *account = client->account;
    uint64_t age = loop_now(&account->worker->loop) - client->born_ms;
    uint64_t wall = loop_wall_ms(&account->worker->loop);
    uint64_t left = account->max_age_ms > age ? account->max_age_ms - age : 1;
    uint64_t last = wall + token_spare(client);

    if (left > account->idle_ms)
        left = account->idle_ms;
    if (client->token_expires_wall_ms < last + left)
        left = client->token_expires_wall_ms > last ? client->token_expires_wall_ms - last : 1;
    return left ? left : 1;
}

static void become_idle(struct client *client)
{
    client->used_ms = loop_now(&client->account->worker->loop);
    client_set_state(client, CLIENT_IDLE);
    client_set_timeout(client, idle_time(client));
    pool_client_ready(client);
}

void client_logged_in(struct client *client)
{
    struct account *account = client->account;

    if (client->more_input) {
        client_fail_text(client, PHASE_CONNECT, "an answer without a command");
        return;
    }
    account->rejections = 0;
    attempts_succeeded(client);
    client->resumed = SSL_session_reused(client->conn->ssl);
    stats_add(&account->worker->stats->upstream_logins_total, 1);
    stats_add(&account->worker->stats->upstream_tls_resumed_total, client->resumed);
    log_event(LOG_DEBUG, "upstream_ready", log_s("account", account->id),
              log_s("endpoint", client->endpoint->key), log_u("conn", client->serial),
              log_u("setup_ms", (clock_us() - client->born_us) / 1000),
              log_b("tls_resumed", client->resumed),
              log_b("chunking", client->caps.caps & SMTP_CAP_CHUNKING),
              log_b("pipelining", client->caps.caps & SMTP_CAP_PIPELINING));
    probe_logged_in(account);
    if (!client->diagnosis || !diagnosis_tries_sender(client))
        become_idle(client);
}

void client_lend(struct client *client, struct upstream_tx *tx)
{
    assert(client->state == CLIENT_IDLE);
    client->tx = tx;
    client->uses++;
    client_set_state(client, CLIENT_BUSY);
}

static void send_reset(struct client *client)
{
    client_set_state(client, CLIENT_RESETTING);
    client_set_timeout(client, worker_conf(client->account->worker)->upstream_command_ms);
    client_write_line(client, "RSET");
}

void client_release(struct client *client, bool reset)
{
    client->tx = NULL;
    if (client->more_input) {
        /* What comes next would be taken for the answer to the next command. */
        close_and_make_room(client, "an answer without a command");
        return;
    }
    if (reset)
        send_reset(client);
    else
        become_idle(client);
}

void client_check(struct client *client)
{
    assert(client->state == CLIENT_IDLE && !client->account->checking);
    client->checked = client->account->checking = true;
    send_reset(client);
}

void client_try_sender(struct client *client, const char *sender, bool utf8)
{
    char line[IPC_ID_MAX + 32];

    client_set_state(client, CLIENT_EXAMINED);
    client_set_timeout(client, worker_conf(client->account->worker)->upstream_command_ms);
    snprintf(line, sizeof(line), "MAIL FROM:<%s>%s", sender, utf8 ? " SMTPUTF8" : "");
    client_write_line(client, line);
}

static void on_sender_answered(struct client *client, struct smtp_reply *reply)
{
    struct account *account = client->account;
    struct verdict verdict = verdict_of(slice_of(account->provider), PHASE_MAIL, false, reply);

    if (client->diagnosis)
        diagnosis_sender_answered(client, &verdict, reply);
    account_apply(account, &verdict, reply);
    if (verdict.close)
        close_and_make_room(client, "MAIL refused");
    else
        client_release(client, true);
}

/* --- replies ----------------------------------------------------------------- */

static void on_reset(struct client *client, struct smtp_reply *reply)
{
    bool checked = client->checked;

    end_check(client);
    if (client->more_input || reply->code != 250) {
        close_and_make_room(client,
                            client->more_input ? "an answer without a command" : "RSET refused");
        return;
    }
    if (checked)
        probe_logged_in(client->account);
    become_idle(client);
}

/* Something said without being asked: a goodbye, usually. */
static void on_unsolicited(struct client *client, struct smtp_reply *reply)
{
    char line[300];

    smtp_reply_oneline(reply, line, sizeof(line));
    log_event(LOG_DEBUG, "upstream_goodbye", log_s("account", client->account->id),
              log_u("conn", client->serial), log_u("code", reply->code), log_s("text", line));
    stats_add(&client->account->worker->stats->upstream_evicted_total, 1);
    close_and_make_room(client, "goodbye from the provider");
}

static void take_reply(struct client *client, struct smtp_reply *reply)
{
    if (client->state < CLIENT_IDLE && setup_reply(client, reply))
        return;
    switch (client->state) {
    case CLIENT_BUSY:
        tx_reply(client->tx, reply);
        break;
    case CLIENT_EXAMINED:
        on_sender_answered(client, reply);
        break;
    case CLIENT_RESETTING:
        on_reset(client, reply);
        break;
    case CLIENT_QUITTING:
        close_and_make_room(client, "quit");
        break;
    default:
        on_unsolicited(client, reply);
        break;
    }
}

/* --- connection events ------------------------------------------------- */

/* Whatever it was about to be told: a lost connection is never an answer to
 * the login, which would stop all logins for a while. */
static void fail_unanswered(struct client *client, const char *why)
{
    char text[300];

    snprintf(text, sizeof(text), "%s (%s)", why, state_names[client->state]);
    client_fail_text(client, PHASE_CONNECT, text);
}

/* The connection has ended, or must. */
static void ended(struct client *client, const char *why, bool timeout)
{
    struct account *account = client->account;
    struct upstream_tx *tx = client->tx;

    if (client->state < CLIENT_IDLE) {
        fail_unanswered(client, why);
        return;
    }
    if (client->state == CLIENT_IDLE && !timeout)
        stats_add(&account->worker->stats->upstream_evicted_total, 1);
    client->tx = NULL;
    account->jobs++;
    if (tx) /* while the connection still knows what it has sent */
        tx_connection_lost(tx, why, timeout);
    client_close(client, why);
    account->jobs--;
    pool_room(account);
}

void client_give_up(struct client *client, const char *why)
{
    ended(client, why, true);
}

static bool out_of_step(struct client *client)
{
    /* Octets behind STARTTLS's answer came without TLS: an attack. */
    return client->state == CLIENT_HANDSHAKE;
}

static size_t on_data(struct conn *conn, struct slice bytes)
{
    struct client *client = conn->owner;
    size_t total = bytes.len;

    while (bytes.len && client->state != CLIENT_GONE) {
        struct smtp_reply reply;
        struct reason why = {""};
        size_t used = 0;
        int rc;

        if (out_of_step(client)) {
            client_fail_text(client, PHASE_STARTTLS, "plaintext behind the answer to STARTTLS");
            break;
        }
        smtp_reply_init(&reply);
        rc = smtp_reply_parse(&client->parser, bytes, &used, &reply, &why);
        bytes.ptr += used;
        bytes.len -= used;
        client->more_input = bytes.len > 0;
        if (rc < 0)
            ended(client, why.text, false);
        else if (rc > 0)
            take_reply(client, &reply);
        smtp_reply_clear(&reply);
    }
    if (client->state == CLIENT_IDLE && !smtp_reply_parser_idle(&client->parser))
        ended(client, "half an answer without a command", false);
    return total;
}

static void on_timeout(struct client *client)
{
    if (client->state == CLIENT_IDLE)
        client_quit(client, "idle or old");
    else
        ended(client, "no answer in time", true);
}

static void on_event(struct conn *conn, enum conn_event event)
{
    struct client *client = conn->owner;

    switch (event) {
    case CONN_SECURED:
        setup_secured(client);
        break;
    case CONN_DRAINED:
        if (client->tx)
            tx_drained(client->tx);
        break;
    case CONN_EOF:
        ended(client, "closed by the provider", false);
        break;
    case CONN_FAILED:
        ended(client, conn_error(conn), false);
        break;
    case CONN_TIMEOUT:
        on_timeout(client);
        break;
    }
}

const struct conn_handler client_handler = {on_data, on_event};
