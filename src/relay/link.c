#include "relay/link.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/conn.h"
#include "relay/directory.h"
#include "relay/inbound/session.h"
#include "relay/request.h"
#include "relay/snapshot.h"
#include "relay/upstream/upstream.h"

/* What waits for the broker is bounded: a broker that does not read is dead,
 * and then so are we. */
#define LINK_OUT_MAX (64u << 20)
#define DRAIN_STEP_MS 200

struct link {
    struct relay *relay;
    struct loop loop;
    struct mailbox mailbox;
    struct conn *conn;
    struct ipc_reader reader;
    struct settings *settings; /* of the newest configuration */
    struct timer drain_timer;
    unsigned drain_step; /* of on_drain_deadline */
    unsigned drained;    /* workers that have nothing left to do */
    bool started, draining, ending;
    int status;
};

struct outgoing {
    struct mail mail;
    struct link *link;
    size_t len;
    unsigned char frame[];
};

static void end_link(struct link *link, int status)
{
    link->status = status;
    conn_close(&link->conn);
    loop_stop(&link->loop);
}

/* Nothing can be answered for without the broker, and nothing that was
 * acknowledged is in our hands: the shortest way out is the safe one. */
static void die(struct link *link, const char *why)
{
    log_event(LOG_ERROR, "broker_lost", log_s("reason", why));
    log_stop();
    _exit(link->draining ? 0 : 1);
}

static void deliver_outgoing(struct mail *mail)
{
    struct outgoing *out = container_of(mail, struct outgoing, mail);
    struct link *link = out->link;

    if (link->conn) {
        if (conn_pending(link->conn) > LINK_OUT_MAX)
            die(link, "the broker does not read");
        conn_write(link->conn, out->frame, out->len);
    }
    explicit_bzero(out->frame, out->len);
    free(out);
}

bool link_send(struct relay *relay, const struct ipc_message *message)
{
    size_t len;
    unsigned char *frame = ipc_encode(message, &len);
    struct outgoing *out = frame ? malloc(sizeof(*out) + len) : NULL;

    if (out) {
        out->link = relay->link;
        out->len = len;
        memcpy(out->frame, frame, len);
    }
    if (frame)
        explicit_bzero(frame, len);
    free(frame);
    if (!out)
        return false;
    if (mailbox_post(&relay->link->mailbox, &out->mail, deliver_outgoing))
        return true;
    free(out);
    return false;
}

struct call {
    struct mail mail;
    void (*fn)(void *arg);
    void *arg;
};

static void deliver_call(struct mail *mail)
{
    struct call *call = container_of(mail, struct call, mail);

    call->fn(call->arg);
    free(call);
}

void link_call(struct relay *relay, void (*fn)(void *arg), void *arg)
{
    struct call *call = malloc(sizeof(*call));

    if (!call)
        abort(); /* somebody would wait for ever */
    *call = (struct call){.fn = fn, .arg = arg};
    if (!mailbox_post(&relay->link->mailbox, &call->mail, deliver_call))
        free(call);
}

struct forward {
    struct mail mail;
    struct worker *worker;
    void (*take)(struct worker *worker, const struct ipc_message *message);
    size_t len;
    unsigned char frame[];
};

static void deliver_forward(struct mail *mail)
{
    struct forward *forward = container_of(mail, struct forward, mail);
    struct slice payload = {(char *)forward->frame + 4, forward->len - 4};
    struct ipc_message message;

    if (ipc_decode(payload, &message, NULL))
        forward->take(forward->worker, &message);
    explicit_bzero(forward->frame, forward->len);
    free(forward);
}

void link_forward(struct worker *worker, const struct ipc_message *message,
                  void (*take)(struct worker *worker, const struct ipc_message *message))
{
    size_t len;
    unsigned char *frame = ipc_encode(message, &len);
    struct forward *forward = frame ? malloc(sizeof(*forward) + len) : NULL;

    if (forward) {
        forward->worker = worker;
        forward->take = take;
        forward->len = len;
        memcpy(forward->frame, frame, len);
        if (!mailbox_post(&worker->mailbox, &forward->mail, deliver_forward))
            free(forward);
    }
    if (frame)
        explicit_bzero(frame, len);
    free(frame);
}

static struct worker *owner_of(struct relay *relay, struct slice id)
{
    return relay->workers[account_hash(id) % relay->worker_count];
}

static void take_put(struct worker *worker, const struct ipc_message *message)
{
    upstream_put(worker, &message->u.account);
}

static void take_group(struct worker *worker, const struct ipc_message *message)
{
    upstream_group(worker, &message->u.account);
}

static void take_remove(struct worker *worker, const struct ipc_message *message)
{
    upstream_remove(worker, message->u.account_remove.id);
}

static void take_token(struct worker *worker, const struct ipc_message *message)
{
    upstream_token(worker, &message->u.token);
}

static void take_state(struct worker *worker, const struct ipc_message *message)
{
    upstream_state(worker, &message->u.state);
}

static void take_ledger(struct worker *worker, const struct ipc_message *message)
{
    upstream_ledger(worker, &message->u.ledger_put);
}

static void take_probe(struct worker *worker, const struct ipc_message *message)
{
    upstream_probe(worker, &message->u.probe);
}

static void take_diagnose(struct worker *worker, const struct ipc_message *message)
{
    upstream_diagnose(worker, &message->u.diagnose);
}

static bool send_simple(struct link *link, enum ipc_type type)
{
    struct ipc_message message = {.type = type};

    return link_send(link->relay, &message);
}

static bool take_config(struct link *link, const struct ipc_config *config, struct reason *why)
{
    struct settings *settings = settings_new(config, why);

    if (!settings)
        return false;
    settings_unref(link->settings);
    link->settings = settings;
    log_set_level(settings->conf->log_level);
    log_set_format(settings->conf->log_format);
    for (unsigned i = 0; i < link->relay->worker_count; i++)
        worker_post_settings(link->relay->workers[i], settings_ref(settings));
    return true;
}

/* At least one, at most RELAY_WORKERS_MAX. */
static unsigned wanted_workers(const struct conf *conf)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned count = conf->workers ? conf->workers : cpus > 0 ? (unsigned)cpus : 1;

    /* Each worker gets its share of the limit, so there is none without one. */
    if (conf->global_concurrency && count > conf->global_concurrency)
        count = conf->global_concurrency;
    return count < RELAY_WORKERS_MAX ? count : RELAY_WORKERS_MAX;
}

/* The workers come to be with the first listener: their number is known then. */
static bool make_workers(struct link *link, struct reason *why)
{
    struct relay *relay = link->relay;
    unsigned count = wanted_workers(link->settings->conf);

    for (unsigned i = 0; i < count; i++) {
        relay->workers[i] = worker_new(relay, i, link->settings, why);
        if (!relay->workers[i])
            return false;
        relay->worker_count++;
    }
    return true;
}

static bool take_listener(struct link *link, const struct ipc_listener *listener,
                          struct reason *why)
{
    struct relay *relay = link->relay;
    char address[NET_ADDRESS_TEXT];

    if (!link->settings || link->started)
        return reason_set(why, "a listener out of turn");
    if (!relay->worker_count && !make_workers(link, why))
        return false;
    assert(relay->worker_count > 0);
    slice_copy(listener->address, address, sizeof(address));
    if (listener->worker != UINT32_MAX)
        return worker_add_listener(relay->workers[listener->worker % relay->worker_count],
                                   (int)listener->fd, (enum conf_tls)listener->tls, address, why);
    for (unsigned i = 0; i < relay->worker_count; i++) {
        /* One epoll set per worker, so each needs its own descriptor. */
        int fd = i ? fcntl((int)listener->fd, F_DUPFD_CLOEXEC, 0) : (int)listener->fd;

        if (!worker_add_listener(relay->workers[i], fd, (enum conf_tls)listener->tls, address, why))
            return false;
    }
    return true;
}

static bool take_start(struct link *link, struct reason *why)
{
    struct relay *relay = link->relay;

    if (!link->settings || link->started)
        return reason_set(why, "start out of turn");
    if (!relay->worker_count && !make_workers(link, why))
        return false;
    for (unsigned i = 0; i < relay->worker_count; i++) {
        if (!worker_start(relay->workers[i], why))
            return false;
    }
    link->started = true;
    log_event(LOG_DEBUG, "relay_started", log_u("workers", relay->worker_count));
    return send_simple(link, IPC_READY);
}

static void abort_jobs(struct worker *worker, void *unused)
{
    (void)unused;
    upstream_abort(worker);
}

static void abort_sessions(struct worker *worker, void *unused)
{
    (void)unused;
    session_close_all(worker);
}

static void call_workers(struct link *link, void (*fn)(struct worker *worker, void *arg))
{
    for (unsigned i = 0; i < link->relay->worker_count; i++)
        worker_call(link->relay->workers[i], fn, NULL);
}

/* The time is over. First the jobs get their answers, so that the log knows
 * what became of each message; then the clients that said nothing complete
 * are cut; and if even that does not end it, the process does. */
static void on_drain_deadline(struct timer *timer)
{
    struct link *link = container_of(timer, struct link, drain_timer);

    switch (link->drain_step++) {
    case 0:
        log_event(LOG_WARN, "drain_timeout", log_u("drain_ms", link->settings->conf->drain_ms));
        call_workers(link, abort_jobs);
        break;
    case 1:
        call_workers(link, abort_sessions);
        break;
    default:
        log_stop();
        _exit(0);
    }
    loop_timer_set(&link->loop, timer, DRAIN_STEP_MS);
}

static void take_drain(struct link *link)
{
    if (link->draining)
        return;
    link->draining = true;
    if (!link->started) {
        end_link(link, 0);
        return;
    }
    for (unsigned i = 0; i < link->relay->worker_count; i++)
        worker_post_drain(link->relay->workers[i]);
    loop_timer_set(&link->loop, &link->drain_timer, link->settings->conf->drain_ms);
}

static void sweep(struct worker *worker, void *unused)
{
    (void)unused;
    atomic_store(&worker->sweeping, false); /* before it looks: what is removed now comes again */
    session_end_removed(worker);
}

/* A session may be on any worker. Of many removals in a row, one sweep sees
 * all. */
static void end_sessions(struct relay *relay)
{
    for (unsigned i = 0; i < relay->worker_count; i++) {
        if (!atomic_exchange(&relay->workers[i]->sweeping, true))
            worker_call(relay->workers[i], sweep, NULL);
    }
}

/* Of a relay that has workers. */
static void take_account(struct relay *relay, const struct ipc_message *message)
{
    switch (message->type) {
    case IPC_ACCOUNT_PUT:
        /* The owner first: a login that is found always has its owner's side. */
        if (message->u.account.group.len)
            link_forward(owner_of(relay, message->u.account.group), message, take_group);
        link_forward(owner_of(relay, message->u.account.id), message, take_put);
        if (directory_put(relay->directory, &message->u.account))
            end_sessions(relay);
        break;
    case IPC_ACCOUNT_REMOVE:
        if (directory_remove(relay->directory, message->u.account_remove.id))
            end_sessions(relay);
        link_forward(owner_of(relay, message->u.account_remove.id), message, take_remove);
        break;
    case IPC_TOKEN:
        link_forward(owner_of(relay, message->u.token.id), message, take_token);
        break;
    case IPC_STATE:
        directory_state(relay->directory, &message->u.state);
        link_forward(owner_of(relay, message->u.state.id), message, take_state);
        break;
    case IPC_LEDGER_PUT:
        link_forward(owner_of(relay, message->u.ledger_put.id), message, take_ledger);
        break;
    case IPC_PROBE:
        link_forward(owner_of(relay, message->u.probe.id), message, take_probe);
        break;
    case IPC_DIAGNOSE:
        link_forward(owner_of(relay, message->u.diagnose.id), message, take_diagnose);
        break;
    case IPC_SNAPSHOT:
        snapshot_take(relay, &message->u.snapshot);
        break;
    default:
        break;
    }
}

static bool take_message(struct link *link, const struct ipc_message *message, struct reason *why)
{
    struct relay *relay = link->relay;

    switch (message->type) {
    case IPC_CONFIG:
        return take_config(link, &message->u.config, why);
    case IPC_LISTENER:
        return take_listener(link, &message->u.listener, why);
    case IPC_START:
        return take_start(link, why);
    case IPC_DRAIN:
        take_drain(link);
        return true;
    case IPC_LOG_LEVEL:
        log_set_level((enum log_level)message->u.log_level.level);
        return true;
    case IPC_LOOKUP_DONE:
        request_route(relay, message->u.lookup_done.request, message);
        return true;
    case IPC_PASSWORD_DONE:
        request_route(relay, message->u.password_done.request, message);
        return true;
    case IPC_RESOLVE_DONE:
        request_route(relay, message->u.resolve_done.request, message);
        return true;
    default:
        if (link->started && relay->worker_count) /* not before, not behind the drain */
            take_account(relay, message);
        return true;
    }
}

static size_t on_data(struct conn *conn, struct slice bytes)
{
    struct link *link = conn->owner;
    size_t total = bytes.len;

    while (bytes.len) {
        struct ipc_message message;
        struct reason why = {""};
        size_t used;
        int rc = ipc_reader_next(&link->reader, bytes, &used, &message, &why);

        bytes.ptr += used;
        bytes.len -= used;
        if (rc < 0 || (rc > 0 && !take_message(link, &message, &why))) {
            /* Said once, with the reason; the broker sees the exit status. */
            log_event(LOG_ERROR, "relay_failed", log_s("reason", why.text));
            end_link(link, 2);
            return total;
        }
        if (!link->conn)
            return total;
        if (rc == 0)
            break;
    }
    return total - bytes.len;
}

static void on_event(struct conn *conn, enum conn_event event)
{
    struct link *link = conn->owner;

    if (event == CONN_DRAINED && link->ending)
        end_link(link, 0);
    else if (event == CONN_EOF || event == CONN_FAILED)
        die(link, event == CONN_EOF ? "the broker has ended" : conn_error(conn));
}

static const struct conn_handler link_handler = {on_data, on_event};

/* What this relay did, once, at its end. */
static void log_counters(const struct relay *relay)
{
    struct log_field fields[STATS_WORDS + 1];
    struct stats sum = {0};
    size_t count = 0;

    stats_sum(relay->stats, &sum);
    for (const struct stats_info *info = stats_table; info->name; info++) {
        if (info->kind == STATS_KIND_COUNTER)
            fields[count++] = log_u(info->name, stats_number(&sum, info));
    }
    fields[count].type = LOG_END;
    if (log_on(LOG_INFO))
        log_write_fields(LOG_INFO, "relay_counters", fields);
}

static void all_drained(struct link *link)
{
    struct relay *relay = link->relay;
    struct ipc_message message = {.type = IPC_DRAINED};
    unsigned char *frame;
    size_t len;

    loop_timer_cancel(&link->loop, &link->drain_timer);
    for (unsigned i = 0; i < relay->worker_count; i++)
        worker_post_end(relay->workers[i]);
    for (unsigned i = 0; i < relay->worker_count; i++)
        worker_join(relay->workers[i]);
    for (unsigned i = 0; i < relay->worker_count; i++)
        worker_free(relay->workers[i]);
    log_event(LOG_INFO, "relay_drained", log_u("workers", relay->worker_count));
    log_counters(relay);
    relay->worker_count = 0;
    frame = ipc_encode(&message, &len);
    if (frame)
        conn_write(link->conn, frame, len);
    free(frame);
    link->ending = true; /* with CONN_DRAINED */
}

static void worker_drained(void *arg)
{
    struct link *link = arg;

    if (++link->drained == link->relay->worker_count && link->conn)
        all_drained(link);
}

void link_worker_drained(struct worker *worker)
{
    link_call(worker->relay, worker_drained, worker->relay->link);
}

int link_run(struct relay *relay, int fd)
{
    struct link *link = calloc(1, sizeof(*link));
    struct reason why;
    int status;

    if (!link || !loop_init(&link->loop, &why) || !mailbox_init(&link->mailbox, &link->loop, &why))
        return 2;
    relay->link = link;
    link->relay = relay;
    timer_init(&link->drain_timer, on_drain_deadline);
    ipc_reader_init(&link->reader);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    link->conn = conn_open(&link->loop, fd, &link_handler, link);
    if (!link->conn)
        return 2;
    loop_run(&link->loop);
    status = link->status;
    mailbox_close(&link->mailbox);
    loop_close(&link->loop);
    ipc_reader_clear(&link->reader);
    settings_unref(link->settings);
    free(link);
    return status;
}
