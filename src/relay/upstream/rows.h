/* What an administrator may see of the accounts of one worker. */
#pragma once

#include "ipc/ipc.h"
#include "relay/worker.h"

struct pool_row {
    struct ipc_pool pool; /* its texts are those below; no request yet */
    char *id, *endpoint;
};

struct pool_rows {
    struct pool_row *rows; /* by id */
    size_t count;
    size_t matches; /* accounts behind `after`, with those that were over the limit */
};

/* The first `limit` accounts behind `after` (or just `id`), on the worker's own
 * thread. Memory and rows are bounded by the limit, time by the accounts. */
void upstream_rows(struct worker *worker, const struct ipc_snapshot *query, struct pool_rows *out);
void pool_rows_clear(struct pool_rows *rows); /* on any thread */
