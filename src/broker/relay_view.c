#include "broker/relay_view.h"

#include <stdio.h>
#include <stdlib.h>

#include "broker/relay_link.h"
#include "broker/tell.h"

#define SNAPSHOT_MS 10000
#define PROBE_SPARE_MS 10000
/* Those of one login: greeting, EHLO twice, STARTTLS, AUTH and its token. */
#define PROBE_STEPS 6
/* The relay gives each connection 60 s, and a refused token a second one. */
#define DIAGNOSIS_MS (3 * 60000)
#define STEP_MS_MAX 86400000
/* More than any administrator asks at once; the memory for answers is bounded
 * with it. */
#define SNAPSHOTS_MAX 64
#define PROBES_MAX 4096

enum question { ASK_SNAPSHOT, ASK_PROBE, ASK_DIAGNOSIS };

struct ask {
    UT_hash_handle hh;
    uint64_t number;
    struct relay_view *view;
    struct timer timer;
    const char *why; /* what the timer says */
    void *owner;
    enum question question;
    /* Of a probe, of a diagnosis. */
    relay_view_probed *probed;
    relay_view_step *step;
    unsigned told; /* steps, a bit for each */
    /* Of a snapshot. */
    relay_view_rows *done;
    uint32_t limit;
    char id[IPC_ID_MAX + 1];   /* "": a page */
    char last[IPC_ID_MAX + 1]; /* rows come behind this one */
    struct relay_pool *rows;
    size_t count, cap, seen; /* seen: with those left out */
};

struct relay_view {
    struct registry *registry;
    struct ask *asks;
    uint64_t numbers;
    size_t snapshots, probes; /* of the asks; probes: diagnoses too */
};

struct relay_view *relay_view_new(struct registry *registry)
{
    struct relay_view *view = calloc(1, sizeof(*view));

    if (view)
        view->registry = registry;
    return view;
}

static struct loop *loop_of(const struct ask *ask)
{
    return ask->view->registry->loop;
}

/* Out of the table: what `done` asks anew does not meet it. */
static void take_out(struct ask *ask)
{
    struct relay_view *view = ask->view;

    HASH_DELETE(hh, view->asks, ask);
    loop_timer_cancel(loop_of(ask), &ask->timer);
    if (ask->question == ASK_SNAPSHOT)
        view->snapshots--;
    else
        view->probes--;
}

static void ask_free(struct ask *ask)
{
    free(ask->rows);
    free(ask);
}

void relay_view_free(struct relay_view *view)
{
    struct ask *ask, *next;

    if (!view)
        return;
    HASH_ITER (hh, view->asks, ask, next) {
        take_out(ask);
        ask_free(ask);
    }
    free(view);
}

void relay_view_forget(struct relay_view *view, const void *owner)
{
    struct ask *ask, *next;

    HASH_ITER (hh, view->asks, ask, next) {
        if (ask->owner != owner)
            continue;
        take_out(ask);
        ask_free(ask);
    }
}

static void fail(struct ask *ask, const char *why)
{
    take_out(ask);
    if (ask->question == ASK_SNAPSHOT)
        ask->done(ask->owner, NULL, 0, false, why);
    else
        ask->probed(ask->owner, false, why);
    ask_free(ask);
}

static void on_timer(struct timer *timer)
{
    struct ask *ask = container_of(timer, struct ask, timer);

    fail(ask, ask->why);
}

void relay_view_gone(struct relay_view *view)
{
    uint64_t newest = view->numbers;
    struct ask *ask = view->asks;

    /* Oldest first; those behind the newest came from inside an answer. */
    while (ask && ask->number <= newest) {
        fail(ask, "the relay process has ended meanwhile");
        ask = view->asks;
    }
}

/* --- asking --- */

static struct ask *ask_new(struct relay_view *view, enum question question, void *owner)
{
    struct ask *ask = calloc(1, sizeof(*ask));

    if (!ask)
        return NULL;
    ask->view = view;
    ask->number = ++view->numbers;
    ask->question = question;
    ask->owner = owner;
    timer_init(&ask->timer, on_timer);
    HASH_ADD(hh, view->asks, number, sizeof(ask->number), ask);
    if (question == ASK_SNAPSHOT)
        view->snapshots++;
    else
        view->probes++;
    return ask;
}

static void answer_later(struct ask *ask, uint64_t ms, const char *why)
{
    ask->why = why;
    loop_timer_set(loop_of(ask), &ask->timer, ms);
}

/* False: it is answered without the relay. */
static bool may_send(struct ask *ask)
{
    const char *why = NULL;

    if (!ask->view->registry->link)
        why = "no relay process runs at the moment";
    else if (ask->view->snapshots > SNAPSHOTS_MAX || ask->view->probes > PROBES_MAX)
        why = "too many questions to the relay are under way";
    if (why)
        answer_later(ask, 0, why);
    return !why;
}

bool relay_view_ask(struct relay_view *view, struct slice id, struct slice after, uint32_t limit,
                    relay_view_rows *done, void *owner)
{
    struct ask *ask = ask_new(view, ASK_SNAPSHOT, owner);
    struct ipc_message message = {.type = IPC_SNAPSHOT};

    if (!ask)
        return false;
    ask->done = done;
    ask->limit = limit < IPC_SNAPSHOT_ROWS ? limit : IPC_SNAPSHOT_ROWS;
    if (!slice_copy(id, ask->id, sizeof(ask->id)) ||
        !slice_copy(after, ask->last, sizeof(ask->last))) {
        answer_later(ask, 0, "an account's id is not so long");
    } else if (may_send(ask)) {
        message.u.snapshot = (struct ipc_snapshot){ask->number, id, after, ask->limit};
        relay_link_send(view->registry->link, &message);
        answer_later(ask, SNAPSHOT_MS, "the relay process does not answer");
    }
    return true;
}

static uint64_t probe_ms(const struct conf *conf)
{
    return conf->queue_wait_ms + conf->connect_timeout_ms +
           PROBE_STEPS * conf->upstream_command_ms + PROBE_SPARE_MS;
}

static void send_about(struct ask *ask, struct account *account, const struct ipc_message *message,
                       uint64_t ms)
{
    const struct registry *registry = ask->view->registry;

    if (!account) {
        answer_later(ask, 0, "there is no such account");
    } else if (may_send(ask)) {
        if (!account->in_relay)
            tell_introduce(account);
        relay_link_send(registry->link, message);
        answer_later(ask, ms, "the relay process does not answer");
    }
}

bool relay_view_probe_account(struct relay_view *view, struct account *account,
                              relay_view_probed *done, void *owner)
{
    struct ask *ask = ask_new(view, ASK_PROBE, owner);
    struct ipc_message message = {.type = IPC_PROBE};

    if (!ask)
        return false;
    ask->probed = done;
    if (account)
        message.u.probe = (struct ipc_probe){ask->number, slice_of(account->record->id)};
    send_about(ask, account, &message, probe_ms(view->registry->conf));
    return true;
}

bool relay_view_diagnose(struct relay_view *view, struct slice id, struct slice sender,
                         relay_view_step *step, relay_view_probed *done, void *owner)
{
    struct ask *ask = ask_new(view, ASK_DIAGNOSIS, owner);
    struct ipc_message message = {.type = IPC_DIAGNOSE};

    if (!ask)
        return false;
    ask->probed = done;
    ask->step = step;
    message.u.diagnose = (struct ipc_diagnose){ask->number, id, sender};
    send_about(ask, registry_by_id(view->registry, id), &message,
               view->registry->conf->queue_wait_ms + DIAGNOSIS_MS);
    return true;
}

bool relay_view_probe(struct relay_view *view, struct slice id, relay_view_probed *done,
                      void *owner)
{
    return relay_view_probe_account(view, registry_by_id(view->registry, id), done, owner);
}

/* --- answers --- */

/* Late answers find nothing, and are none of the relay's faults. */
static struct ask *find(struct relay_view *view, uint64_t number, enum question question)
{
    struct ask *ask;

    HASH_FIND(hh, view->asks, &number, sizeof(number), ask);
    return ask && ask->question == question ? ask : NULL;
}

static void copy_printable(struct slice text, char *out, size_t cap)
{
    size_t len = text.len < cap - 1 ? text.len : cap - 1;

    for (size_t i = 0; i < len; i++)
        out[i] = text.ptr[i] >= ' ' && text.ptr[i] < 127 ? text.ptr[i] : '?';
    out[len] = '\0';
}

/* Behind the last row, and no more than was asked for. */
static bool in_turn(const struct ask *ask, const char *id)
{
    if (ask->id[0])
        return ask->seen == 0 && strcmp(id, ask->id) == 0;
    return ask->seen < ask->limit && strcmp(id, ask->last) > 0;
}

static struct relay_pool *add_row(struct ask *ask)
{
    size_t cap = ask->cap ? ask->cap * 2 : 1;
    struct relay_pool *rows;

    if (ask->count == ask->cap) {
        rows = realloc(ask->rows, cap * sizeof(*rows));
        if (!rows)
            return NULL;
        ask->rows = rows;
        ask->cap = cap;
    }
    return &ask->rows[ask->count++];
}

static bool take_pool(struct ask *ask, const struct ipc_pool *pool)
{
    const struct account *account = registry_by_id(ask->view->registry, pool->id);
    char id[IPC_ID_MAX + 1];
    struct relay_pool *row;

    if (!slice_copy(pool->id, id, sizeof(id)) || !in_turn(ask, id))
        return false;
    memcpy(ask->last, id, sizeof(id));
    ask->seen++;
    if (!account)
        return true; /* it was removed a moment ago */
    row = add_row(ask);
    if (!row) {
        fail(ask, "out of memory");
        return true;
    }
    memcpy(row->id, id, sizeof(id));
    copy_printable(pool->endpoint, row->endpoint, sizeof(row->endpoint));
    row->numbers = *pool;
    return true;
}

static void take_snapshot_done(struct ask *ask, bool more)
{
    take_out(ask);
    for (size_t i = 0; i < ask->count; i++) { /* they stay where they are now */
        ask->rows[i].numbers.id = slice_of(ask->rows[i].id);
        ask->rows[i].numbers.endpoint = slice_of(ask->rows[i].endpoint);
    }
    ask->done(ask->owner, ask->rows, ask->count, more && ask->count > 0, NULL);
    ask_free(ask);
}

static void take_probe_done(struct ask *ask, const struct ipc_probe_done *done)
{
    char text[IPC_TEXT_MAX + 1], step[64], line[sizeof(text) + sizeof(step) + 2];

    copy_printable(done->text, text, sizeof(text));
    copy_printable(done->step, step, sizeof(step));
    snprintf(line, sizeof(line), "%s: %s", step, text);
    take_out(ask);
    ask->probed(ask->owner, done->ok, done->ok ? "logged in" : line);
    ask_free(ask);
}

static bool take_step(struct ask *ask, const struct ipc_diagnosis_step *step)
{
    char text[IPC_TEXT_MAX + 1];
    struct relay_step told = {.step = (enum ipc_step)step->step,
                              .result = (enum ipc_step_result)step->result,
                              .state = (enum account_state)step->state,
                              .code = step->code,
                              .took_ms = step->took_ms < STEP_MS_MAX ? step->took_ms : STEP_MS_MAX,
                              .text = text};

    if (ask->told & 1u << step->step)
        return false;
    ask->told |= 1u << step->step;
    copy_printable(step->text, text, sizeof(text));
    ask->step(ask->owner, &told);
    return true;
}

static void take_diagnosis_done(struct ask *ask, const struct ipc_diagnosis_done *done)
{
    char text[IPC_TEXT_MAX + 1];

    copy_printable(done->text, text, sizeof(text));
    take_out(ask);
    ask->probed(ask->owner, done->ok, text);
    ask_free(ask);
}

bool relay_view_take(struct relay_view *view, const struct ipc_message *message)
{
    struct ask *ask;

    switch (message->type) {
    case IPC_POOL:
        ask = find(view, message->u.pool.request, ASK_SNAPSHOT);
        return !ask || take_pool(ask, &message->u.pool);
    case IPC_SNAPSHOT_DONE:
        ask = find(view, message->u.snapshot_done.request, ASK_SNAPSHOT);
        if (ask)
            take_snapshot_done(ask, message->u.snapshot_done.more);
        return true;
    case IPC_PROBE_DONE:
        ask = find(view, message->u.probe_done.request, ASK_PROBE);
        if (ask)
            take_probe_done(ask, &message->u.probe_done);
        return true;
    case IPC_DIAGNOSIS_STEP:
        ask = find(view, message->u.diagnosis_step.request, ASK_DIAGNOSIS);
        return !ask || take_step(ask, &message->u.diagnosis_step);
    case IPC_DIAGNOSIS_DONE:
        ask = find(view, message->u.diagnosis_done.request, ASK_DIAGNOSIS);
        if (ask)
            take_diagnosis_done(ask, &message->u.diagnosis_done);
        return true;
    default:
        return false;
    }
}
