#include "relay/fake_provider.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "relay/upstream/capacity.h"
#include "relay/upstream/pool.h"
#include "relay/upstream/probe.h"

struct fake_provider fake;

static struct conn no_conn; /* nothing is ever pending on it */

uint64_t fake_random(uint64_t below)
{
    return next_random(&fake.random) % below;
}

bool fake_chance(unsigned of_a_thousand)
{
    return fake_random(1000) < of_a_thousand;
}

static uint64_t now_of(const struct client *client)
{
    return loop_now(&client->account->worker->loop);
}

static struct fake_client *fake_of(struct client *client)
{
    return container_of(client, struct fake_client, client);
}

static void in(struct client *client, uint64_t ms)
{
    fake_of(client)->event_at = now_of(client) + ms;
}

/* --- what client.c does -------------------------------------------------------- */

static enum pool_list list_of(enum client_state state)
{
    if (state < CLIENT_IDLE)
        return POOL_DIALING;
    if (state == CLIENT_IDLE)
        return POOL_IDLE;
    return state == CLIENT_QUITTING ? POOL_DRAINING : POOL_BUSY;
}

void client_set_state(struct client *client, enum client_state state)
{
    struct account *account = client->account;

    if (list_node_linked(&client->pool_node))
        list_remove(&account->pool[list_of(client->state)], &client->pool_node);
    client->state = state;
    if (state != CLIENT_GONE)
        list_push_head(&account->pool[list_of(state)], &client->pool_node);
}

void client_bury(struct account_table *table)
{
    (void)table;
}

/* The flight is over for us; where all of it was sent and nothing refused, the
 * provider may have it all the same. */
static void flight_over(struct client *client, bool surely)
{
    struct fake_client *self = fake_of(client);
    uint64_t now = now_of(client);
    bool taken = surely || (self->content_sent && !self->refused && fake_random(2));

    if (self->began_at && taken) {
        uint64_t at = now - fake_random(now - self->began_at + 1);

        fake.taken++;
        if (fake.on_taken)
            fake.on_taken(client->account, at, self->recipients);
    }
    self->began_at = 0;
}

static void let_go(struct client *client)
{
    flight_over(client, false);
    attempts_dropped(client);
    if (client->checked)
        client->account->checking = false;
    client_set_state(client, CLIENT_GONE);
    endpoint_put(client->endpoint);
    fake_of(client)->used = false;
}

void client_close(struct client *client, const char *why)
{
    (void)why;
    if (client->state != CLIENT_GONE)
        let_go(client);
}

void client_quit(struct client *client, const char *why)
{
    if (client->state != CLIENT_IDLE && client->state != CLIENT_BUSY) {
        client_close(client, why);
        return;
    }
    flight_over(client, false);
    client_set_state(client, CLIENT_QUITTING);
    in(client, fake_random(2000));
}

void client_set_timeout(struct client *client, uint64_t ms)
{
    (void)client;
    (void)ms;
}

bool client_write(struct client *client, const char *bytes, size_t len)
{
    if (len > 4 && memcmp(bytes, "BDAT", 4) == 0)
        fake_of(client)->content_sent = true;
    return true;
}

bool client_fits(const struct client *client)
{
    const struct account *account = client->account;

    return !account->removed && account_keeps_connections(account) &&
           client->generation == account->generation &&
           now_of(client) - client->born_ms < account->max_age_ms &&
           (!account->max_messages || client->uses < account->max_messages);
}

static void become_idle(struct client *client)
{
    uint64_t age = now_of(client) - client->born_ms, most = client->account->max_age_ms;
    uint64_t left = most > age ? most - age : 1, idle = client->account->idle_ms;

    client->used_ms = now_of(client);
    client_set_state(client, CLIENT_IDLE);
    in(client, idle < left ? idle : left);
    if (fake_chance(fake.says_goodbye))
        in(client, fake_random(client->account->idle_ms));
    pool_client_ready(client);
}

void client_lend(struct client *client, struct upstream_tx *tx)
{
    struct fake_client *self = fake_of(client);

    assert(client->state == CLIENT_IDLE);
    client->tx = tx;
    client->uses++;
    client_set_state(client, CLIENT_BUSY);
    self->began_at = now_of(client);
    self->recipients = tx->job->envelope.count;
    self->refused = self->content_sent = false;
    if (fake.on_begin)
        fake.on_begin(tx);
    in(client, fake_random(200));
}

void client_release(struct client *client, bool reset)
{
    client->tx = NULL;
    flight_over(client, false);
    if (!reset) {
        become_idle(client);
        return;
    }
    client_set_state(client, CLIENT_RESETTING);
    in(client, fake_random(50));
}

/* No administrator asks here. */
struct client *client_open_for(struct account *account, struct diagnosis *diagnosis)
{
    (void)diagnosis;
    return client_open(account);
}

void client_try_sender(struct client *client, const char *sender, bool utf8)
{
    (void)client;
    (void)sender;
    (void)utf8;
    abort();
}

void client_give_up(struct client *client, const char *why)
{
    (void)client;
    (void)why;
    abort();
}

void client_check(struct client *client)
{
    client->checked = client->account->checking = true;
    client_set_state(client, CLIENT_RESETTING);
    in(client, fake_random(50));
}

struct client *client_open(struct account *account)
{
    struct fake_client *self = fake.clients;

    while (self < fake.clients + FAKE_CLIENTS && self->used)
        self++;
    assert(self < fake.clients + FAKE_CLIENTS);
    *self = (struct fake_client){.used = true};
    self->client = (struct client){.account = account,
                                   .endpoint = account->endpoint,
                                   .generation = account->generation,
                                   .token_serial = account->token_serial,
                                   .conn = &no_conn};
    self->client.endpoint->refs++;
    self->client.caps.caps = SMTP_CAP_PIPELINING | SMTP_CAP_CHUNKING | SMTP_CAP_8BITMIME;
    self->client.born_ms = now_of(&self->client);
    client_set_state(&self->client, CLIENT_DIALING);
    attempts_begin(&self->client);
    self->client.dial.asked = true;
    fake.opened++;
    fake.on_open(&self->client);
    in(&self->client, fake_random(100));
    return &self->client;
}

/* --- what the provider does ------------------------------------------------------ */

static void fail_setup(struct client *client, enum phase phase, int code, const char *text)
{
    struct account *account = client->account;
    struct smtp_reply reply;
    struct verdict verdict;

    smtp_reply_init(&reply);
    smtp_reply_set(&reply, code, (struct smtp_enhanced){(unsigned short)(code / 100), 7, 0}, text);
    verdict = verdict_of(slice_of(account->provider), phase, false, &reply);
    verdict_reply(&verdict, &reply, &account->last_failure);
    attempts_failed(client, phase, &verdict, &account->last_failure);
    let_go(client);
    pool_client_failed(client, phase, (unsigned)code, &verdict, &reply);
    smtp_reply_clear(&reply);
}

static void go_on_dialing(struct client *client)
{
    if (fake.down) {
        fail_setup(client, PHASE_CONNECT, 451, "down");
    } else if (client->state == CLIENT_DIALING) {
        client_set_state(client, CLIENT_AUTH);
        in(client, fake_random(400));
    } else if (fake_chance(fake.login_fails)) {
        if (fake_random(4))
            fail_setup(client, PHASE_AUTH, 454, "later");
        else
            fail_setup(client, PHASE_AUTH, 535, "bad token");
    } else {
        client->account->rejections = 0;
        attempts_succeeded(client);
        probe_logged_in(client->account);
        become_idle(client);
    }
}

static const char *some_refusal(bool final)
{
    static const char *const any[] = {"550 5.1.1 nobody", "451 4.3.0 later", "554 5.6.0 no",
                                      "550 5.4.5 Daily user sending limit exceeded",
                                      "421 4.7.0 closing"};

    if (final && fake_chance(fake.says_too_many))
        return "432 4.3.2 Concurrent connections limit exceeded";
    return fake_chance(fake.refuses) ? any[fake_random(COUNT_OF(any))] : NULL;
}

static void parse(const char *text, struct smtp_reply *reply)
{
    unsigned parts[4];

    sscanf(text, "%u %u.%u.%u", &parts[0], &parts[1], &parts[2], &parts[3]);
    smtp_reply_set(reply, (int)parts[0],
                   (struct smtp_enhanced){(unsigned short)parts[1], (unsigned short)parts[2],
                                          (unsigned short)parts[3]},
                   text + 10);
}

static void break_off(struct client *client)
{
    struct account *account = client->account;
    struct upstream_tx *tx = client->tx;

    client->tx = NULL;
    account->jobs++;
    if (tx)
        tx_connection_lost(tx, "broken", fake_random(2));
    client_close(client, "broken");
    account->jobs--;
    pool_room(account);
}

/* One reply to the oldest command that has none. */
static void answer(struct client *client)
{
    struct fake_client *self = fake_of(client);
    struct upstream_tx *tx = client->tx;
    bool final = tx->mail_done && tx->rcpts_done == tx->rcpts_sent;
    const char *text = self->refused ? "503 5.5.1 no" : some_refusal(final);
    struct smtp_reply reply;

    if (tx->state == TX_LIVE || (final && !self->content_sent)) {
        in(client, 60000); /* it waits for us */
        return;
    }
    self->refused = self->refused || text;
    if (final && !text)
        flight_over(client, true);
    else if (final)
        self->began_at = 0;
    smtp_reply_init(&reply);
    parse(text ? text : "250 2.0.0 OK", &reply);
    in(client, fake_random(final ? 1 : 300)); /* before the reply moves it on */
    tx_reply(tx, &reply);
    smtp_reply_clear(&reply);
}

static void on_reset(struct client *client)
{
    if (client->checked)
        client->account->checking = false;
    client->checked = false;
    become_idle(client);
}

static void act(struct client *client)
{
    switch (list_of(client->state)) {
    case POOL_DIALING:
        go_on_dialing(client);
        break;
    case POOL_IDLE:
        if (fake_random(2))
            client_quit(client, "idle");
        else
            break_off(client);
        break;
    case POOL_BUSY:
        if (fake_chance(fake.breaks))
            break_off(client);
        else if (client->state == CLIENT_RESETTING)
            on_reset(client);
        else
            answer(client);
        break;
    default:
        break_off(client);
        break;
    }
}

uint64_t fake_next(void)
{
    uint64_t next = UINT64_MAX;

    for (size_t i = 0; i < FAKE_CLIENTS; i++) {
        if (fake.clients[i].used && fake.clients[i].event_at < next)
            next = fake.clients[i].event_at;
    }
    return next;
}

void fake_run(uint64_t now)
{
    for (size_t i = 0; i < FAKE_CLIENTS; i++) {
        if (fake.clients[i].used && fake.clients[i].event_at <= now)
            act(&fake.clients[i].client);
    }
}
