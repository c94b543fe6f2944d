#include "relay/fake_owner.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "net/tls.h"
#include "relay/upstream/upstream.h"

struct world world;

static struct stats_area area;
static struct worker_listener listener;
static SSL_CTX *server_tls, *client_tls;

/* --- the broker --- */

bool settings_trusts(const struct settings *settings, const struct net_address *client)
{
    (void)settings;
    (void)client;
    return world.trusted;
}

static bool ask(struct request *request, struct slice login, struct slice password,
                request_done *done, void *owner)
{
    for (size_t i = 0; i < COUNT_OF(world.questions); i++) {
        struct question *question = &world.questions[i];

        if (question->request)
            continue;
        question->request = request;
        slice_copy(login, question->login, sizeof(question->login));
        slice_copy(password, question->password, sizeof(question->password));
        request->number = i + 1;
        request->done = done;
        request->owner = owner;
        return true;
    }
    return false;
}

bool request_lookup(struct worker *worker, struct request *request, struct slice login,
                    request_done *done, void *owner)
{
    assert_ptr_equal(worker, &world.worker);
    world.lookups++;
    return ask(request, login, SLICE_NONE, done, owner);
}

bool request_password(struct worker *worker, struct request *request, struct slice id,
                      struct slice password, request_done *done, void *owner)
{
    assert_ptr_equal(worker, &world.worker);
    (void)id;
    world.passwords++;
    return ask(request, SLICE_NONE, password, done, owner);
}

void request_cancel(struct request *request)
{
    if (request->number)
        world.questions[request->number - 1].request = NULL;
    request->number = 0;
}

static void answer_lookup(struct request *request, const char *login)
{
    struct ipc_message message = {.type = IPC_LOOKUP_DONE};

    message.u.lookup_done.found = strcmp(login, "late@x") == 0;
    if (message.u.lookup_done.found)
        world_set_account("late@x", true, 1);
    request->done(request, &message);
}

static void answer_password(struct request *request, const char *password)
{
    struct ipc_message message = {.type = IPC_PASSWORD_DONE};

    message.u.password_done.generation = 1;
    message.u.password_done.ok = strcmp(password, "secret") == 0;
    if (strcmp(password, "maybe") == 0)
        message.u.password_done.ok = 2;
    request->done(request, &message);
}

static bool answer_questions(void)
{
    bool any = false;

    for (size_t i = 0; i < COUNT_OF(world.questions) && !world.mute; i++) {
        struct question question = world.questions[i];

        if (!question.request)
            continue;
        any = true;
        request_cancel(question.request);
        if (question.login[0])
            answer_lookup(question.request, question.login);
        else
            answer_password(question.request, question.password);
    }
    return any;
}

unsigned world_questions(void)
{
    unsigned count = 0;

    for (size_t i = 0; i < COUNT_OF(world.questions); i++)
        count += world.questions[i].request != NULL;
    return count;
}

void world_set_account(const char *login, bool has_password, uint64_t generation)
{
    struct ipc_account account = {.login = slice_of(login),
                                  .id = slice_of(login),
                                  .provider = SLICE("gmail"),
                                  .generation = generation,
                                  .has_password = has_password};

    directory_put(world.relay.directory, &account);
}

/* --- the owner --- */

static bool goes_to(const struct job *job, const char *local)
{
    const struct envelope *envelope = &job->envelope;
    size_t at = job->want == JOB_RCPT ? envelope->count - 1 : 0;
    size_t len = strlen(local);

    return strncmp(envelope->rcpts[at].address, local, len) == 0 &&
           envelope->rcpts[at].address[len] == '@';
}

static void note_envelope(const struct job *job)
{
    struct text text;

    text_init(&text, world.envelope, sizeof(world.envelope));
    text_addf(&text, "%s ->", job->envelope.sender);
    for (size_t i = 0; i < job->envelope.count; i++)
        text_addf(&text, " %s", job->envelope.rcpts[i].address);
}

static void note_content(const struct job *job)
{
    struct body_reader reader;
    const unsigned char *run;
    unsigned char scratch[1000];
    ptrdiff_t len;

    world.content_len = 0;
    body_reader_init(&reader, &job->body);
    while ((len = body_read(&reader, &run, scratch, sizeof(scratch))) > 0) {
        if (world.content_len + (size_t)len > world.content_cap) {
            world.content_cap = 2 * (world.content_len + (size_t)len);
            world.content = realloc(world.content, world.content_cap);
        }
        memcpy(world.content + world.content_len, run, (size_t)len);
        world.content_len += (size_t)len;
    }
    assert_int_equal(len, 0);
    assert_int_equal(world.content_len, job->body.size);
}

static void give_back(struct job *job, enum job_outcome outcome, int code,
                      struct smtp_enhanced enhanced, const char *text)
{
    job->outcome = outcome;
    if (code)
        smtp_reply_set(&job->reply, code, enhanced, text);
    world.delivered += outcome == OUTCOME_DELIVERED;
    job_return(job);
}

static void finish(struct job *job)
{
    if (atomic_load(&job->cancelled)) {
        give_back(job, OUTCOME_CANCELLED, 0, (struct smtp_enhanced){0}, NULL);
    } else if (goes_to(job, "bad")) {
        give_back(job, OUTCOME_REJECTED, 550, (struct smtp_enhanced){5, 1, 1}, "no such user");
    } else if (goes_to(job, "mixed")) {
        job->mixed = true;
        give_back(job, OUTCOME_DEFERRED, 451, (struct smtp_enhanced){4, 3, 0}, "mixed");
    } else if (goes_to(job, "dry")) {
        give_back(job, OUTCOME_DRY_RUN, 250, (struct smtp_enhanced){2, 0, 0}, "dry run");
    } else {
        give_back(job, OUTCOME_DELIVERED, 250, (struct smtp_enhanced){2, 0, 0}, "taken\nid 7");
    }
}

static void answer_live_rcpt(struct job *job)
{
    struct recipient *rcpt = &job->envelope.rcpts[job->envelope.count - 1];

    if (goes_to(job, "lost")) {
        give_back(job, OUTCOME_DEFERRED, 451, (struct smtp_enhanced){4, 4, 2}, "lost");
        return;
    }
    rcpt->accepted = !goes_to(job, "bad");
    if (rcpt->accepted)
        smtp_reply_set(&rcpt->reply, 250, (struct smtp_enhanced){2, 1, 5}, "live");
    else
        smtp_reply_set(&rcpt->reply, 550, (struct smtp_enhanced){5, 1, 1}, "live no");
    give_back(job, OUTCOME_NONE, 0, (struct smtp_enhanced){0}, NULL);
}

void upstream_submit(struct job *job)
{
    world.submits++;
    note_envelope(job);
    if (job->want == JOB_ABORT) {
        world.aborts++;
        give_back(job, OUTCOME_CANCELLED, 0, (struct smtp_enhanced){0}, NULL);
        return;
    }
    if (job->want != JOB_RCPT)
        note_content(job);
    if (goes_to(job, "hold") && !world.held)
        world.held = job;
    else if (job->want == JOB_RCPT)
        answer_live_rcpt(job);
    else
        finish(job);
}

void upstream_cancel(struct job *job)
{
    world.cancels++;
    if (world.held != job || world.hold_cancelled)
        return;
    world.held = NULL;
    give_back(job, OUTCOME_CANCELLED, 0, (struct smtp_enhanced){0}, NULL);
}

void owner_release(void)
{
    struct job *job = world.held;

    assert_non_null(job);
    world.held = NULL;
    if (job->want == JOB_RCPT)
        answer_live_rcpt(job);
    else if (world.hold_cancelled) /* it was committed already */
        give_back(job, OUTCOME_DELIVERED, 250, (struct smtp_enhanced){2, 0, 0}, "taken");
    else
        finish(job);
}

/* --- the world --- */

static void set_limits(struct conf *conf)
{
    conf->max_message_size = 200000;
    conf->max_recipients = 4;
    conf->max_line_length = 998;
    conf->memory_limit = 10 << 20;
    conf->spill_threshold = 1 << 20;
    memcpy(conf->spill_dir, "/tmp", 5);
    conf->max_connections = 100;
    conf->max_connections_per_address = 10;
    conf->max_errors = 20;
    conf->max_commands_without_mail = 50;
    conf->command_timeout_ms = 60000;
    conf->data_timeout_ms = 60000;
    conf->auth_failure_delay_ms = 1;
    conf->auth_failures_per_connection = 3;
    conf->auth_failures_per_address = 100;
    conf->auth_failure_window_ms = 60000;
    conf->auth_requires_tls = true;
    conf->live_rcpt_ms = 60000;
}

void world_open(void)
{
    struct reason why;

    memset(&world, 0, sizeof(world));
    memset(&area, 0, sizeof(area));
    set_limits(&world.conf);
    world.trusted = true;
    world.settings.conf = &world.conf;
    world.settings.server_tls = server_tls;
    memcpy(world.settings.hostname, "relay.test", 11);
    world.relay.workers[0] = &world.worker;
    world.relay.worker_count = 1;
    world.relay.directory = directory_new();
    world.worker.relay = &world.relay;
    world.worker.stats = &area.blocks[0];
    world.worker.settings = &world.settings;
    list_init(&world.worker.sessions);
    assert_true(loop_init(&world.worker.loop, &why));
    assert_true(mailbox_init(&world.worker.mailbox, &world.worker.loop, &why));
    world_set_account("user@x", true, 1);
    world_set_account("open@x", false, 1);
}

void world_close(void)
{
    session_close_all(&world.worker);
    mailbox_close(&world.worker.mailbox);
    assert_true(list_empty(&world.worker.sessions));
    loop_close(&world.worker.loop);
    assert_int_equal(atomic_load(&world.relay.clients), 0);
    assert_int_equal(atomic_load(&world.relay.memory_used), 0);
    assert_int_equal(world_questions(), 0);
    directory_free(world.relay.directory);
    free(world.content);
    world.content = NULL;
}

/* A turn does not tell whether anything happened; a few quiet ones do. */
void world_settle(void)
{
    for (int i = 0; i < 6; i++) {
        uv_run(&world.worker.loop.uv, UV_RUN_NOWAIT);
        if (answer_questions())
            i = 0;
    }
}

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void world_run_ms(unsigned ms)
{
    uint64_t until = now_ms() + ms;

    do {
        world_settle();
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    } while (now_ms() < until);
    world_settle();
}

/* --- clients --- */

void client_open(struct client *client, enum conf_tls tls, const char *address, struct slice early)
{
    struct net_address peer;
    int fds[2];

    memset(client, 0, sizeof(*client));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    client->fd = fds[0];
    if (early.len)
        client_send(client, early);
    assert_true(net_address_parse(address, &peer, NULL));
    listener.worker = &world.worker;
    listener.tls = tls;
    session_accept(&listener, fds[1], &peer);
    world_settle();
}

void client_read(struct client *client)
{
    size_t room = sizeof(client->got) - client->len;
    ssize_t n = 0;

    while (!client->eof && room) {
        if (client->ssl)
            n = SSL_read(client->ssl, client->got + client->len, (int)room);
        else
            n = recv(client->fd, client->got + client->len, room, 0);
        if (n > 0) {
            client->len += (size_t)n;
            room -= (size_t)n;
            continue;
        }
        client->eof = client->ssl ? SSL_get_error(client->ssl, (int)n) != SSL_ERROR_WANT_READ
                                  : n == 0 || errno != EAGAIN;
        ERR_clear_error();
        break;
    }
}

static bool send_some(struct client *client, struct slice *bytes)
{
    ssize_t n = client->ssl ? SSL_write(client->ssl, bytes->ptr, (int)bytes->len)
                            : send(client->fd, bytes->ptr, bytes->len, MSG_NOSIGNAL);

    if (n > 0) {
        bytes->ptr += n;
        bytes->len -= (size_t)n;
        return true;
    }
    return client->ssl || errno == EAGAIN;
}

void client_send(struct client *client, struct slice bytes)
{
    while (bytes.len && send_some(client, &bytes)) {
        world_settle();
        client_read(client);
    }
}

void client_forget(struct client *client)
{
    client->len = 0;
}

void client_close(struct client *client)
{
    if (client->ssl)
        SSL_free(client->ssl);
    if (client->fd >= 0)
        close(client->fd);
    client->ssl = NULL;
    client->fd = -1;
    world_settle();
}

/* --- TLS: a certificate for one run --- */

static X509 *self_signed(EVP_PKEY *key)
{
    X509 *cert = X509_new();
    X509_NAME *name = X509_get_subject_name(cert);

    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"relay.test", -1,
                               -1, 0);
    X509_set_issuer_name(cert, name);
    X509_gmtime_adj(X509_getm_notBefore(cert), -60);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_set_pubkey(cert, key);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    return cert;
}

static void make_contexts(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = self_signed(key);

    server_tls = SSL_CTX_new(TLS_server_method());
    assert_int_equal(SSL_CTX_use_certificate(server_tls, cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(server_tls, key), 1);
    client_tls = SSL_CTX_new(TLS_client_method());
    world.settings.server_tls = server_tls;
    X509_free(cert);
    EVP_PKEY_free(key);
}

void client_start_tls(struct client *client)
{
    int rc = 0;

    client->ssl = SSL_new(client_tls);
    SSL_set_fd(client->ssl, client->fd);
    for (int i = 0; i < 20 && rc != 1; i++) {
        rc = SSL_connect(client->ssl);
        world_settle();
    }
    assert_int_equal(rc, 1);
}

__attribute__((constructor)) static void set_up_tls(void)
{
    signal(SIGPIPE, SIG_IGN); /* as the relay does */
    make_contexts();
}

__attribute__((destructor)) static void tear_down_tls(void)
{
    SSL_CTX_free(server_tls);
    SSL_CTX_free(client_tls);
}
