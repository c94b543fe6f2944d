/* The end of a drain whose time is over: what still runs gets its answer now.
 * A message whose content is committed is unknown, and the log says so. */
#include "relay/upstream/client.h"
#include "relay/upstream/pool.h"
#include "relay/upstream/tx.h"

static void end_client(struct client *client)
{
    struct upstream_tx *tx = client->tx;

    client->tx = NULL;
    if (tx) {
        tx->job->attempts = UINT32_MAX; /* no silent retry any more */
        tx_connection_lost(tx, "bearerd is shutting down", false);
    }
    client_close(client, "shutdown");
}

static void end_account(struct account *account)
{
    struct smtp_reply reply;
    struct list_node *node;

    smtp_reply_init(&reply);
    smtp_reply_set(&reply, 451, (struct smtp_enhanced){4, 3, 2}, "bearerd is shutting down");
    account->jobs++;
    while ((node = list_first(&account->pool[POOL_BUSY])))
        end_client(container_of(node, struct client, pool_node));
    pool_fail_waiting(account, &reply);
    pool_close_idle(account);
    account->jobs--;
    smtp_reply_clear(&reply);
    account_maybe_free(account);
}

void upstream_abort(struct worker *worker)
{
    struct account *account, *next;

    HASH_ITER (hh, worker->accounts->accounts, account, next)
        end_account(account);
}
