#include "relay/upstream/probe.h"

#include <stdlib.h>

#include "relay/request.h"
#include "relay/upstream/capacity.h"
#include "relay/upstream/client.h"
#include "relay/upstream/pool.h"

#define PROBES_MAX 64 /* of one account; all get the same answer */
#define STEP_WAIT "wait"

struct probe {
    struct account *account;
    struct list_node node;
    struct timer timer;
    uint64_t request;
    bool late; /* waits only for what is under way */
};

static void tell(struct worker *worker, uint64_t request, bool ok, unsigned code, const char *step,
                 const char *text)
{
    struct ipc_message message = {.type = IPC_PROBE_DONE};
    struct slice said = slice_of(text);

    if (said.len > IPC_TEXT_MAX)
        said.len = IPC_TEXT_MAX;
    message.u.probe_done = (struct ipc_probe_done){request, ok, code, slice_of(step), said};
    tell_broker(worker, &message);
}

static void end(struct probe *probe, bool ok, unsigned code, const char *step, const char *text)
{
    struct account *account = probe->account;

    loop_timer_cancel(&account->worker->loop, &probe->timer);
    list_remove(&account->probes, &probe->node);
    tell(account->worker, probe->request, ok, code, step, text);
    free(probe);
}

static void end_all(struct account *account, bool ok, unsigned code, const char *step,
                    const char *text)
{
    struct list_node *node;

    while ((node = list_first(&account->probes)))
        end(container_of(node, struct probe, node), ok, code, step, text);
}

void probe_logged_in(struct account *account)
{
    end_all(account, true, 0, phase_names[PHASE_AUTH], "");
}

void probe_failed(struct account *account, enum phase phase, unsigned code,
                  const struct verdict *verdict, const struct smtp_reply *reply)
{
    char text[1024];

    bool again = verdict->class_ == VERDICT_TOKEN && account->rejections < 2;

    if (list_empty(&account->probes))
        return;
    if (code)
        account_describe(reply, text, sizeof(text));
    else
        smtp_reply_oneline(reply, text, sizeof(text));
    list_foreach_safe (&account->probes, node) {
        struct probe *probe = container_of(node, struct probe, node);

        if (!again || probe->late) /* the broker fetches another token */
            end(probe, false, code, phase_names[phase], text);
    }
}

void probe_fail_all(struct account *account, const char *text)
{
    end_all(account, false, 0, STEP_WAIT, text);
}

/* --- waiting --- */

static bool is_under_way(const struct account *account)
{
    return account->checking || account->pool[POOL_DIALING].count;
}

static void give_up(struct probe *probe)
{
    struct smtp_reply reply;
    char text[1024];

    smtp_reply_init(&reply);
    pool_say_why(probe->account, &reply);
    smtp_reply_oneline(&reply, text, sizeof(text));
    end(probe, false, 0, STEP_WAIT, text);
    smtp_reply_clear(&reply);
}

/* A login that has begun has its own time-outs. */
static void on_late(struct timer *timer)
{
    struct probe *probe = container_of(timer, struct probe, timer);
    struct account *account = probe->account;

    probe->late = true;
    if (is_under_way(account))
        return;
    give_up(probe);
    account_maybe_free(account);
}

static void drop_late(struct account *account)
{
    list_foreach_safe (&account->probes, node) {
        struct probe *probe = container_of(node, struct probe, node);

        if (probe->late)
            give_up(probe);
    }
}

/* --- doing --- */

static void check_idle(struct account *account)
{
    struct client *client = pool_take_idle(account, false);

    if (client)
        client_check(client);
}

static void dial(struct account *account)
{
    uint64_t wait = attempts_wait(account);

    if (!account_token_valid(account)) {
        pool_ask_for_token(account);
    } else if (wait) {
        pool_pump_later(account, wait);
    } else {
        client_open(account);
    }
}

void probe_pump(struct account *account)
{
    if (list_empty(&account->probes) || is_under_way(account))
        return;
    drop_late(account);
    if (list_empty(&account->probes))
        return;
    if (pool_connections(account) < capacity_connections(account))
        dial(account);
    else
        check_idle(account);
}

/* --- asking --- */

static const char *begin(struct account *account, uint64_t request)
{
    struct worker *worker = account->worker;
    struct probe *probe;

    if (account->probes.count >= PROBES_MAX)
        return "too many checks of this account are under way";
    probe = calloc(1, sizeof(*probe));
    if (!probe)
        return "out of memory";
    probe->account = account;
    probe->request = request;
    timer_init(&probe->timer, on_late);
    loop_timer_set(&worker->loop, &probe->timer, worker_conf(worker)->queue_wait_ms);
    list_push_tail(&account->probes, &probe->node);
    return NULL;
}

void upstream_probe(struct worker *worker, const struct ipc_probe *ask)
{
    struct account *account = account_find(worker->accounts, ask->id);
    const char *refusal = "the relay is shutting down";

    stats_add(&worker->stats->probes_total, 1);
    if (!worker->draining)
        refusal = account && !account->removed ? begin(account, ask->request)
                                               : "the relay does not know the account";
    if (refusal)
        tell(worker, ask->request, false, 0, STEP_WAIT, refusal);
    else
        pool_pump(account);
}
