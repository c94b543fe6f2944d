#include "relay/fake_world.h"

#include "base/log.h"
#include "check.h"
#include "net/timer.h"
#include "relay/link.h"

struct fake_world world;

static bool closed; /* the mailboxes */
static struct mail *posted, **posted_last = &posted;

/* --- the world around ------------------------------------------------------------ */

uint64_t __wrap_clock_wall_ms(void);
uint64_t __wrap_clock_us(void);
bool __wrap_mailbox_post(struct mailbox *mailbox, struct mail *mail,
                         void (*deliver)(struct mail *mail));
void __wrap_conn_poke(struct conn *conn);

uint64_t __wrap_clock_wall_ms(void)
{
    return world.now + world.wall_offset;
}

uint64_t __wrap_clock_us(void)
{
    return world.now * 1000;
}

bool __wrap_mailbox_post(struct mailbox *mailbox, struct mail *mail,
                         void (*deliver)(struct mail *mail))
{
    (void)mailbox;
    if (closed)
        return false;
    mail->deliver = deliver;
    mail->next = NULL;
    *posted_last = mail;
    posted_last = &mail->next;
    return true;
}

void __wrap_conn_poke(struct conn *conn)
{
    (void)conn;
}

void fake_deliver(void)
{
    while (posted) {
        struct mail *mail = posted;

        posted = mail->next;
        if (!posted)
            posted_last = &posted;
        mail->deliver(mail);
    }
}

bool link_send(struct relay *relay, const struct ipc_message *message)
{
    (void)relay;
    if (world.heard)
        world.heard(message);
    return true;
}

void link_forward(struct worker *worker, const struct ipc_message *message,
                  void (*take)(struct worker *, const struct ipc_message *))
{
    take(worker, message);
}

void link_call(struct relay *relay, void (*fn)(void *arg), void *arg)
{
    (void)relay;
    fn(arg);
}

void link_worker_drained(struct worker *worker)
{
    (void)worker;
}

/* --- time ------------------------------------------------------------------------- */

static void set_now(uint64_t to)
{
    world.now = to;
    world.worker->loop.uv.time = to;
}

static void moved(void)
{
    if (world.moved)
        world.moved();
}

void fake_run_until(uint64_t to)
{
    while (true) {
        uint64_t timer = timers_next(&world.worker->loop.timers, world.now), next = fake_next();

        fake_deliver();
        timer = timer == UINT64_MAX ? timer : world.now + timer;
        next = next < timer ? next : timer;
        if (next > to)
            break;
        set_now(next > world.now ? next : world.now);
        fake_run(world.now);
        fake_deliver();
        timers_run(&world.worker->loop.timers, world.now);
        fake_deliver();
        moved();
    }
    set_now(to);
    timers_run(&world.worker->loop.timers, world.now);
    fake_deliver();
}

/* --- life ------------------------------------------------------------------------- */

void fake_world_open(uint64_t seed)
{
    memset(&fake, 0, sizeof(fake));
    memset(&world, 0, sizeof(world));
    log_set_level(LOG_ERROR);
    fake.random = seed;
    world.relay.stats = aligned_alloc(128, sizeof(*world.relay.stats));
    memset(world.relay.stats, 0, sizeof(*world.relay.stats));
    world.relay.directory = directory_new();
    world.settings = calloc(1, sizeof(*world.settings));
    atomic_init(&world.settings->refs, 1);
    world.settings->conf = world.conf = conf_default();
    world.now = 1000000;
    world.wall_offset = 1700000000000;
}

void fake_world_close(void)
{
    directory_free(world.relay.directory);
    free(world.relay.stats);
    settings_unref(world.settings);
}

void fake_process_begin(void)
{
    struct reason why;

    world.worker = worker_new(&world.relay, 0, world.settings, &why);
    assert_non_null(world.worker);
    world.relay.workers[0] = world.worker;
    world.relay.worker_count = 1;
    timers_init(&world.worker->loop.timers, world.now);
    world.worker->loop.uv.time = world.now;
}

void fake_process_end(void)
{
    struct worker *worker = world.worker;

    upstream_abort(worker);
    fake_deliver();
    upstream_tell_ledgers(worker);
    closed = true;
    upstream_free(worker->accounts);
    closed = false;
    mailbox_close(&worker->mailbox);
    loop_close(&worker->loop);
    settings_unref(worker->settings);
    free(worker);
}

/* --- accounts ---------------------------------------------------------------------- */

struct ipc_account fake_account(const char *id, uint32_t max_connections)
{
    return (struct ipc_account){.id = slice_of(id),
                                .login = slice_of(id),
                                .sasl_user = slice_of(id),
                                .provider = SLICE("gmail"),
                                .host = SLICE("127.0.0.1"),
                                .port = 25,
                                .bdat = CONF_ON,
                                .generation = 1,
                                .max_connections = max_connections,
                                .max_age_ms = 300000,
                                .idle_ms = 60000};
}

void fake_put(const struct ipc_account *account)
{
    upstream_put(world.worker, account);
    directory_put(world.relay.directory, account);
}

void fake_token(const struct ipc_account *account)
{
    static uint64_t serial;
    struct ipc_token token = {.id = account->id,
                              .token = SLICE("token"),
                              .generation = account->generation,
                              .serial = ++serial,
                              .expires_wall_ms = UINT64_MAX / 4};

    upstream_token(world.worker, &token);
}

struct account *fake_find(const char *id)
{
    return account_find(world.worker->accounts, slice_of(id));
}

static void on_submitted(struct job *job)
{
    check_num("outcome", job->outcome, OUTCOME_DELIVERED);
    world.delivered++;
    login_unref(job->login);
    job_clear(job);
    free(job);
}

void fake_submit(const char *id)
{
    struct smtp_mail mail = {.sender.mailbox = SLICE("s@x")};
    struct smtp_rcpt rcpt = {.recipient.mailbox = SLICE("r@x")};
    struct job *job = calloc(1, sizeof(*job));

    job_init(job, world.worker, directory_find(world.relay.directory, slice_of(id)), "192.0.2.1");
    job->done = on_submitted;
    assert_true(envelope_set_sender(&job->envelope, &mail));
    assert_true(envelope_add_rcpt(&job->envelope, &rcpt));
    assert_true(body_add(&job->body, "x\r\n", 3));
    job_submit(job, JOB_DELIVER);
}
