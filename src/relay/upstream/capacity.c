#include "relay/upstream/capacity.h"

#include "base/clock.h"
#include "base/date.h"
#include "relay/directory.h"
#include "relay/upstream/ledger.h"
#include "relay/upstream/pool.h"
#include "relay/upstream/tx.h"

static uint64_t now_of(const struct account *account)
{
    return loop_now(&account->worker->loop);
}

static struct stats *stats_of(const struct account *account)
{
    return account->worker->stats;
}

bool capacity_set(struct account *account, const struct ipc_account *from)
{
    const uint32_t max[LIMITS] = {[LIMIT_MINUTE] = from->messages_per_minute,
                                  [LIMIT_HOUR] = from->messages_per_hour,
                                  [LIMIT_DAY] = from->messages_per_day,
                                  [LIMIT_RECIPIENTS] = from->recipients_per_day};
    uint32_t failures = from->breaker_failures;

    concurrency_set(&account->concurrency, from->connections_start, account->max_connections);
    breaker_set(&account->breaker, failures, from->breaker_recovery_ms, from->breaker_trials);
    breaker_set(&account->endpoint->breaker,
                failures < ENDPOINT_FAILING_MAX ? failures : ENDPOINT_FAILING_MAX,
                from->breaker_recovery_ms, from->breaker_trials);
    if (!limits_set(&account->limits, max))
        return false;
    capacity_tell(account);
    return true;
}

void capacity_clear(struct account *account)
{
    limits_clear(&account->limits);
    line_clear(&account->waiting);
    window_free(account->logins);
    login_unref(account->told);
    account->logins = NULL;
    account->told = NULL;
}

uint32_t capacity_connections(const struct account *account)
{
    return concurrency_level(&account->concurrency, now_of(account));
}

uint64_t capacity_room(struct account *account)
{
    return limits_room(&account->limits, now_of(account));
}

static uint64_t recipients_of(const struct upstream_tx *tx)
{
    return tx->job->envelope.count;
}

uint64_t capacity_wait(struct account *account, const struct upstream_tx *tx)
{
    uint64_t now = now_of(account), rest = concurrency_wait(&account->concurrency, now);
    enum limit which;
    uint64_t wait = limits_wait(&account->limits, now, 1, recipients_of(tx), &which);

    return wait > rest ? wait : rest;
}

/* --- refusing ----------------------------------------------------------------- */

static uint64_t *counter_of(const struct account *account, enum limit which)
{
    struct stats *stats = stats_of(account);
    uint64_t *const counters[LIMITS] = {
        [LIMIT_MINUTE] = &stats->refused_messages_per_minute_total,
        [LIMIT_HOUR] = &stats->refused_messages_per_hour_total,
        [LIMIT_DAY] = &stats->refused_messages_per_day_total,
        [LIMIT_RECIPIENTS] = &stats->refused_recipients_per_day_total,
    };

    return counters[which];
}

static void say_limit(const struct account *account, enum limit which, uint64_t wait,
                      struct smtp_reply *reply)
{
    char line[200], date[DATE_TEXT];
    struct text text;

    date_format(clock_wall_ms() + wait + 999, date);
    text_init(&text, line, sizeof(line));
    text_addf(&text, "account busy: its limit %s of %u is reached; room in %llu s, at %s",
              limit_names[which], account->limits.max[which],
              (unsigned long long)(wait + 999) / 1000, date);
    smtp_reply_set(reply, 451, (struct smtp_enhanced){4, 7, 1}, line);
}

bool capacity_refuses(struct account *account, const struct upstream_tx *tx, bool in_its_turn,
                      struct smtp_reply *reply)
{
    uint64_t now = now_of(account), deadline = tx->wait_timer.deadline, wait;
    size_t ahead = 0;
    enum limit which;

    if (!in_its_turn) {
        if (limits_room(&account->limits, now) >= account->waiting.count)
            return false;
        ahead = line_ahead(&account->waiting, &tx->turn);
    }
    wait = limits_wait(&account->limits, now, ahead + 1, recipients_of(tx), &which);
    if (!wait || now + wait <= deadline)
        return false;
    say_limit(account, which, wait, reply);
    stats_add(counter_of(account, which), 1);
    return true;
}

/* 4.4.5, as the original. */
static void say_busy(const struct account *account, struct smtp_reply *reply)
{
    uint64_t login = attempts_login_wait(account);
    uint32_t level = capacity_connections(account);
    char line[200];
    struct text text;

    text_init(&text, line, sizeof(line));
    text_add_str(&text, "account busy: ");
    if (account->max_concurrent && account->running.count >= account->max_concurrent)
        text_addf(&text, "its limit max_concurrent_messages of %u is reached",
                  account->max_concurrent);
    else if (login)
        text_addf(&text,
                  "its logins at the provider are limited to %u a minute; "
                  "room in %llu s",
                  worker_conf(account->worker)->logins_per_minute,
                  (unsigned long long)(login + 999) / 1000);
    else
        text_addf(&text, "all its connections are at work (limit %u)", level);
    smtp_reply_set(reply, 451, (struct smtp_enhanced){4, 4, 5}, line);
}

void capacity_say_full(struct account *account, struct smtp_reply *reply)
{
    struct stats *stats = stats_of(account);
    enum limit which;
    uint64_t wait = limits_wait(&account->limits, now_of(account), 1, 1, &which);

    if (wait) {
        say_limit(account, which, wait, reply);
        stats_add(counter_of(account, which), 1);
        return;
    }
    say_busy(account, reply);
    stats_add(account->max_concurrent && account->running.count >= account->max_concurrent
                  ? &stats->refused_concurrent_total
                  : &stats->refused_connections_total,
              1);
}

/* --- flights ------------------------------------------------------------------ */

void capacity_begin(struct upstream_tx *tx)
{
    tx->recipients = recipients_of(tx);
    tx->began_ms = now_of(tx->account);
    tx->taken = false;
    limits_begin(&tx->account->limits, tx->recipients);
    ledger_sent(tx->account, 1, tx->recipients);
    capacity_tell(tx->account);
}

/* In live mode the first one was counted when the flight began. */
bool capacity_more(struct upstream_tx *tx, struct smtp_reply *refusal)
{
    struct account *account = tx->account;
    enum limit which;
    uint64_t wait = limits_wait(&account->limits, now_of(account), 0, 1, &which);

    if (wait && which == LIMIT_RECIPIENTS) {
        say_limit(account, which, wait, refusal);
        stats_add(counter_of(account, which), 1);
        return false;
    }
    limits_more(&account->limits, 1);
    ledger_sent(account, 0, 1);
    tx->recipients++;
    return true;
}

static uint64_t accepted_of(const struct upstream_tx *tx)
{
    uint64_t accepted = 0;

    for (size_t i = 0; i < tx->job->envelope.count; i++)
        accepted += tx->job->envelope.rcpts[i].accepted;
    return accepted;
}

void capacity_end(struct upstream_tx *tx)
{
    struct account *account = tx->account;

    limits_end(&account->limits, now_of(account), tx->recipients, tx->taken,
               tx->live ? accepted_of(tx) : tx->recipients);
    ledger_moved(account);
    capacity_tell(account);
}

void capacity_accepted(const struct upstream_tx *tx)
{
    struct account *account = tx->account;
    bool full = account->pool[POOL_BUSY].count >= capacity_connections(account);

    concurrency_served(&account->concurrency, now_of(account), tx->began_ms, full);
    account->on_trial = false;
    account->relapses = 0;
}

void capacity_too_many(const struct upstream_tx *tx, const struct verdict *verdict)
{
    struct account *account = tx->account;
    uint32_t before = capacity_connections(account);

    concurrency_refused(&account->concurrency, now_of(account), tx->began_ms,
                        (uint32_t)account->running.count, verdict->for_ms);
    if (capacity_connections(account) == before)
        return;
    stats_add(&stats_of(account)->connections_cut_total, 1);
    log_event(LOG_WARN, "connections_cut", log_s("account", account->id), log_u("from", before),
              log_u("to", capacity_connections(account)), log_s("rule", verdict->rule));
    pool_retire(account);
}

/* --- what clients hear at MAIL ------------------------------------------------- */

void capacity_told_through(struct account *account, struct login *login)
{
    if (account->told == login)
        return;
    login_unref(account->told);
    account->told = login_ref(login);
    account->told_until = 0;
    capacity_tell(account);
}

/* A message that comes when queue_wait is enough waits. */
void capacity_tell(struct account *account)
{
    uint64_t patience = worker_conf(account->worker)->queue_wait_ms, now = now_of(account), until;
    struct smtp_reply reply;
    enum limit which;
    uint64_t wait;

    if (!account->told)
        return;
    wait = limits_wait(&account->limits, now, 1, 1, &which);
    until = wait > patience ? now + wait - patience : 0;
    if (until == account->told_until)
        return;
    smtp_reply_init(&reply);
    if (until)
        say_limit(account, which, wait, &reply);
    login_refuse(account->told, until, &reply);
    account->told_until = until;
    smtp_reply_clear(&reply);
}
