/* Pools as an administrator sees them: pages of accounts that are spread over
 * the workers, and what a row says. */
#include "check.h"

#include <stdio.h>

#include "base/clock.h"
#include "relay/snapshot.h"
#include "relay/upstream_world.h"

#define ACCOUNTS 500
#define ROWS_MAX 1100

static struct {
    struct ipc_pool pools[ROWS_MAX];
    char ids[ROWS_MAX][64], endpoints[ROWS_MAX][64];
    unsigned count, dones;
    bool more;
} heard;

static void hear(const struct ipc_message *message)
{
    const struct ipc_pool *pool = &message->u.pool;

    if (message->type == IPC_SNAPSHOT_DONE) {
        heard.more = message->u.snapshot_done.more;
        check_num("request", (long long)message->u.snapshot_done.request, 9);
        heard.dones++;
    } else if (message->type == IPC_POOL) {
        assert_true(heard.count < ROWS_MAX);
        check_num("request", (long long)pool->request, 9);
        check_num("before its end", heard.dones, 0);
        slice_copy(pool->id, heard.ids[heard.count], sizeof(heard.ids[0]));
        slice_copy(pool->endpoint, heard.endpoints[heard.count], sizeof(heard.endpoints[0]));
        heard.pools[heard.count++] = *pool;
    }
}

static bool is_done(void *unused)
{
    bool done;

    (void)unused;
    pthread_mutex_lock(&ear.lock);
    done = heard.dones > 0;
    pthread_mutex_unlock(&ear.lock);
    return done;
}

static void ask(const char *id, const char *after, uint32_t limit)
{
    struct ipc_snapshot query = {9, slice_of(id), slice_of(after), limit};

    heard.count = heard.dones = 0;
    heard.more = false;
    snapshot_take(relay, &query);
    assert_true(world_until(is_done, NULL));
    check_num("ends", heard.dones, 1);
}

/* Ids in no order, of different lengths. */
static void put_accounts(void)
{
    for (unsigned i = 0; i < ACCOUNTS; i++) {
        struct ipc_account account;
        char id[32];

        snprintf(id, sizeof(id), "%u-acc", i * 7919 % 10007);
        account = world_account(id, 1 + i % 5);
        world_put(&account);
    }
}

static unsigned check_pages(uint32_t limit)
{
    char after[64] = "";
    unsigned seen = 0;

    do {
        ask("", after, limit);
        assert_true(heard.count <= limit);
        for (unsigned i = 0; i < heard.count; i++) {
            if (strcmp(heard.ids[i], after) <= 0)
                fail_msg("%s behind %s", heard.ids[i], after);
            memcpy(after, heard.ids[i], sizeof(after));
        }
        seen += heard.count;
    } while (heard.more);
    return seen;
}

static void check_all(void)
{
    static const uint32_t limits[] = {1, 2, 7, 100, ACCOUNTS - 1, ACCOUNTS, 1000};

    for (size_t i = 0; i < COUNT_OF(limits); i++)
        check_num("accounts", check_pages(limits[i]), ACCOUNTS);
    check_num("a page of none", check_pages(0), 0);
    ask("", "zzz", 10);
    check_num("behind the last", heard.count, 0);
    assert_false(heard.more);
}

static void test_pages_of_one_worker(void **state)
{
    (void)state;
    world_open(1);
    ear.hear = hear;
    ask("", "", 10);
    check_num("none", heard.count, 0);
    put_accounts();
    check_all();
    world_close();
}

static void test_pages_of_several_workers(void **state)
{
    (void)state;
    world_open(3);
    ear.hear = hear;
    put_accounts();
    world_start();
    check_all();
    ask("7919-acc", "", 1);
    check_num("by id", heard.count, 1);
    check_text("id", slice_of(heard.ids[0]), "7919-acc");
    ask("nobody", "", 1);
    check_num("by id", heard.count, 0);
    world_close();
}

static const struct ipc_pool *look(void)
{
    ask(A, "", 1);
    check_num("rows", heard.count, 1);
    return &heard.pools[0];
}

static void test_what_a_row_says(void **state)
{
    const struct ipc_pool *row;
    struct ipc_account account;
    char endpoint[64];
    uint64_t before = clock_wall_ms();

    (void)state;
    world_open(1);
    ear.hear = hear;
    account = world_account(A, 1);
    account.max_concurrent = 5;
    world_put(&account);
    world_token(A, 3600000);
    world_conf->logins_per_minute = 4;
    row = look();
    check_num("idle", row->idle, 0);
    check_num("cap", row->max_connections, 1);
    check_num("concurrent", row->max_concurrent, 5);
    check_num("login limit", row->max_logins, 4);
    check_num("last", (long long)row->last_delivery_wall_ms, 0);
    snprintf(endpoint, sizeof(endpoint), "127.0.0.1:%u", provider.port);
    check_text("endpoint", slice_of(heard.endpoints[0]), endpoint);
    SCRIPT({.nth = 4, .step = STEP_FINAL, .act = ACT_ACCEPT_CLOSE},
           {.nth = 2, .step = STEP_FINAL, .act = ACT_SAY, .text = "550 5.7.1 no"},
           {.nth = 3, .step = STEP_FINAL, .act = ACT_SAY, .text = "451 4.3.0 later"});
    for (unsigned i = 1; i <= 4; i++)
        world_submit(A, i, 500, 1);
    row = look();
    check_num("dialing", row->dialing, 1);
    check_num("waiting", row->waiting, 4);
    check_num("logins", row->logins, 1);
    for (unsigned i = 1; i <= 4; i++)
        world_wait(&sents[i], 1);
    row = look();
    check_num("delivered", (long long)row->delivered, 1);
    check_num("rejected", (long long)row->rejected, 1);
    check_num("deferred", (long long)row->deferred, 1);
    check_num("unknown", (long long)row->unknown, 1);
    check_num("running", row->running, 0);
    assert_true(row->last_delivery_wall_ms >= before);
    upstream_remove(first, SLICE(A));
    ask(A, "", 1);
    check_num("removed", heard.count, 0);
    world_close();
}

/* The gauges follow every move. */
static void test_gauges(void **state)
{
    struct stats sum = {0};

    (void)state;
    world_open(1);
    ear.hear = hear;
    open_with(2);
    SCRIPT({.step = STEP_FINAL, .act = ACT_LATE, .text = "30"});
    for (unsigned i = 1; i <= 10; i++)
        world_submit(A, i, 500, 1);
    stats_sum(relay->stats, &sum);
    check_num("dialing", (long long)sum.upstream_dialing, 2);
    check_num("waiting", (long long)sum.messages_waiting, 10);
    check_num("accounts", (long long)sum.accounts, 1);
    for (unsigned i = 1; i <= 10; i++)
        world_wait(&sents[i], 1);
    world_run(50);
    memset(&sum, 0, sizeof(sum));
    stats_sum(relay->stats, &sum);
    check_num("dialing", (long long)sum.upstream_dialing, 0);
    check_num("idle", (long long)sum.upstream_idle, 2);
    check_num("busy", (long long)sum.upstream_busy, 0);
    check_num("waiting", (long long)sum.messages_waiting, 0);
    check_num("running", (long long)sum.messages_running, 0);
    upstream_remove(first, SLICE(A));
    world_run(50);
    memset(&sum, 0, sizeof(sum));
    stats_sum(relay->stats, &sum);
    check_num("idle", (long long)sum.upstream_idle, 0);
    check_num("draining", (long long)sum.upstream_draining, 0);
    check_num("accounts", (long long)sum.accounts, 0);
    world_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages_of_one_worker),
        cmocka_unit_test(test_pages_of_several_workers),
        cmocka_unit_test(test_what_a_row_says),
        cmocka_unit_test(test_gauges),
    };

    return cmocka_run_group_tests_name("relay/snapshot", tests, NULL, NULL);
}
