#include "broker/store/thread.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "broker/store/edit.h"

#define GATHER_MAX_MS 1000
#define LEAVE_MAX_MS 20

/* --- "somebody else changed it" ----------------------------------------------- */

/* On its way at most once; it outlives the store if it must. */
struct thread_notice {
    struct mail mail;
    pthread_mutex_t lock;
    bool travels, closed;
    void (*changed)(void *owner);
    void *owner;
};

static struct thread_notice *notice_new(const struct store_options *options)
{
    struct thread_notice *notice = calloc(1, sizeof(*notice));

    if (!notice)
        return NULL;
    pthread_mutex_init(&notice->lock, NULL);
    notice->changed = options->changed;
    notice->owner = options->owner;
    return notice;
}

static void notice_free(struct thread_notice *notice)
{
    pthread_mutex_destroy(&notice->lock);
    free(notice);
}

static void deliver_notice(struct mail *mail)
{
    struct thread_notice *notice = container_of(mail, struct thread_notice, mail);
    bool closed;

    pthread_mutex_lock(&notice->lock);
    notice->travels = false;
    closed = notice->closed;
    pthread_mutex_unlock(&notice->lock);
    if (closed)
        notice_free(notice);
    else
        notice->changed(notice->owner);
}

/* On the loop's thread; the store's has ended. */
static void notice_close(struct thread_notice *notice)
{
    if (notice && notice->travels)
        notice->closed = true;
    else if (notice)
        notice_free(notice);
}

bool store_thread_is_watched(const struct store_thread *thread)
{
    return thread->notice != NULL;
}

void store_thread_tell_changed(struct store_thread *thread)
{
    struct thread_notice *notice = thread->notice;

    if (!notice)
        return;
    pthread_mutex_lock(&notice->lock);
    if (!notice->travels)
        notice->travels = mailbox_post(thread->results, &notice->mail, deliver_notice);
    pthread_mutex_unlock(&notice->lock);
}

/* --- answers ------------------------------------------------------------------- */

#define REQUEST(job_at, type) container_of(job_at, struct type, job)

static void deliver(struct mail *mail)
{
    struct store_job *job = container_of(mail, struct store_job, mail);

    switch ((enum thread_job)job->kind) {
    case THREAD_LOAD:
        REQUEST(job, store_load)->done(REQUEST(job, store_load));
        break;
    case THREAD_SAVE:
        REQUEST(job, store_save)->done(REQUEST(job, store_save));
        break;
    case THREAD_KEEP:
        REQUEST(job, store_keep)->done(REQUEST(job, store_keep));
        break;
    case THREAD_FETCH:
        REQUEST(job, store_fetch)->done(REQUEST(job, store_fetch));
        break;
    case THREAD_WRITE:
        REQUEST(job, store_write)->done(REQUEST(job, store_write));
        break;
    case THREAD_PAGE:
        REQUEST(job, store_page)->done(REQUEST(job, store_page));
        break;
    case THREAD_REKEY:
        REQUEST(job, store_rekey)->done(REQUEST(job, store_rekey));
        break;
    }
}

void store_thread_fail_changes(struct list *jobs, const struct reason *why)
{
    list_foreach (jobs, node) {
        struct store_job *job = store_thread_job_of(node);

        if (job->kind == THREAD_WRITE) {
            edit_fail_all(REQUEST(job, store_write), why);
            continue;
        }
        if (job->kind == THREAD_KEEP) {
            REQUEST(job, store_keep)->status = STORE_FAILED;
            REQUEST(job, store_keep)->why = *why;
            continue;
        }
        REQUEST(job, store_save)->status = STORE_FAILED;
        REQUEST(job, store_save)->why = *why;
    }
}

/* --- the thread ---------------------------------------------------------------- */

static bool is_hasty(const struct store_job *job)
{
    return job->kind != THREAD_SAVE &&
           job->kind != THREAD_KEEP; /* somebody waits for it, or comes once only */
}

static bool changes(const struct list *jobs)
{
    enum thread_job kind = (enum thread_job)store_thread_job_of(list_first(jobs))->kind;

    return kind == THREAD_SAVE || kind == THREAD_KEEP || kind == THREAD_WRITE;
}

/* The first job and, if it changes something, those behind it that do so too. */
static void take_jobs(struct store_thread *thread, struct list *taken)
{
    bool many = changes(&thread->jobs);

    do {
        struct list_node *node = list_pop_head(&thread->jobs);

        thread->in_haste -= is_hasty(store_thread_job_of(node));
        list_push_tail(taken, node);
    } while (many && !list_empty(&thread->jobs) && changes(&thread->jobs));
}

static void run_jobs(struct store_thread *thread, struct list *jobs)
{
    struct store_job *first = store_thread_job_of(list_first(jobs));
    struct list_node *node;

    if (first->kind == THREAD_LOAD)
        thread->ops->load(thread, REQUEST(first, store_load));
    else if (first->kind == THREAD_FETCH)
        thread->ops->fetch(thread, REQUEST(first, store_fetch));
    else if (first->kind == THREAD_PAGE)
        thread->ops->page(thread, REQUEST(first, store_page));
    else if (first->kind == THREAD_REKEY)
        thread->ops->rekey(thread, REQUEST(first, store_rekey));
    else
        thread->ops->change(thread, jobs);
    while ((node = list_pop_head(jobs)))
        mailbox_post(thread->results, &store_thread_job_of(node)->mail, deliver);
}

static uint64_t cpu_ms(void)
{
    struct timespec used;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1000 + (uint64_t)used.tv_nsec / 1000000;
}

static void gather(struct store_thread *thread, uint64_t used_ms)
{
    uint64_t wait = used_ms * thread->gather_factor;
    uint64_t leave = thread->waited_ms < LEAVE_MAX_MS ? thread->waited_ms : LEAVE_MAX_MS;

    thread->waited_ms = 0;
    thread->gather_until = clock_ms() + (wait < GATHER_MAX_MS ? wait : GATHER_MAX_MS);
    thread->leave_until = clock_ms() + leave;
}

static void look(struct store_thread *thread)
{
    uint64_t delay = thread->ops->look(thread);

    thread->look_at = delay == THREAD_NEVER ? THREAD_NEVER : clock_ms() + delay;
}

/* Until there is something to do, or `until`. */
static void rest(struct store_thread *thread, uint64_t until)
{
    struct pollfd fds[] = {{thread->wake_fd, POLLIN, 0}, {thread->watch_fd, POLLIN, 0}};
    uint64_t now = clock_ms(), woken, wait = until > now ? until - now : 0;

    if (poll(fds, 2, until == THREAD_NEVER ? -1 : (int)(wait < 60000 ? wait : 60000)) <= 0)
        return;
    if (fds[0].revents && read(thread->wake_fd, &woken, sizeof(woken)) < 0)
        return;
    if (fds[1].revents)
        look(thread);
}

/* When what waits may be run; the lock is held. */
static uint64_t run_at(const struct store_thread *thread)
{
    uint64_t at = thread->leave_until;

    if (thread->closing || !changes(&thread->jobs))
        return 0;
    if (!thread->in_haste && thread->gather_until > at)
        at = thread->gather_until;
    return at;
}

/* Moves the jobs that are to be run now; false: there will be none. */
static bool wait_for_jobs(struct store_thread *thread, struct list *taken)
{
    for (;;) {
        uint64_t until = thread->look_at, at;
        bool closing;

        pthread_mutex_lock(&thread->lock);
        closing = thread->closing;
        at = list_empty(&thread->jobs) ? until : run_at(thread);
        if (!list_empty(&thread->jobs) && clock_ms() >= at)
            take_jobs(thread, taken);
        pthread_mutex_unlock(&thread->lock);
        if (!list_empty(taken) || closing)
            return !list_empty(taken);
        until = at < until ? at : until;
        rest(thread, until);
        if (clock_ms() >= thread->look_at)
            look(thread);
    }
}

static void *thread_main(void *arg)
{
    struct store_thread *thread = arg;
    struct list taken;

    list_init(&taken);
    look(thread);
    while (wait_for_jobs(thread, &taken)) {
        uint64_t began = cpu_ms();

        run_jobs(thread, &taken);
        gather(thread, cpu_ms() - began);
        if (clock_ms() >= thread->look_at)
            look(thread);
    }
    return NULL;
}

static void wake(struct store_thread *thread)
{
    uint64_t one = 1;

    while (write(thread->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
}

static void add_job(struct store *store, struct store_job *job, enum thread_job kind)
{
    struct store_thread *thread = store_thread_of(store);

    *job = (struct store_job){.kind = kind};
    pthread_mutex_lock(&thread->lock);
    list_push_tail(&thread->jobs, &job->node);
    thread->in_haste += is_hasty(job);
    pthread_mutex_unlock(&thread->lock);
    wake(thread);
}

void store_thread_load(struct store *store, struct store_load *load)
{
    add_job(store, &load->job, THREAD_LOAD);
}

void store_thread_save_token(struct store *store, struct store_save *save)
{
    add_job(store, &save->job, THREAD_SAVE);
}

void store_thread_keep(struct store *store, struct store_keep *keep)
{
    add_job(store, &keep->job, THREAD_KEEP);
}

void store_thread_fetch(struct store *store, struct store_fetch *fetch)
{
    add_job(store, &fetch->job, THREAD_FETCH);
}

void store_thread_write(struct store *store, struct store_write *write)
{
    add_job(store, &write->job, THREAD_WRITE);
}

void store_thread_page(struct store *store, struct store_page *page)
{
    add_job(store, &page->job, THREAD_PAGE);
}

void store_thread_rekey(struct store *store, struct store_rekey *rekey)
{
    add_job(store, &rekey->job, THREAD_REKEY);
}

/* --- start and stop -------------------------------------------------------------- */

bool store_thread_start(struct store_thread *thread, const struct store_options *options,
                        struct reason *why)
{
    int rc;

    thread->results = options->results;
    thread->notice = options->changed ? notice_new(options) : NULL;
    thread->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (thread->wake_fd < 0 || (options->changed && !thread->notice)) {
        reason_set(why, "cannot start the store's thread: %s", strerror(errno));
        goto fail;
    }
    pthread_mutex_init(&thread->lock, NULL);
    list_init(&thread->jobs);
    rc = pthread_create(&thread->thread, NULL, thread_main, thread);
    if (rc == 0)
        return true;
    reason_set(why, "cannot start the store's thread: %s", strerror(rc));
    pthread_mutex_destroy(&thread->lock);
fail:
    if (thread->wake_fd >= 0)
        close(thread->wake_fd);
    if (thread->notice)
        notice_free(thread->notice);
    return false;
}

void store_thread_stop(struct store_thread *thread)
{
    pthread_mutex_lock(&thread->lock);
    thread->closing = true;
    pthread_mutex_unlock(&thread->lock);
    wake(thread);
    pthread_join(thread->thread, NULL);
    pthread_mutex_destroy(&thread->lock);
    close(thread->wake_fd);
    notice_close(thread->notice);
}
