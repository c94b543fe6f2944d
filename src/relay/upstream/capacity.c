#include "relay/upstream/capacity.h"

#include "base/clock.h"
#include "base/date.h"
#include "relay/directory.h"
#include "relay/upstream/group.h"
#include "relay/upstream/pool.h"
#include "relay/upstream/tx.h"

#define ANSWER_MS 1000 /* the owner of a group answers sooner, and wakes us */

static uint64_t now_of(const struct account *account)
{
    return loop_now(&account->worker->loop);
}

static struct stats *stats_of(const struct account *account)
{
    return account->worker->stats;
}

static bool join_group(struct account *account, struct slice name)
{
    struct group_share *old = account->share;

    if (old && slice_equal(slice_of(share_name(old)), name))
        return true;
    if (old) {
        share_forget(account);
        account->share = NULL;
        share_put(old);
    }
    if (name.len)
        account->share = share_get(account->worker, name);
    return !name.len || account->share;
}

bool capacity_set(struct account *account, const struct ipc_account *from)
{
    const uint32_t max[LIMITS] = {[LIMIT_MINUTE] = from->messages_per_minute,
                                  [LIMIT_HOUR] = from->messages_per_hour,
                                  [LIMIT_DAY] = from->messages_per_day,
                                  [LIMIT_RECIPIENTS] = from->recipients_per_day};
    uint32_t failures = from->breaker_failures;

    if (!join_group(account, from->group))
        return false;
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
    join_group(account, SLICE(""));
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

/* Which limit there is no room in, and whose it is. */
struct shortage {
    enum limit which;
    uint32_t max;
    const char *group; /* NULL: the account's own */
};

/* For how long there is no room, as far as that is known; 0: there may be some. */
static uint64_t known_wait(struct account *account, uint64_t messages, uint64_t recipients,
                           struct shortage *why)
{
    uint64_t wait =
        limits_wait(&account->limits, now_of(account), messages, recipients, &why->which);
    enum limit which;
    uint32_t max;
    uint64_t full = account->share ? share_full(account->share, &which, &max) : 0;

    if (full > wait) {
        *why = (struct shortage){which, max, share_name(account->share)};
        return full;
    }
    if (wait) {
        why->max = account->limits.max[why->which];
        why->group = NULL;
    }
    return wait;
}

uint64_t capacity_room(struct account *account)
{
    uint64_t room = limits_room(&account->limits, now_of(account));
    uint64_t group = account->share ? share_messages(account->share) : UINT64_MAX;

    return room < group ? room : group;
}

static uint64_t recipients_of(const struct upstream_tx *tx)
{
    return tx->job->envelope.count;
}

/* What the group has is asked for when everything else is there. */
uint64_t capacity_wait(struct account *account, const struct upstream_tx *tx)
{
    uint64_t rest = concurrency_wait(&account->concurrency, now_of(account));
    struct shortage why;
    uint64_t wait = known_wait(account, 1, recipients_of(tx), &why);

    if (!wait && !rest && account->share &&
        !share_claim(account->share, account, recipients_of(tx)))
        return ANSWER_MS;
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

static void say_limit(const struct shortage *why, uint64_t wait, struct smtp_reply *reply)
{
    char line[480], date[DATE_TEXT];
    struct text text;

    date_format(clock_wall_ms() + wait + 999, date);
    text_init(&text, line, sizeof(line));
    text_add_str(&text, "account busy: ");
    if (why->group)
        text_addf(&text, "the limit %s of %u of its group %s", limit_names[why->which], why->max,
                  why->group);
    else
        text_addf(&text, "its limit %s of %u", limit_names[why->which], why->max);
    text_addf(&text, " is reached; room in %llu s, at %s", (unsigned long long)(wait + 999) / 1000,
              date);
    smtp_reply_set(reply, 451, (struct smtp_enhanced){4, 7, 1}, line);
}

bool capacity_refuses(struct account *account, const struct upstream_tx *tx, bool in_its_turn,
                      struct smtp_reply *reply)
{
    uint64_t now = now_of(account), deadline = tx->wait_timer.deadline, wait;
    struct shortage why;
    size_t ahead = 0;

    if (!in_its_turn && limits_room(&account->limits, now) < account->waiting.count)
        ahead = line_ahead(&account->waiting, &tx->turn);
    wait = known_wait(account, ahead + 1, recipients_of(tx), &why);
    if (!wait || now + wait <= deadline)
        return false;
    say_limit(&why, wait, reply);
    stats_add(counter_of(account, why.which), 1);
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
    struct shortage why;
    uint64_t wait = known_wait(account, 1, 1, &why);

    if (wait) {
        say_limit(&why, wait, reply);
        stats_add(counter_of(account, why.which), 1);
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
    ledger_sent(&tx->account->ledger, 1, tx->recipients);
    if (tx->account->share) {
        tx->share = share_ref(tx->account->share);
        share_begin(tx->share, tx->recipients);
    }
    capacity_tell(tx->account);
}

static bool count_more(struct upstream_tx *tx)
{
    limits_more(&tx->account->limits, 1);
    ledger_sent(&tx->account->ledger, 0, 1);
    tx->recipients++;
    return true;
}

/* In live mode the first one was counted when the flight began. A client is not
 * held up while the group's owner is asked: a few are at hand. */
bool capacity_more(struct upstream_tx *tx, struct smtp_reply *refusal)
{
    struct account *account = tx->account;
    struct shortage why = {.which = LIMIT_RECIPIENTS};
    uint64_t wait = known_wait(account, 0, 1, &why);
    bool full = wait && why.which == LIMIT_RECIPIENTS;

    if (full)
        say_limit(&why, wait, refusal);
    else if (tx->share && !share_more(tx->share))
        smtp_reply_set(refusal, 451, (struct smtp_enhanced){4, 7, 1},
                       "account busy: recipients of its group are being counted");
    else
        return count_more(tx);
    stats_add(counter_of(account, LIMIT_RECIPIENTS), 1);
    return false;
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
    uint64_t counted = tx->live ? accepted_of(tx) : tx->recipients;

    limits_end(&account->limits, now_of(account), tx->recipients, tx->taken, counted);
    ledger_moved(&account->ledger);
    if (tx->share) {
        share_end(tx->share, tx->recipients, tx->taken, counted);
        share_put(tx->share);
        tx->share = NULL;
    }
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
    struct shortage why;
    uint64_t wait;

    if (!account->told)
        return;
    wait = known_wait(account, 1, 1, &why);
    until = wait > patience ? now + wait - patience : 0;
    if (until == account->told_until)
        return;
    smtp_reply_init(&reply);
    if (until)
        say_limit(&why, wait, &reply);
    login_refuse(account->told, until, &reply);
    account->told_until = until;
    smtp_reply_clear(&reply);
}
