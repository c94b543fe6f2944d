#include "relay/upstream_world.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "check.h"
#include "net/certificate.h"
#include "net/tls.h"
#include "relay/link.h"
#include "relay/upstream/pool.h"

struct provider provider;
struct relay *relay;
struct worker *first;
struct conf *world_conf;
struct broker_ear ear;
struct sent sents[WORLD_JOBS];

static struct certificate certificate;
static SSL_CTX *server_tls;
static bool threads_run;

/* --- the broker's end --- */

static void give_token(struct worker *worker, void *arg)
{
    struct ipc_token *token = arg;

    upstream_token(worker, token);
    free((void *)(uintptr_t)token->id.ptr);
    free(token);
}

static struct worker *owner_of(struct slice id)
{
    return relay->workers[account_hash(id) % relay->worker_count];
}

static void post_token(struct slice id)
{
    struct ipc_token *token = malloc(sizeof(*token));

    *token = (struct ipc_token){.id = {slice_dup(id), id.len},
                                .token = SLICE("fresh-token"),
                                .generation = 1,
                                .serial = ++ear.serial,
                                .expires_wall_ms = clock_wall_ms() + ear.life_ms};
    worker_call(owner_of(id), give_token, token);
}

bool link_send(struct relay *to, const struct ipc_message *message)
{
    assert_ptr_equal(to, relay);
    pthread_mutex_lock(&ear.lock);
    if (message->type == IPC_TOKEN_WANTED) {
        ear.wanted++;
        if (ear.gives_tokens)
            post_token(message->u.token_wanted.id);
    } else if (message->type == IPC_TOKEN_REJECTED) {
        ear.rejected++;
        if (ear.gives_tokens)
            post_token(message->u.token_rejected.id);
    } else if (message->type == IPC_OBSERVED) {
        ear.observed++;
        ear.last_state = message->u.observed.state;
    }
    if (ear.hear)
        ear.hear(message);
    ear.resolves += message->type == IPC_RESOLVE;
    pthread_mutex_unlock(&ear.lock);
    return true;
}

void link_forward(struct worker *worker, const struct ipc_message *message,
                  void (*take)(struct worker *, const struct ipc_message *))
{
    take(worker, message);
}

/* The main thread is whoever has the lock. */
void link_call(struct relay *of, void (*fn)(void *arg), void *arg)
{
    static pthread_mutex_t main_thread = PTHREAD_MUTEX_INITIALIZER;

    assert_ptr_equal(of, relay);
    pthread_mutex_lock(&main_thread);
    fn(arg);
    pthread_mutex_unlock(&main_thread);
}

void link_worker_drained(struct worker *worker)
{
    (void)worker;
}

/* --- life --- */

static struct settings *make_settings(void)
{
    struct settings *settings = calloc(1, sizeof(*settings));
    struct reason why;

    atomic_init(&settings->refs, 1);
    settings->conf = world_conf = conf_default();
    world_conf->upstream_command_ms = 3000;
    world_conf->upstream_final_ms = 3000;
    world_conf->connect_timeout_ms = 3000;
    world_conf->logins_per_minute = 0;
    world_conf->global_concurrency = 0;
    settings->client_tls = tls_client_context(slice_of(certificate.cert_pem), &why);
    slice_copy(SLICE("relay.test"), settings->upstream_helo, sizeof(settings->upstream_helo));
    assert_non_null(settings->client_tls);
    return settings;
}

static void open_relay(unsigned workers)
{
    struct settings *settings = make_settings();
    struct reason why;

    relay = calloc(1, sizeof(*relay));
    relay->stats = aligned_alloc(128, sizeof(*relay->stats));
    memset(relay->stats, 0, sizeof(*relay->stats));
    relay->directory = directory_new();
    for (unsigned i = 0; i < workers; i++) {
        relay->workers[i] = worker_new(relay, i, settings, &why);
        assert_non_null(relay->workers[i]);
        relay->worker_count++;
    }
    first = relay->workers[0];
    settings_unref(settings);
}

void world_open(unsigned workers)
{
    struct reason why;

    if (!server_tls) {
        signal(SIGPIPE, SIG_IGN);
        log_set_level(getenv("TEST_LOG") ? LOG_DEBUG : LOG_ERROR);
        certificate_make(&certificate);
        server_tls =
            tls_server_context(slice_of(certificate.cert_pem), slice_of(certificate.key_pem), &why);
        assert_non_null(server_tls);
    }
    ear = (struct broker_ear){.gives_tokens = true, .life_ms = 3600000};
    pthread_mutex_init(&ear.lock, NULL);
    memset(sents, 0, sizeof(sents));
    provider_start(&provider, server_tls);
    open_relay(workers);
    threads_run = false;
}

void world_start(void)
{
    struct reason why;

    for (unsigned i = 0; i < relay->worker_count; i++)
        assert_true(worker_start(relay->workers[i], &why));
    threads_run = true;
}

static void end_here(struct worker *worker)
{
    mailbox_close(&worker->mailbox);
    upstream_free(worker->accounts);
    loop_close(&worker->loop); /* asserts that every chunk is back */
    settings_unref(worker->settings);
}

void world_close(void)
{
    for (unsigned i = 0; i < WORLD_JOBS && !threads_run; i++)
        world_forget(&sents[i]); /* bodies are of their worker's chunks */
    for (unsigned i = 0; i < relay->worker_count; i++) {
        if (threads_run)
            worker_post_end(relay->workers[i]);
    }
    for (unsigned i = 0; i < relay->worker_count; i++) {
        if (threads_run)
            worker_join(relay->workers[i]);
        else
            end_here(relay->workers[i]);
    }
    for (unsigned i = 0; i < relay->worker_count; i++)
        worker_free(relay->workers[i]);
    check_num("memory used", (long long)atomic_load(&relay->memory_used), 0);
    for (int i = 0; i < 1000 && provider_open(&provider); i++)
        usleep(2000);
    check_num("left open", provider_open(&provider), 0);
    provider_stop(&provider);
    directory_free(relay->directory);
    free(relay->stats);
    free(relay);
}

/* --- accounts --- */

struct ipc_account world_account(const char *id, unsigned max_connections)
{
    return (struct ipc_account){
        .id = slice_of(id),
        .login = slice_of(id),
        .sasl_user = slice_of(id),
        .provider = SLICE("gmail"),
        .host = SLICE("127.0.0.1"),
        .port = provider.port,
        .tls = provider.implicit ? CONF_UPSTREAM_IMPLICIT : CONF_UPSTREAM_STARTTLS,
        .generation = 1,
        .max_connections = max_connections,
        .max_messages_per_connection = 0,
        .max_age_ms = 300000,
        .idle_ms = 60000,
        .breaker_failures = 3,
        .breaker_recovery_ms = 1000,
    };
}

void world_put(const struct ipc_account *account)
{
    if (account->group.len)
        upstream_group(owner_of(account->group), account);
    upstream_put(owner_of(account->id), account);
    directory_put(relay->directory, account);
}

void world_token(const char *id, unsigned life_ms)
{
    struct ipc_token token = {.id = slice_of(id),
                              .token = SLICE("first-token"),
                              .generation = 1,
                              .serial = ++ear.serial,
                              .expires_wall_ms = clock_wall_ms() + life_ms};

    upstream_token(owner_of(slice_of(id)), &token);
}

void world_state(const char *id, enum account_state state)
{
    struct ipc_state message = {
        .id = slice_of(id), .generation = 1, .state = state, .text = SLICE("as told")};

    upstream_state(owner_of(slice_of(id)), &message);
}

struct account *world_find(const char *id)
{
    return account_find(owner_of(slice_of(id))->accounts, slice_of(id));
}

/* --- jobs --- */

static void on_done(struct job *job)
{
    struct sent *sent = job->owner;

    sent->over = job->outcome != OUTCOME_NONE;
    __atomic_add_fetch(&sent->dones, 1, __ATOMIC_RELEASE);
}

void world_add_rcpt(struct sent *sent, const char *address)
{
    struct smtp_rcpt rcpt = {.recipient.mailbox = slice_of(address)};

    assert_true(envelope_add_rcpt(&sent->job.envelope, &rcpt));
}

static void fill_body(struct body *body, unsigned id, size_t size)
{
    char line[79], head[32];
    int len = snprintf(head, sizeof(head), "Id: %u\r\n", id);

    assert_true(body_add(body, head, (size_t)len));
    memset(line, 'x', sizeof(line));
    memcpy(line + 77, "\r\n", 2);
    while (body->size < size) {
        size_t rest = size - (size_t)body->size;

        assert_true(body_add(body, rest < 79 ? line + 79 - rest : line, rest < 79 ? rest : 79));
    }
}

struct sent *world_job(const char *account, unsigned id, size_t size, unsigned rcpts)
{
    return world_job_of(first, account, id, size, rcpts);
}

struct sent *world_job_of(struct worker *origin, const char *account, unsigned id, size_t size,
                          unsigned rcpts)
{
    struct sent *sent = &sents[id];
    struct smtp_mail mail = {.sender.mailbox = slice_of(account)};
    char address[64];

    assert_null(sent->login);
    sent->id = id;
    sent->login = directory_find(relay->directory, slice_of(account));
    assert_non_null(sent->login);
    job_init(&sent->job, origin, sent->login, "127.0.0.1");
    sent->job.done = on_done;
    sent->job.owner = sent;
    assert_true(envelope_set_sender(&sent->job.envelope, &mail));
    for (unsigned i = 0; i < rcpts; i++) {
        snprintf(address, sizeof(address), "r%u@example.net", i);
        world_add_rcpt(sent, address);
    }
    if (size)
        fill_body(&sent->job.body, id, size);
    return sent;
}

struct sent *world_submit(const char *account, unsigned id, size_t size, unsigned rcpts)
{
    struct sent *sent = world_job(account, id, size, rcpts);

    job_submit(&sent->job, JOB_DELIVER);
    return sent;
}

void world_forget(struct sent *sent)
{
    if (!sent->login)
        return;
    job_clear(&sent->job);
    login_unref(sent->login);
    *sent = (struct sent){0};
}

/* --- time --- */

static void step(void)
{
    for (unsigned i = 0; !threads_run && i < relay->worker_count; i++) {
        uv_run(&relay->workers[i]->loop.uv, UV_RUN_NOWAIT);
        check_caps();
    }
    usleep(200);
}

void world_run(unsigned ms)
{
    uint64_t until = clock_us() + ms * 1000ull;

    while (clock_us() < until)
        step();
}

bool world_until(bool (*condition)(void *), void *arg)
{
    uint64_t until = clock_us() + PATIENCE_MS * 1000ull;

    while (!condition(arg)) {
        if (clock_us() > until)
            return false;
        step();
    }
    return true;
}

static bool holds(void *count)
{
    return provider_held(&provider) == *(unsigned *)count;
}

void world_wait_held(unsigned count)
{
    world_until(holds, &count);
    check_num("held", provider_held(&provider), count);
}

static bool has_open(void *count)
{
    return provider_open(&provider) == *(unsigned *)count;
}

void world_wait_open(unsigned count)
{
    world_until(has_open, &count);
    check_num("open", provider_open(&provider), count);
}

void world_wait(struct sent *sent, unsigned dones)
{
    uint64_t until = clock_us() + PATIENCE_MS * 1000ull;

    while (__atomic_load_n(&sent->dones, __ATOMIC_ACQUIRE) < dones && clock_us() < until)
        step();
    check_num("answers", sent->dones, dones);
}

/* --- one account's everyday --- */

void open_with(unsigned max_connections)
{
    struct ipc_account account;

    account = world_account(A, max_connections);
    world_put(&account);
    world_token(A, 3600000);
}

void begin(unsigned max_connections)
{
    world_open(1);
    open_with(max_connections);
}

struct sent *deliver(unsigned id, size_t size, unsigned rcpts)
{
    struct sent *sent = world_submit(A, id, size, rcpts);

    world_wait(sent, 1);
    return sent;
}

/* --- checks --- */

void check_outcome(const struct sent *sent, enum job_outcome outcome, int code)
{
    if (sent->job.outcome != outcome || sent->job.reply.code != code)
        fail_msg("job %u: %s %d \"%s\", wanted %s %d", sent->id,
                 job_outcome_names[sent->job.outcome], sent->job.reply.code,
                 sent->job.reply.text ? sent->job.reply.text : "", job_outcome_names[outcome],
                 code);
}

void check_caps(void)
{
    for (unsigned i = 0; i < (threads_run ? 0 : relay->worker_count); i++) {
        struct account_table *table = relay->workers[i]->accounts;
        struct account *account, *next;
        size_t jobs = 0, running = 0;

        HASH_ITER (hh, table->accounts, account, next) {
            if (pool_connections(account) > account->max_connections)
                fail_msg("%s has %zu connections", account->id, pool_connections(account));
            jobs += account->jobs;
            running += account->running.count;
        }
        check_num("jobs", (long long)table->jobs, (long long)jobs);
        check_num("running", (long long)table->running, (long long)running);
    }
}
