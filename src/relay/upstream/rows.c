#include "relay/upstream/rows.h"

#include <stdlib.h>

#include "relay/upstream/account.h"
#include "relay/upstream/capacity.h"
#include "relay/upstream/pool.h"

/* The smallest ids seen so far, the largest of them on top: a heap, so that a
 * page of a hundred thousand accounts takes one walk and the page's memory. */
struct smallest {
    struct account **heap;
    size_t count, cap;
};

static int by_id(const void *a, const void *b)
{
    const struct account *const *left = a, *const *right = b;

    return strcmp((*left)->id, (*right)->id);
}

static void swap(struct account **a, struct account **b)
{
    struct account *kept = *a;

    *a = *b;
    *b = kept;
}

static void sift_up(struct account **heap, size_t at)
{
    while (at && by_id(&heap[at], &heap[(at - 1) / 2]) > 0) {
        swap(&heap[at], &heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
}

static void sift_down(struct account **heap, size_t count)
{
    size_t at = 0, child;

    while ((child = 2 * at + 1) < count) {
        if (child + 1 < count && by_id(&heap[child + 1], &heap[child]) > 0)
            child++;
        if (by_id(&heap[child], &heap[at]) <= 0)
            return;
        swap(&heap[at], &heap[child]);
        at = child;
    }
}

static void offer(struct smallest *smallest, struct account *account)
{
    if (smallest->count < smallest->cap) {
        smallest->heap[smallest->count] = account;
        sift_up(smallest->heap, smallest->count++);
    } else if (by_id(&account, &smallest->heap[0]) < 0) {
        smallest->heap[0] = account;
        sift_down(smallest->heap, smallest->count);
    }
}

static uint32_t clamp(size_t count)
{
    return count < UINT32_MAX ? (uint32_t)count : UINT32_MAX;
}

static void fill_limits(struct ipc_pool *pool, struct account *account)
{
    uint64_t now = loop_now(&account->worker->loop);
    struct limits *limits = &account->limits;
    enum limit which;

    pool->connections_now = capacity_connections(account);
    pool->minute = clamp(limits_used(limits, now, LIMIT_MINUTE));
    pool->hour = clamp(limits_used(limits, now, LIMIT_HOUR));
    pool->day = clamp(limits_used(limits, now, LIMIT_DAY));
    pool->recipients = clamp(limits_used(limits, now, LIMIT_RECIPIENTS));
    pool->max_minute = limits->max[LIMIT_MINUTE];
    pool->max_hour = limits->max[LIMIT_HOUR];
    pool->max_day = limits->max[LIMIT_DAY];
    pool->max_recipients = limits->max[LIMIT_RECIPIENTS];
    pool->message_wait_ms = limits_wait(limits, now, 1, 1, &which);
    pool->breaker_wait_ms = attempts_breaker_wait(account);
}

static bool fill_row(struct pool_row *row, struct account *account)
{
    const uint64_t *messages = account->messages;

    row->id = slice_dup(slice_of(account->id));
    row->endpoint = slice_dup(slice_of(account->endpoint->key));
    if (!row->id || !row->endpoint)
        return false;
    row->pool = (struct ipc_pool){
        .id = slice_of(row->id),
        .endpoint = slice_of(row->endpoint),
        .dialing = clamp(account->pool[POOL_DIALING].count),
        .idle = clamp(account->pool[POOL_IDLE].count),
        .busy = clamp(account->pool[POOL_BUSY].count),
        .draining = clamp(account->pool[POOL_DRAINING].count),
        .waiting = clamp(account->waiting.count),
        .running = clamp(account->running.count),
        .max_connections = account->max_connections,
        .max_concurrent = account->max_concurrent,
        .dial_failures = account->breaker.failures,
        .logins = attempts_logins(account),
        .max_logins = worker_conf(account->worker)->logins_per_minute,
        .login_wait_ms = attempts_login_wait(account),
        .delivered = messages[OUTCOME_DELIVERED],
        .rejected = messages[OUTCOME_REJECTED],
        .deferred = messages[OUTCOME_DEFERRED],
        .unknown = messages[OUTCOME_UNKNOWN],
        .last_delivery_wall_ms = account->last_delivery_wall_ms,
    };
    fill_limits(&row->pool, account);
    return true;
}

static bool is_shown(const struct account *account)
{
    return !account->removed && account->endpoint;
}

static void select_one(struct account_table *table, struct slice id, struct smallest *smallest)
{
    struct account *account = account_find(table, id);

    if (account && is_shown(account))
        offer(smallest, account);
}

static size_t select_page(const struct account_table *table, struct slice after,
                          struct smallest *smallest)
{
    char behind[IPC_ID_MAX + 1];
    struct account *account;
    size_t matches = 0;

    slice_copy(after, behind, sizeof(behind));
    for (account = table->accounts; account; account = account->hh.next) {
        if (!is_shown(account) || strcmp(account->id, behind) <= 0)
            continue;
        offer(smallest, account);
        matches++;
    }
    return matches;
}

static void fill_rows(const struct smallest *smallest, struct pool_rows *out)
{
    out->rows = calloc(smallest->count ? smallest->count : 1, sizeof(*out->rows));
    for (size_t i = 0; out->rows && i < smallest->count; i++) {
        out->count++;
        if (!fill_row(&out->rows[i], smallest->heap[i])) {
            pool_rows_clear(out);
            return;
        }
    }
}

void upstream_rows(struct worker *worker, const struct ipc_snapshot *query, struct pool_rows *out)
{
    size_t cap = query->id.len ? 1 : query->limit;
    struct smallest smallest = {calloc(cap ? cap : 1, sizeof(*smallest.heap)), 0, cap};

    *out = (struct pool_rows){NULL, 0, 0};
    if (smallest.heap && cap) {
        if (query->id.len)
            select_one(worker->accounts, query->id, &smallest);
        else
            out->matches = select_page(worker->accounts, query->after, &smallest);
        qsort(smallest.heap, smallest.count, sizeof(*smallest.heap), by_id);
        fill_rows(&smallest, out);
    }
    free(smallest.heap);
}

void pool_rows_clear(struct pool_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        free(rows->rows[i].id);
        free(rows->rows[i].endpoint);
    }
    free(rows->rows);
    rows->rows = NULL;
    rows->count = 0;
}
