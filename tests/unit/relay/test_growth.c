/* How many connections an account has at work, on a simulated clock. */
#include "check.h"

#include "relay/fake_world.h"
#include "relay/upstream/capacity.h"
#include "relay/upstream/pool.h"

#define A "a@x"
#define MESSAGES 200

static unsigned done;
static size_t most;

static void on_done(struct job *job)
{
    check_num("outcome", job->outcome, OUTCOME_DELIVERED);
    done++;
    login_unref(job->login);
    job_clear(job);
    free(job);
}

static void submit(void)
{
    struct smtp_mail mail = {.sender.mailbox = SLICE("s@x")};
    struct smtp_rcpt rcpt = {.recipient.mailbox = SLICE("r@x")};
    struct job *job = calloc(1, sizeof(*job));

    job_init(job, world.worker, directory_find(world.relay.directory, SLICE(A)), "192.0.2.1");
    job->done = on_done;
    assert_true(envelope_set_sender(&job->envelope, &mail));
    assert_true(envelope_add_rcpt(&job->envelope, &rcpt));
    assert_true(body_add(&job->body, "x\r\n", 3));
    job_submit(job, JOB_DELIVER);
}

static void on_begin(struct upstream_tx *tx)
{
    (void)tx;
}

static void on_open(struct client *client)
{
    size_t open = pool_connections(client->account);

    if (open > most)
        most = open;
}

static void on_taken(struct account *account, uint64_t at, uint64_t recipients)
{
    (void)account;
    (void)at;
    (void)recipients;
}

static void begin(uint32_t start, uint32_t max)
{
    struct ipc_account account;

    fake_world_open(20261126);
    fake.on_begin = on_begin;
    fake.on_open = on_open;
    fake.on_taken = on_taken;
    done = 0;
    most = 0;
    fake_process_begin();
    account = fake_account(A, max);
    account.connections_start = start;
    fake_put(&account);
    fake_token(&account);
}

static void end(void)
{
    fake_process_end();
    fake_world_close();
}

static void test_connections_grow(void **state)
{
    (void)state;
    begin(1, 4);
    world.conf->queue_wait_ms = 600000;
    for (unsigned i = 0; i < MESSAGES; i++)
        submit();
    check_num("first", (long long)most, 1);
    fake_run_until(world.now + 60000);
    check_num("done", done, MESSAGES);
    check_num("most", (long long)most, 4);
    end();
}

/* While not all are at work, more would be of no use. */
static void test_they_do_not_grow_without_need(void **state)
{
    (void)state;
    begin(2, 10);
    for (unsigned i = 0; i < MESSAGES; i++) {
        submit();
        fake_run_until(world.now + 2000);
    }
    check_num("done", done, MESSAGES);
    check_num("most", (long long)most, 1);
    check_num("level", capacity_connections(fake_find(A)), 2);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connections_grow),
        cmocka_unit_test(test_they_do_not_grow_without_need),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
