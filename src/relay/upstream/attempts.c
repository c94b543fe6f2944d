/* Logins per minute, and the breakers of an account and of its server. */
#include "relay/upstream/capacity.h"

#include "relay/directory.h"
#include "relay/upstream/client.h"

#define LOGIN_WINDOW_MS 60000
#define LOGIN_SLOTS 60
#define RETRY_MS 100
#define RETRY_MAX_MS 2000

static uint64_t now_of(const struct account *account)
{
    return loop_now(&account->worker->loop);
}

/* --- logins -------------------------------------------------------------------- */

uint64_t attempts_login_wait(const struct account *account)
{
    uint64_t now = now_of(account), most = worker_conf(account->worker)->logins_per_minute;
    uint64_t under_way = account->pool[POOL_DIALING].count;

    if (account->login_not_before > now)
        return account->login_not_before - now;
    if (!most || (!account->logins && under_way < most))
        return 0;
    if (under_way >= most)
        return LOGIN_WINDOW_MS;
    return window_wait(account->logins, now, most - under_way - 1);
}

uint32_t attempts_logins(const struct account *account)
{
    uint64_t ended = account->logins ? window_count(account->logins, now_of(account)) : 0;

    return (uint32_t)(ended + account->pool[POOL_DIALING].count);
}

/* The provider counts a login that it was asked for, whatever came of it. */
static void count_login(struct account *account)
{
    if (!account->logins)
        account->logins = window_new(LOGIN_WINDOW_MS, LOGIN_SLOTS);
    if (account->logins)
        window_add(account->logins, now_of(account), 1);
    else /* memory is out, and the limit holds all the same */
        account->login_not_before = now_of(account) + LOGIN_WINDOW_MS;
}

/* --- breakers ------------------------------------------------------------------- */

static uint64_t longer(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

uint64_t attempts_breaker_wait(const struct account *account)
{
    uint64_t now = now_of(account);

    return longer(breaker_wait(&account->breaker, now),
                  breaker_wait(&account->endpoint->breaker, now));
}

uint64_t attempts_wait(const struct account *account)
{
    uint64_t now = now_of(account);
    uint64_t dial = account->dial_not_before > now ? account->dial_not_before - now : 0;

    return longer(longer(dial, attempts_login_wait(account)), attempts_breaker_wait(account));
}

void attempts_begin(struct client *client)
{
    struct account *account = client->account;
    uint64_t now = now_of(account);

    client->trying = true;
    endpoint_dial_begins(client->endpoint);
    client->trial = breaker_begin(&account->breaker, now);
    client->endpoint_trial = breaker_begin(&client->endpoint->breaker, now);
}

static void end(struct client *client, enum breaker_result of_account,
                enum breaker_result of_endpoint, const struct smtp_reply *why)
{
    struct account *account = client->account;
    uint64_t now = now_of(account);
    bool was_closed;

    client->trying = false;
    if (client->state >= CLIENT_AUTH)
        count_login(account);
    if (breaker_end(&account->breaker, now, client->trial, of_account)) {
        stats_add(&account->worker->stats->account_breakers_total, 1);
        log_event(LOG_WARN, "account_breaker_open", log_s("account", account->id),
                  log_u("failures", account->breaker.failures),
                  log_u("for_ms", breaker_wait(&account->breaker, now)));
    }
    was_closed = client->endpoint->breaker.state == BREAKER_CLOSED;
    endpoint_dial_ended(client->endpoint, account_hash(slice_of(account->id)),
                        client->endpoint_trial, of_endpoint, why);
    if (!was_closed && client->endpoint->breaker.state == BREAKER_CLOSED)
        loop_timer_set(&account->worker->loop, &account->table->wake, 0);
}

void attempts_succeeded(struct client *client)
{
    client->account->dial_not_before = 0;
    if (client->trying)
        end(client, BREAKER_OK, BREAKER_OK, NULL);
}

/* Longer and longer, so that what is over in a moment opens nothing. */
static uint64_t retry_delay(uint32_t failures)
{
    uint64_t delay = RETRY_MS;

    for (uint32_t i = 1; i < failures && delay < RETRY_MAX_MS; i++)
        delay *= 2;
    return delay < RETRY_MAX_MS ? delay : RETRY_MAX_MS;
}

/* The server answered when there was a login; a token or a state that the account
 * comes to have is dealt with where it is. */
void attempts_failed(struct client *client, enum phase phase, const struct verdict *verdict,
                     const struct smtp_reply *why)
{
    struct account *account = client->account;
    bool of_this_host =
        phase == PHASE_CONNECT && client->state == CLIENT_DIALING && !client->dial.asked;
    bool of_account = verdict->class_ != VERDICT_TOKEN && verdict->state == ACCOUNT_ACTIVE;
    enum breaker_result endpoint = client->state >= CLIENT_AUTH ? BREAKER_OK
                                   : of_this_host               ? BREAKER_NOTHING
                                                                : BREAKER_FAILED;

    if (!client->trying)
        return;
    end(client, of_account ? BREAKER_FAILED : BREAKER_NOTHING, endpoint, why);
    /* To ask the own system again costs nobody anything: an address that comes back
     * is in use at once. */
    if (of_this_host)
        breaker_shorten(&account->breaker, now_of(account), RETRY_MAX_MS);
    if (verdict->class_ != VERDICT_TOKEN)
        account->dial_not_before = now_of(account) + retry_delay(account->breaker.failures);
}

void attempts_dropped(struct client *client)
{
    if (client->trying)
        end(client, BREAKER_NOTHING, BREAKER_NOTHING, NULL);
}

bool attempts_are_vain(const struct account *account)
{
    uint64_t now = now_of(account);
    const struct breaker *endpoint = &account->endpoint->breaker;

    return breaker_is_open(&account->breaker, now) || breaker_is_open(endpoint, now) ||
           (endpoint->state == BREAKER_HALF_OPEN && breaker_wait(endpoint, now));
}

void capacity_forgive(struct account *account)
{
    breaker_reset(&account->breaker);
    account->dial_not_before = 0;
}

bool attempts_say_failed(const struct account *account, struct smtp_reply *reply)
{
    uint64_t wait = attempts_breaker_wait(account);
    const struct endpoint *endpoint = account->endpoint;
    const struct smtp_reply *last = NULL;
    char line[600];
    struct text text;

    if (account->breaker.failures && account->last_failure.code)
        last = &account->last_failure;
    else if (endpoint->breaker.state != BREAKER_CLOSED && endpoint->last_failure.code)
        last = &endpoint->last_failure;
    if (!last)
        return false;
    text_init(&text, line, sizeof(line));
    text_add_str(&text, last->text ? last->text : "");
    if (wait)
        text_addf(&text, "; it is tried again in %llu s", (unsigned long long)(wait + 999) / 1000);
    smtp_reply_set(reply, last->code, last->enhanced, line);
    return true;
}
