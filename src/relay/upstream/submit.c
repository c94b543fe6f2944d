/* A message comes to its account: into the line, or back at once. */
#include "relay/upstream/capacity.h"
#include "relay/upstream/pool.h"
#include "relay/upstream/warm.h"

static void defer(struct job *job, struct account *account, const char *why)
{
    job->outcome = OUTCOME_DEFERRED;
    if (account)
        account->messages[OUTCOME_DEFERRED]++;
    smtp_reply_set(&job->reply, 451, (struct smtp_enhanced){4, 3, 2}, why);
    job_return(job);
}

/* There will be no room for it, behind those that wait already. */
static bool refuse_newest(struct account *account, struct upstream_tx *tx)
{
    struct smtp_reply reply;
    bool refused;

    smtp_reply_init(&reply);
    refused = capacity_refuses(account, tx, false, &reply);
    if (refused)
        tx_fail_waiting(tx, &reply);
    smtp_reply_clear(&reply);
    return refused;
}

static void take_in(struct account *account, struct upstream_tx *tx)
{
    struct job *job = tx->job;

    capacity_told_through(account, job->login);
    if (!account_token_valid(account) && !pool_connections(account))
        stats_add(&job->worker->stats->token_wait_total, 1);
    if (!pool_wait(account, tx))
        tx_finish_text(tx, OUTCOME_DEFERRED, 451, (struct smtp_enhanced){4, 3, 2}, "out of memory");
    else if (!refuse_newest(account, tx)) {
        warm_note(account);
        pool_pump(account);
    }
}

void upstream_submit(struct job *job)
{
    struct account *account = account_find(job->worker->accounts, slice_of(job->login->id));
    struct upstream_tx *tx = job->tx;

    if (tx) {
        tx_continue(tx);
        return;
    }
    if (account && account->waiting.count < worker_conf(job->worker)->queue_length)
        tx = tx_new(account, job);
    if (tx)
        take_in(account, tx);
    else
        defer(job, account,
              account ? "too many messages wait for this account" : "the account was removed");
}

void upstream_cancel(struct job *job)
{
    if (job->tx)
        tx_cancel(job->tx);
}
