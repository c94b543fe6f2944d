#include "relay/upstream/diagnosis.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "net/cert_facts.h"
#include "relay/request.h"
#include "relay/upstream/capacity.h"
#include "relay/upstream/client.h"
#include "relay/upstream/pool.h"

#define TRY_MS 60000 /* all steps of a connection */
#define EXPIRES_SOON_MS (14 * 86400000ull)
#define MOMENT_MS 250
/* Between trials of a server that fails, whichever of its accounts they are for. */
#define LEFT_ALONE_MS 1000

struct diagnosis {
    struct account *account;
    struct client *client; /* NULL: it waits, or is over */
    struct timer timer;
    uint64_t request;
    uint64_t mark_us; /* when the last step ended */
    unsigned told;    /* steps, a bit for each */
    bool over, ok;
    char why[400];
    char status[64];   /* of the failure's detail */
    char refusal[400]; /* of a token that another one shall replace */
    char sender[IPC_ID_MAX + 1];
    struct cert_facts faulty;
};

static void tell_done(struct worker *worker, uint64_t request, bool ok, const char *why)
{
    struct ipc_message message = {.type = IPC_DIAGNOSIS_DONE,
                                  .u.diagnosis_done = {request, ok, slice_of(why)}};

    tell_broker(worker, &message);
}

static bool is_told(const struct diagnosis *diagnosis, enum ipc_step step)
{
    return diagnosis->told & 1u << step;
}

static void tell(struct diagnosis *diagnosis, enum ipc_step step, enum ipc_step_result result,
                 const struct ipc_diagnosis_step *more, const char *text)
{
    struct ipc_message message = {.type = IPC_DIAGNOSIS_STEP};
    struct ipc_diagnosis_step *told = &message.u.diagnosis_step;
    uint64_t now = clock_us();

    if (is_told(diagnosis, step))
        return;
    diagnosis->told |= 1u << step;
    if (more)
        *told = *more;
    told->request = diagnosis->request;
    told->step = (uint8_t)step;
    told->result = (uint8_t)result;
    told->took_ms = (now - diagnosis->mark_us) / 1000;
    told->text = slice_of(text);
    if (told->text.len > IPC_TEXT_MAX)
        told->text.len = IPC_TEXT_MAX;
    diagnosis->mark_us = now;
    tell_broker(diagnosis->account->worker, &message);
}

void diagnosis_attach(struct diagnosis *diagnosis, struct client *client)
{
    diagnosis->client = client;
    client->diagnosis = diagnosis;
    loop_timer_set(&diagnosis->account->worker->loop, &diagnosis->timer, TRY_MS);
}

static void detach(struct diagnosis *diagnosis)
{
    struct client *client = diagnosis->client;

    if (!client)
        return;
    if (client->conn && client->conn->ssl)
        cert_facts_unwatch(client->conn->ssl);
    client->diagnosis = NULL;
    diagnosis->client = NULL;
}

/* The broker hears of it behind what the connection's end does to the account. */
static void finish(struct diagnosis *diagnosis, bool ok, const char *why)
{
    detach(diagnosis);
    if (diagnosis->over)
        return;
    diagnosis->over = true;
    diagnosis->ok = ok;
    slice_copy(slice_of(why), diagnosis->why, sizeof(diagnosis->why));
    loop_timer_set(&diagnosis->account->worker->loop, &diagnosis->timer, 0);
}

static void end(struct diagnosis *diagnosis)
{
    struct account *account = diagnosis->account;

    detach(diagnosis);
    loop_timer_cancel(&account->worker->loop, &diagnosis->timer);
    account->diagnosis = NULL;
    tell_done(account->worker, diagnosis->request, diagnosis->ok, diagnosis->why);
    free(diagnosis);
}

void diagnosis_fail(struct account *account, const char *why)
{
    if (account->diagnosis && !account->diagnosis->client)
        finish(account->diagnosis, false, why);
}

void diagnosis_abandon(struct account *account)
{
    if (account->diagnosis)
        end(account->diagnosis);
}

/* --- what is told of each step ------------------------------------------------------ */

static void add_addresses(struct text *text, const struct endpoint *endpoint)
{
    for (size_t i = 0; i < endpoint->address_count; i++) {
        char host[NET_ADDRESS_TEXT];

        net_address_host(&endpoint->addresses[i], host, sizeof(host));
        text_addf(text, "%s%s", i ? ", " : "", host);
    }
    text_addf(text, " for %s", endpoint->host);
}

static void add_ends(struct text *text, const struct conn *conn)
{
    struct net_address peer = {.len = sizeof(peer.local)}, own = {.len = sizeof(own.local)};
    char to[NET_ADDRESS_TEXT] = "?", from[NET_ADDRESS_TEXT] = "?";

    if (getpeername(conn->fd, &peer.any, &peer.len) == 0)
        net_address_format(&peer, to, sizeof(to));
    if (getsockname(conn->fd, &own.any, &own.len) == 0)
        net_address_host(&own, from, sizeof(from));
    text_addf(text, "connected to %s from %s", to, from);
}

/* A certificate that ends soon is worth a word. */
static enum ipc_step_result add_tls(struct text *text, const struct conn *conn)
{
    X509 *cert = SSL_get1_peer_certificate(conn->ssl);
    struct cert_facts facts;
    uint64_t now = clock_wall_ms();

    cert_facts_read(cert, &facts);
    X509_free(cert);
    text_addf(text, "%s, certificate %s", SSL_get_version(conn->ssl), facts.text);
    if (!facts.until_wall_ms || facts.until_wall_ms > now + EXPIRES_SOON_MS)
        return IPC_STEP_OK;
    text_addf(text, ": it ends in %u days",
              facts.until_wall_ms > now ? (unsigned)((facts.until_wall_ms - now) / 86400000) : 0);
    return IPC_STEP_WARNING;
}

static void add_lines(struct text *text, const struct smtp_reply *reply)
{
    text_addf(text, "%d ", reply->code);
    for (size_t i = 0; i < reply->text_len; i++) {
        if (reply->text[i] == '\n')
            text_add_str(text, ", ");
        else
            text_add_char(text, reply->text[i]);
    }
}

void diagnosis_step(struct client *client, enum ipc_step step, const struct smtp_reply *reply)
{
    struct ipc_diagnosis_step more = {.code = reply ? (uint32_t)reply->code : 0};
    enum ipc_step_result result = IPC_STEP_OK;
    char line[IPC_TEXT_MAX];
    struct text text;

    text_init(&text, line, sizeof(line));
    switch (step) {
    case IPC_STEP_DNS:
        add_addresses(&text, client->endpoint);
        break;
    case IPC_STEP_TCP:
        add_ends(&text, client->conn);
        break;
    case IPC_STEP_TLS:
        result = add_tls(&text, client->conn);
        break;
    case IPC_STEP_EHLO:
        add_lines(&text, reply);
        break;
    case IPC_STEP_GREETING:
    case IPC_STEP_AUTH:
    case IPC_STEP_MAIL:
    case IPC_STEPS:
        account_describe(reply, line, sizeof(line));
        break;
    }
    tell(client->diagnosis, step, result, &more, line);
}

void diagnosis_watch(struct client *client, SSL *ssl)
{
    cert_facts_watch(ssl, &client->diagnosis->faulty);
}

void diagnosis_detail(struct client *client, const char *status)
{
    slice_copy(slice_of(status), client->diagnosis->status, sizeof(client->diagnosis->status));
}

/* --- failures ----------------------------------------------------------------------- */

static enum ipc_step step_of(const struct client *client, enum phase phase)
{
    switch (client->state) {
    case CLIENT_RESOLVING:
        return IPC_STEP_DNS;
    case CLIENT_DIALING:
        return IPC_STEP_TCP;
    case CLIENT_HANDSHAKE_FIRST:
    case CLIENT_STARTTLS:
    case CLIENT_HANDSHAKE:
        return IPC_STEP_TLS;
    case CLIENT_GREETING:
        return IPC_STEP_GREETING;
    case CLIENT_EHLO: /* which may lack STARTTLS */
        return phase == PHASE_STARTTLS ? IPC_STEP_TLS : IPC_STEP_EHLO;
    case CLIENT_EHLO_TLS:
        return IPC_STEP_EHLO;
    case CLIENT_AUTH:
    case CLIENT_AUTH_TOKEN:
    case CLIENT_AUTH_DETAIL:
        return IPC_STEP_AUTH;
    default:
        return IPC_STEP_MAIL;
    }
}

static void describe(const struct diagnosis *diagnosis, unsigned code,
                     const struct smtp_reply *reply, struct text *text)
{
    char line[1024];

    if (code)
        account_describe(reply, line, sizeof(line));
    else
        smtp_reply_oneline(reply, line, sizeof(line));
    text_add_str(text, line);
    if (code && diagnosis->status[0])
        text_addf(text, " (behind a 334 with status %s)", diagnosis->status);
    if (diagnosis->faulty.text[0])
        text_addf(text, "; the certificate is %s", diagnosis->faulty.text);
}

/* Once more, with another one. "": this one was refused to another connection. */
static void wait_for_token(struct diagnosis *diagnosis, const char *refusal)
{
    struct worker *worker = diagnosis->account->worker;

    detach(diagnosis);
    slice_copy(slice_of(refusal), diagnosis->refusal, sizeof(diagnosis->refusal));
    loop_timer_set(&worker->loop, &diagnosis->timer, worker_conf(worker)->queue_wait_ms);
}

/* It is not what account_token_refused will take for the last one: the first, or a
 * token that was refused to another connection already. */
static bool another_follows(const struct client *client)
{
    const struct account *account = client->account;
    bool newest = account->token && client->token_serial == account->token_serial;

    return !account->removed && (!account->rejections || !newest);
}

void diagnosis_failed(struct client *client, enum phase phase, unsigned code,
                      const struct verdict *verdict, const struct smtp_reply *reply)
{
    struct diagnosis *diagnosis = client->diagnosis;
    bool of_token = verdict->class_ == VERDICT_TOKEN;
    struct ipc_diagnosis_step more = {
        .code = code, .state = (uint8_t)(of_token ? ACCOUNT_MISCONFIGURED : verdict->state)};
    char line[IPC_TEXT_MAX];
    struct text text;

    text_init(&text, line, sizeof(line));
    describe(diagnosis, code, reply, &text);
    if (of_token && another_follows(client)) {
        wait_for_token(diagnosis, line);
        return;
    }
    tell(diagnosis, step_of(client, phase), IPC_STEP_FAILED, &more, line);
    finish(diagnosis, false, line);
}

void diagnosis_token_gone(struct client *client)
{
    wait_for_token(client->diagnosis, "");
}

void diagnosis_lost(struct client *client, const char *why)
{
    struct diagnosis *diagnosis = client->diagnosis;

    tell(diagnosis, step_of(client, PHASE_CONNECT), IPC_STEP_FAILED, NULL, why);
    finish(diagnosis, false, why);
}

/* --- MAIL --------------------------------------------------------------------------- */

static const char *sender_fault(const struct client *client, bool *utf8)
{
    *utf8 = false;
    for (const char *at = client->diagnosis->sender; *at; at++) {
        if ((unsigned char)*at <= ' ' || *at == '<' || *at == '>' || *at == 127)
            return "the account's address cannot stand in MAIL";
        *utf8 = *utf8 || (unsigned char)*at > 127;
    }
    if (*utf8 && !(client->caps.caps & SMTP_CAP_SMTPUTF8))
        return "the account's address needs SMTPUTF8, which the server does not offer";
    return NULL;
}

bool diagnosis_tries_sender(struct client *client)
{
    struct diagnosis *diagnosis = client->diagnosis;
    bool utf8;
    const char *fault = sender_fault(client, &utf8);

    if (!fault) {
        client_try_sender(client, diagnosis->sender, utf8);
        return true;
    }
    tell(diagnosis, IPC_STEP_MAIL, IPC_STEP_FAILED, NULL, fault);
    finish(diagnosis, false, fault);
    return false;
}

void diagnosis_sender_answered(struct client *client, const struct verdict *verdict,
                               const struct smtp_reply *reply)
{
    struct diagnosis *diagnosis = client->diagnosis;
    bool ok = reply->code / 100 == 2;
    struct ipc_diagnosis_step more = {.code = (uint32_t)reply->code,
                                      .state = (uint8_t)verdict->state};
    char line[1024];

    account_describe(reply, line, sizeof(line));
    tell(diagnosis, IPC_STEP_MAIL, ok ? IPC_STEP_OK : IPC_STEP_FAILED, &more, line);
    finish(diagnosis, ok, ok ? "" : line);
}

/* --- waiting and beginning ---------------------------------------------------------- */

static void give_up_waiting(struct diagnosis *diagnosis)
{
    struct account *account = diagnosis->account;
    uint64_t wait = attempts_login_wait(account);
    struct ipc_diagnosis_step more = {.code = 535};
    struct smtp_reply reply;
    char line[sizeof(diagnosis->refusal) + 40];

    if (diagnosis->refusal[0]) {
        more.state = ACCOUNT_MISCONFIGURED;
        snprintf(line, sizeof(line), "%s; no other token has come", diagnosis->refusal);
        tell(diagnosis, IPC_STEP_AUTH, IPC_STEP_FAILED, &more, line);
        finish(diagnosis, false, line);
        return;
    }
    smtp_reply_init(&reply);
    if (wait) {
        snprintf(line, sizeof(line),
                 "no login may be made for %llu s: by upstream.logins_per_minute, or because the "
                 "server wants fewer",
                 (unsigned long long)(wait + 999) / 1000);
    } else {
        pool_say_why(account, &reply);
        smtp_reply_oneline(&reply, line, sizeof(line));
    }
    finish(diagnosis, false, line);
    smtp_reply_clear(&reply);
}

static void on_timer(struct timer *timer)
{
    struct diagnosis *diagnosis = container_of(timer, struct diagnosis, timer);
    struct account *account = diagnosis->account;

    if (diagnosis->over) {
        end(diagnosis);
        account_maybe_free(account);
    } else if (diagnosis->client) {
        client_give_up(diagnosis->client, "no answer in 60 s");
    } else {
        give_up_waiting(diagnosis);
    }
}

static void dial(struct diagnosis *diagnosis)
{
    struct account *account = diagnosis->account;
    uint64_t now = loop_now(&account->worker->loop), wait = attempts_login_wait(account);

    if (!account_token_valid(account)) {
        pool_ask_for_token(account);
        return;
    }
    if (wait) {
        if (now + wait < diagnosis->timer.deadline)
            pool_pump_later(account, wait);
        else
            give_up_waiting(diagnosis); /* the time will not come */
        return;
    }
    breaker_hasten(&account->breaker, now, LEFT_ALONE_MS);
    breaker_hasten(&account->endpoint->breaker, now, LEFT_ALONE_MS);
    if (attempts_breaker_wait(account)) {
        pool_pump_later(account, MOMENT_MS); /* or other trials are under way */
        return;
    }
    diagnosis->mark_us = clock_us();
    if (!client_open_for(account, diagnosis))
        finish(diagnosis, false, "out of memory");
}

/* What it took to open it is in the past; all of it still holds. */
static void examine_idle(struct diagnosis *diagnosis)
{
    struct client *client = pool_take_idle(diagnosis->account, false);
    uint64_t age;
    char line[200];

    if (!client)
        return;
    diagnosis->mark_us = clock_us();
    diagnosis_attach(diagnosis, client);
    diagnosis_step(client, IPC_STEP_TCP, NULL);
    diagnosis_step(client, IPC_STEP_TLS, NULL);
    age = (loop_now(&diagnosis->account->worker->loop) - client->born_ms) / 1000;
    snprintf(line, sizeof(line),
             "logged in %llu s ago; the account has all the connections that it may have now, so "
             "this one is examined",
             (unsigned long long)age);
    tell(diagnosis, IPC_STEP_AUTH, IPC_STEP_OK, NULL, line);
    diagnosis_tries_sender(client);
}

void diagnosis_pump(struct account *account)
{
    struct diagnosis *diagnosis = account->diagnosis;

    if (!diagnosis || diagnosis->client || diagnosis->over)
        return;
    if (pool_connections(account) < capacity_connections(account))
        dial(diagnosis);
    else
        examine_idle(diagnosis);
}

static const char *begin(struct account *account, const struct ipc_diagnose *ask)
{
    struct worker *worker = account->worker;
    struct diagnosis *diagnosis;

    if (account->diagnosis) { /* nobody waits for that one: the broker has one of an account */
        finish(account->diagnosis, false, "another check has taken its place");
        end(account->diagnosis);
    }
    diagnosis = calloc(1, sizeof(*diagnosis));
    if (!diagnosis)
        return "out of memory";
    diagnosis->account = account;
    diagnosis->request = ask->request;
    slice_copy(ask->sender, diagnosis->sender, sizeof(diagnosis->sender));
    timer_init(&diagnosis->timer, on_timer);
    loop_timer_set(&worker->loop, &diagnosis->timer, worker_conf(worker)->queue_wait_ms);
    account->diagnosis = diagnosis;
    return NULL;
}

void upstream_diagnose(struct worker *worker, const struct ipc_diagnose *ask)
{
    struct account *account = account_find(worker->accounts, ask->id);
    const char *refusal = "the relay is shutting down";

    stats_add(&worker->stats->probes_total, 1);
    if (!worker->draining)
        refusal = account && !account->removed ? begin(account, ask)
                                               : "the relay does not know the account";
    if (refusal)
        tell_done(worker, ask->request, false, refusal);
    else
        pool_pump(account);
}
