#include "broker/relay_process.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"

#define LINK_FD 3
#define STATS_FD 4
#define FIRST_LISTENER_FD 5
/* A relay that lived so long may be replaced at once. */
#define GOOD_LIFE_MS 10000
#define BACKOFF_MS 100
#define BACKOFF_MAX_MS 5000

struct relay_process {
    struct loop *loop;
    const struct listeners *listeners;
    int log_fd;
    const struct relay_process_events *events;
    void *owner;
    uv_process_t *running; /* allocated per start: libuv closes it later */
    struct relay_link *link;
    struct relay_stats stats;
    struct timer restart;
    uint64_t started_at, backoff_ms, restarts;
    bool ready, ending;
};

static void on_restart(struct timer *timer);
static void link_message(void *owner, const struct ipc_message *message);
static void link_broken(void *owner, const char *why);

static const struct relay_link_events link_events = {link_message, link_broken};

struct relay_process *relay_process_new(struct loop *loop, const struct listeners *listeners,
                                        int log_fd, const struct relay_process_events *events,
                                        void *owner)
{
    struct relay_process *process = calloc(1, sizeof(*process));

    if (!process)
        return NULL;
    process->loop = loop;
    process->listeners = listeners;
    process->log_fd = log_fd;
    process->events = events;
    process->owner = owner;
    timer_init(&process->restart, on_restart);
    return process;
}

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

static void drop_link(struct relay_process *process)
{
    if (!process->link)
        return;
    relay_link_close(&process->link);
    process->events->lost(process->owner);
}

void relay_process_free(struct relay_process *process)
{
    if (!process)
        return;
    process->ending = true;
    loop_timer_cancel(process->loop, &process->restart);
    drop_link(process);
    relay_stats_end(&process->stats);
    if (process->running) {
        uv_process_kill(process->running, SIGKILL);
        process->running->data = NULL;
        uv_close((uv_handle_t *)process->running, free_handle);
    }
    free(process);
}

static void schedule(struct relay_process *process)
{
    uint64_t lived = loop_now(process->loop) - process->started_at;
    uint64_t delay;

    if (lived >= GOOD_LIFE_MS)
        process->backoff_ms = 0;
    delay = process->backoff_ms;
    process->backoff_ms = delay ? delay * 2 : BACKOFF_MS;
    if (process->backoff_ms > BACKOFF_MAX_MS)
        process->backoff_ms = BACKOFF_MAX_MS;
    loop_timer_set(process->loop, &process->restart, delay);
}

static void on_exit_of(uv_process_t *running, int64_t status, int signal)
{
    struct relay_process *process = running->data;
    bool ready;

    uv_close((uv_handle_t *)running, free_handle);
    if (!process)
        return;
    ready = process->ready;
    process->running = NULL;
    process->ready = false;
    relay_stats_end(&process->stats);
    log_event(process->ending ? LOG_INFO : LOG_ERROR, "relay_exited", log_i("pid", running->pid),
              log_i("status", status), log_i("signal", signal),
              log_u("lived_ms", loop_now(process->loop) - process->started_at));
    drop_link(process);
    if (!process->ending)
        schedule(process);
    process->events->exited(process->owner, ready);
}

static void link_message(void *owner, const struct ipc_message *message)
{
    struct relay_process *process = owner;

    process->events->message(process->owner, message);
}

/* A relay that cannot be talked to is of no use, alive or not. */
static void link_broken(void *owner, const char *why)
{
    struct relay_process *process = owner;

    log_event(process->ending ? LOG_DEBUG : LOG_WARN, "relay_lost", log_s("reason", why));
    drop_link(process);
    if (!process->ending)
        relay_process_kill(process);
}

static void on_restart(struct timer *timer)
{
    struct relay_process *process = container_of(timer, struct relay_process, restart);
    struct reason why;

    process->restarts++;
    if (relay_process_start(process, &why))
        return;
    log_event(LOG_ERROR, "relay_start_failed", log_s("reason", why.text));
    schedule(process);
}

uint32_t relay_process_listener_fd(size_t index)
{
    return FIRST_LISTENER_FD + (uint32_t)index;
}

static uv_stdio_container_t inherit(int fd)
{
    return (uv_stdio_container_t){.flags = UV_INHERIT_FD, .data.fd = fd};
}

static int spawn(struct relay_process *process, int link_fd, int stats_fd)
{
    char name[] = "bearerd", role[] = "--relay";
    char *args[] = {name, role, NULL};
    size_t count = FIRST_LISTENER_FD + process->listeners->count;
    uv_stdio_container_t *stdio = calloc(count, sizeof(*stdio));
    uv_process_options_t options = {.exit_cb = on_exit_of,
                                    .file = "/proc/self/exe",
                                    .args = args,
                                    .stdio = stdio,
                                    .stdio_count = (int)count};
    int rc = UV_ENOMEM;

    process->running = calloc(1, sizeof(*process->running));
    if (stdio && process->running) {
        stdio[0].flags = UV_IGNORE;
        stdio[1] = inherit(STDOUT_FILENO);
        stdio[2] = inherit(process->log_fd);
        stdio[LINK_FD] = inherit(link_fd);
        stdio[STATS_FD] = inherit(stats_fd);
        for (size_t i = 0; i < process->listeners->count; i++)
            stdio[FIRST_LISTENER_FD + i] = inherit(process->listeners->sockets[i].fd);
        process->running->data = process;
        rc = uv_spawn(&process->loop->uv, process->running, &options);
    }
    if (rc < 0) {
        if (process->running && process->running->data)
            uv_close((uv_handle_t *)process->running, free_handle); /* uv_spawn began with it */
        else
            free(process->running);
        process->running = NULL;
    }
    free(stdio);
    return rc;
}

bool relay_process_start(struct relay_process *process, struct reason *why)
{
    int ends[2], stats_fd, rc;

    process->started_at = loop_now(process->loop);
    stats_fd = relay_stats_begin(&process->stats, why);
    if (stats_fd < 0)
        return false;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
        close(stats_fd);
        return reason_set(why, "cannot make a channel to the relay: %s", strerror(errno));
    }
    rc = spawn(process, ends[1], stats_fd);
    close(ends[1]);
    close(stats_fd);
    if (rc < 0) {
        close(ends[0]);
        return reason_set(why, "cannot start the relay process: %s", uv_strerror(rc));
    }
    process->link = relay_link_open(process->loop, ends[0], &link_events, process);
    if (!process->link) {
        relay_process_kill(process);
        return reason_set(why, "out of memory for the channel to the relay");
    }
    log_event(LOG_DEBUG, "relay_spawned", log_i("pid", process->running->pid));
    process->events->started(process->owner, process->link);
    return true;
}

bool relay_process_ready(struct relay_process *process)
{
    bool first = !process->ready;

    process->ready = true;
    return first;
}

void relay_process_end(struct relay_process *process)
{
    process->ending = true;
    loop_timer_cancel(process->loop, &process->restart);
}

void relay_process_kill(struct relay_process *process)
{
    if (process->running)
        uv_process_kill(process->running, SIGKILL);
}

bool relay_process_is_ready(const struct relay_process *process)
{
    return process->ready;
}

bool relay_process_runs(const struct relay_process *process)
{
    return process->running != NULL;
}

const struct relay_stats *relay_process_stats(const struct relay_process *process)
{
    return &process->stats;
}

long relay_process_pid(const struct relay_process *process)
{
    return process->running ? process->running->pid : 0;
}

uint64_t relay_process_restarts(const struct relay_process *process)
{
    return process->restarts;
}
