#include "relay/worker.h"

#include <stdlib.h>

#include "relay/inbound/session.h"
#include "relay/link.h"
#include "relay/upstream/upstream.h"

#define DRAIN_POLL_MS 20

static void on_accepted(struct acceptor *acceptor, int fd, const struct net_address *peer)
{
    session_accept(container_of(acceptor, struct worker_listener, acceptor), fd, peer);
}

static void stop_accepting(struct worker *worker)
{
    for (size_t i = 0; i < worker->listener_count; i++) {
        if (worker->listeners[i].worker)
            acceptor_close(&worker->listeners[i].acceptor, NULL);
        worker->listeners[i].worker = NULL;
    }
}

static bool has_work(const struct worker *worker)
{
    return !list_empty(&worker->sessions) || worker->jobs_out > 0 || upstream_busy(worker) > 0;
}

/* Tells the main thread once, and goes on: another worker may still need the
 * accounts of this one. */
static void on_drain_timer(struct timer *timer)
{
    struct worker *worker = container_of(timer, struct worker, drain_timer);

    if (has_work(worker)) {
        loop_timer_set(&worker->loop, timer, DRAIN_POLL_MS);
    } else {
        upstream_tell_ledgers(worker);
        link_worker_drained(worker);
    }
}

static void drain(struct worker *worker, void *unused)
{
    (void)unused;
    if (worker->draining)
        return;
    worker->draining = true;
    stop_accepting(worker);
    session_drain_all(worker);
    upstream_drain(worker);
    loop_timer_set(&worker->loop, &worker->drain_timer, DRAIN_POLL_MS);
}

static void take_settings(struct worker *worker, void *arg)
{
    settings_unref(worker->settings);
    worker->settings = arg;
    upstream_settings_changed(worker);
}

struct call {
    struct mail mail;
    struct worker *worker;
    void (*fn)(struct worker *worker, void *arg);
    void *arg;
};

static void deliver_call(struct mail *mail)
{
    struct call *call = container_of(mail, struct call, mail);

    call->fn(call->worker, call->arg);
    free(call);
}

void worker_call(struct worker *worker, void (*fn)(struct worker *worker, void *arg), void *arg)
{
    struct call *call = malloc(sizeof(*call));

    if (!call)
        abort(); /* a lost order to a worker would leave the process half-way */
    *call = (struct call){.worker = worker, .fn = fn, .arg = arg};
    if (!mailbox_post(&worker->mailbox, &call->mail, deliver_call))
        free(call);
}

void worker_post_settings(struct worker *worker, struct settings *settings)
{
    worker_call(worker, take_settings, settings);
}

void worker_post_drain(struct worker *worker)
{
    worker_call(worker, drain, NULL);
}

struct worker *worker_new(struct relay *relay, unsigned index, struct settings *settings,
                          struct reason *why)
{
    struct worker *worker = calloc(1, sizeof(*worker));

    if (!worker) {
        reason_set(why, "out of memory for a worker");
        return NULL;
    }
    worker->relay = relay;
    worker->index = index;
    worker->stats = &relay->stats->blocks[index];
    worker->settings = settings_ref(settings);
    list_init(&worker->sessions);
    timer_init(&worker->drain_timer, on_drain_timer);
    if (!loop_init(&worker->loop, why) || !mailbox_init(&worker->mailbox, &worker->loop, why))
        return NULL; /* start-up fails as a whole */
    worker->accounts = upstream_new(worker);
    return worker;
}

bool worker_add_listener(struct worker *worker, int fd, enum conf_tls tls, const char *address,
                         struct reason *why)
{
    struct worker_listener *listener = &worker->listeners[worker->listener_count];

    if (worker->listener_count == CONF_LISTENERS_MAX)
        return reason_set(why, "more than %d listeners", CONF_LISTENERS_MAX);
    listener->worker = worker;
    listener->tls = tls;
    slice_copy(slice_of(address), listener->address, sizeof(listener->address));
    worker->listener_count++;
    return acceptor_start(&listener->acceptor, &worker->loop, fd, on_accepted, listener, why);
}

static void *worker_main(void *arg)
{
    struct worker *worker = arg;

    loop_run(&worker->loop);
    stop_accepting(worker);
    session_close_all(worker);
    mailbox_close(&worker->mailbox);
    upstream_free(worker->accounts);
    worker->accounts = NULL;
    loop_timer_cancel(&worker->loop, &worker->drain_timer);
    loop_close(&worker->loop);
    settings_unref(worker->settings);
    return NULL;
}

static void end_thread(struct worker *worker, void *unused)
{
    (void)unused;
    loop_stop(&worker->loop);
}

void worker_post_end(struct worker *worker)
{
    worker_call(worker, end_thread, NULL);
}

bool worker_start(struct worker *worker, struct reason *why)
{
    if (pthread_create(&worker->thread, NULL, worker_main, worker) != 0)
        return reason_set(why, "cannot start a worker thread");
    return true;
}

void worker_join(struct worker *worker)
{
    pthread_join(worker->thread, NULL);
}

void worker_free(struct worker *worker)
{
    free(worker);
}
