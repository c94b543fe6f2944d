#include "relay/snapshot.h"

#include <stdlib.h>

#include "relay/directory.h"
#include "relay/link.h"
#include "relay/upstream/rows.h"

struct snapshot;

struct part { /* of one worker */
    struct snapshot *snapshot;
    struct worker *worker;
    struct pool_rows rows;
    size_t sent;
};

struct snapshot {
    struct relay *relay;
    struct ipc_snapshot query; /* its texts are below */
    char id[IPC_ID_MAX + 1], after[IPC_ID_MAX + 1];
    unsigned count, pending;
    struct part parts[];
};

static void snapshot_free(struct snapshot *snapshot)
{
    for (unsigned i = 0; i < snapshot->count; i++)
        pool_rows_clear(&snapshot->parts[i].rows);
    free(snapshot);
}

/* The part whose next row has the smallest id; NULL: all are told. */
static struct part *next_part(struct snapshot *snapshot)
{
    struct part *best = NULL;

    for (unsigned i = 0; i < snapshot->count; i++) {
        struct part *part = &snapshot->parts[i];

        if (part->sent < part->rows.count &&
            (!best || strcmp(part->rows.rows[part->sent].id, best->rows.rows[best->sent].id) < 0))
            best = part;
    }
    return best;
}

static void tell(struct snapshot *snapshot)
{
    struct ipc_message message;
    uint32_t rows = 0;
    size_t matches = 0;
    struct part *part;

    for (unsigned i = 0; i < snapshot->count; i++)
        matches += snapshot->parts[i].rows.matches;
    while (rows < snapshot->query.limit && (part = next_part(snapshot))) {
        message = (struct ipc_message){.type = IPC_POOL};
        message.u.pool = part->rows.rows[part->sent++].pool;
        message.u.pool.request = snapshot->query.request;
        link_send(snapshot->relay, &message);
        rows++;
    }
    message = (struct ipc_message){.type = IPC_SNAPSHOT_DONE};
    message.u.snapshot_done =
        (struct ipc_snapshot_done){snapshot->query.request, matches > rows && rows > 0};
    link_send(snapshot->relay, &message);
}

static void on_part(void *arg)
{
    struct snapshot *snapshot = arg;

    if (--snapshot->pending)
        return;
    tell(snapshot);
    snapshot_free(snapshot);
}

static void collect(struct worker *worker, void *arg)
{
    struct part *part = arg;

    upstream_rows(worker, &part->snapshot->query, &part->rows);
    link_call(worker->relay, on_part, part->snapshot);
}

static void add_part(struct snapshot *snapshot, struct worker *worker)
{
    snapshot->parts[snapshot->count++] = (struct part){.snapshot = snapshot, .worker = worker};
}

void snapshot_take(struct relay *relay, const struct ipc_snapshot *query)
{
    unsigned workers = relay->worker_count;
    struct snapshot *snapshot = calloc(1, sizeof(*snapshot) + workers * sizeof(struct part));

    if (!snapshot)
        return; /* the broker does not wait for ever */
    snapshot->relay = relay;
    slice_copy(query->id, snapshot->id, sizeof(snapshot->id));
    slice_copy(query->after, snapshot->after, sizeof(snapshot->after));
    snapshot->query = (struct ipc_snapshot){query->request, slice_of(snapshot->id),
                                            slice_of(snapshot->after), query->limit};
    if (query->id.len)
        add_part(snapshot, relay->workers[account_hash(query->id) % workers]);
    for (unsigned i = 0; !query->id.len && i < workers; i++)
        add_part(snapshot, relay->workers[i]);
    /* Before the first can be back. */
    snapshot->pending = snapshot->count;
    for (unsigned i = 0; i < snapshot->count; i++)
        worker_call(snapshot->parts[i].worker, collect, &snapshot->parts[i]);
}
