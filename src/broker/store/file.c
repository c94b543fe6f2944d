/* accounts.json: one thread of its own does all file work, in the order asked
 * for. Token rotations that have gathered while it was busy go into the file
 * together: one lock, one reading, one fsync for a hundred accounts.
 *
 *     loop's thread --jobs--> store thread --mailbox--> loop's thread
 */
#include <errno.h>
#include <libgen.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <uthash.h>

#include "base/clock.h"
#include "broker/store/file_io.h"
#include "broker/store/store.h"
#include "broker/wipe.h"

#define LOCK_WAIT_MS 10000
/* A large file takes a while to rewrite. Then rotations gather for some times
 * as long, so that this takes a part of one processor at most. Processor time,
 * not the disk's: a small file is written at once, because a token that waits
 * is lost when we are killed. */
#define GATHER_FACTOR 8
#define GATHER_MAX_MS 1000

struct file_store {
    struct store store;
    char *path;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct list jobs; /* store_job.node */
    bool closing;
    uint64_t gather_until;   /* ms, monotonic */
    struct mailbox *results; /* of the loop's thread */
};

/* Where the file really is: replacing a symbolic link would leave its target
 * stale. malloc'd; the path itself when it does not exist yet. */
static char *real_path(const char *path)
{
    char *real = realpath(path, NULL);

    return real ? real : slice_dup(slice_of(path));
}

static bool read_document(const char *path, struct document *document, struct reason *why)
{
    size_t len;
    char *text = file_read(path, &len, why);
    bool ok = text && document_parse(document, (struct slice){text, len}, path, why);

    secret_free_len(text, text ? len : 0);
    return ok;
}

/* What works today and hurts later. */
static void check_place(const char *path, struct problems *problems)
{
    char *copy = slice_dup(slice_of(path));
    const char *folder = copy ? dirname(copy) : ".";
    struct stat status;

    if (stat(path, &status) == 0 && status.st_mode & 077)
        problems_add(problems, false,
                     "%s holds secrets and is open to others (mode %04o): chmod 600 it", path,
                     (unsigned)(status.st_mode & 07777));
    if (access(folder, W_OK | X_OK) != 0)
        problems_add(problems, false,
                     "%s cannot be written: a refresh token that the provider replaces could not "
                     "be stored",
                     folder);
    free(copy);
}

static void run_load(struct file_store *file, struct store_load *load)
{
    char *path = real_path(file->path);
    struct document document = {NULL};

    load->set = NULL;
    if (!path) {
        reason_set(&load->why, "out of memory");
        return;
    }
    if (read_document(path, &document, &load->why)) {
        load->set = account_set_new();
        if (!load->set || !account_set_read(load->set, &document, file->path, load->conf)) {
            account_set_free(load->set);
            load->set = NULL;
            reason_set(&load->why, "%s: out of memory", file->path);
        } else {
            check_place(path, &load->set->problems);
        }
    }
    document_clear(&document);
    free(path);
}

/* One rewrite of the file for many jobs. */
struct batch {
    struct document document;
    struct name *names; /* hash: id -> record */
    struct name *nodes;
    struct document_edit *edits;
    size_t edit_count;
};

struct name {
    UT_hash_handle hh;
    char *id;
    size_t record;
};

static struct store_save *save_of(struct list_node *node)
{
    return container_of(container_of(node, struct store_job, node), struct store_save, job);
}

static void set_all(struct list *jobs, enum store_status status, const struct reason *why)
{
    list_foreach (jobs, node) {
        save_of(node)->status = status;
        save_of(node)->why = *why;
    }
}

/* The first record of an id counts, as in loading. */
static bool index_records(struct batch *batch)
{
    char id[2048];

    batch->nodes = calloc(batch->document.count + 1, sizeof(*batch->nodes));
    for (size_t i = 0; batch->nodes && i < batch->document.count; i++) {
        struct name *node = &batch->nodes[i], *other;

        if (!record_id(json_array_get(batch->document.records, i), id, sizeof(id)))
            continue;
        HASH_FIND_STR(batch->names, id, other);
        if (other)
            continue;
        node->id = slice_dup(slice_of(id));
        node->record = i;
        if (!node->id)
            return false;
        HASH_ADD_KEYPTR(hh, batch->names, node->id, strlen(node->id), node);
    }
    return batch->nodes != NULL;
}

static void clear_batch(struct batch *batch)
{
    HASH_CLEAR(hh, batch->names);
    for (size_t i = 0; batch->nodes && i < batch->document.count; i++)
        free(batch->nodes[i].id);
    free(batch->nodes);
    free(batch->edits);
    document_clear(&batch->document);
}

static void plan_save(struct batch *batch, struct store_save *save)
{
    struct name *name;
    const char *current;

    HASH_FIND_STR(batch->names, save->id, name);
    if (!name) {
        save->status = STORE_GONE;
        reason_set(&save->why, "the file has no record with this id any more");
        return;
    }
    current = json_string_value(
        json_object_get(json_array_get(batch->document.records, name->record), "refresh_token"));
    save->status = STORE_OK; /* unless writing fails */
    if (current && strcmp(current, save->token) == 0)
        return;
    if (!current || strcmp(current, save->expected) != 0) {
        save->status = STORE_CHANGED;
        reason_set(&save->why, "the file has another refresh token than the one that was used");
        return;
    }
    batch->edits[batch->edit_count++] =
        (struct document_edit){name->record, "refresh_token", save->token};
}

static bool write_batch(struct batch *batch, const char *path, struct reason *why)
{
    size_t len;
    char *text;
    bool ok;

    if (!batch->edit_count)
        return true;
    text = document_rewrite(&batch->document, batch->edits, batch->edit_count, &len, why);
    if (!text)
        return false;
    ok = file_replace(path, (struct slice){text, len}, why);
    secret_free_len(text, len);
    return ok;
}

static bool save_locked(struct list *jobs, const char *path, struct reason *why)
{
    struct batch batch = {.edits = calloc(jobs->count, sizeof(struct document_edit))};
    bool ok = batch.edits != NULL;

    reason_set(why, "out of memory");
    ok = ok && read_document(path, &batch.document, why) && index_records(&batch);
    if (ok) {
        list_foreach (jobs, node)
            plan_save(&batch, save_of(node));
        ok = write_batch(&batch, path, why);
    }
    clear_batch(&batch);
    return ok;
}

static void run_saves(struct file_store *file, struct list *jobs)
{
    char *path = real_path(file->path);
    struct reason why = {"out of memory"};
    int lock = path ? file_lock(path, LOCK_WAIT_MS, &why) : -1;

    if (lock < 0 || !save_locked(jobs, path, &why))
        set_all(jobs, STORE_FAILED, &why);
    if (lock >= 0)
        close(lock);
    free(path);
}

static void deliver_load(struct mail *mail)
{
    struct store_load *load = container_of(mail, struct store_load, job.mail);

    load->done(load);
}

static void deliver_save(struct mail *mail)
{
    struct store_save *save = container_of(mail, struct store_save, job.mail);

    save->done(save);
}

/* Takes the first job and, if it saves, the saving jobs that follow it. */
static void take_jobs(struct file_store *file, struct list *taken)
{
    do {
        struct list_node *node = list_pop_head(&file->jobs);

        list_push_tail(taken, node);
    } while (container_of(list_first(taken), struct store_job, node)->save &&
             !list_empty(&file->jobs) &&
             container_of(list_first(&file->jobs), struct store_job, node)->save);
}

static void run_jobs(struct file_store *file, struct list *jobs)
{
    struct store_job *first = container_of(list_first(jobs), struct store_job, node);
    struct list_node *node;

    if (first->save)
        run_saves(file, jobs);
    else
        run_load(file, container_of(first, struct store_load, job));
    while ((node = list_pop_head(jobs))) {
        struct store_job *job = container_of(node, struct store_job, node);

        mailbox_post(file->results, &job->mail, job->save ? deliver_save : deliver_load);
    }
}

static uint64_t cpu_ms(void)
{
    struct timespec used;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1000 + (uint64_t)used.tv_nsec / 1000000;
}

static void gather(struct file_store *file, uint64_t used_ms)
{
    uint64_t wait = used_ms * GATHER_FACTOR;

    file->gather_until = clock_ms() + (wait < GATHER_MAX_MS ? wait : GATHER_MAX_MS);
}

/* Waits for jobs that may be run now; false: there will be none. */
static bool wait_for_jobs(struct file_store *file)
{
    while (list_empty(&file->jobs) && !file->closing)
        pthread_cond_wait(&file->wake, &file->lock);
    while (!file->closing && clock_ms() < file->gather_until &&
           container_of(list_first(&file->jobs), struct store_job, node)->save) {
        struct timespec until = {.tv_sec = (time_t)(file->gather_until / 1000),
                                 .tv_nsec = (long)(file->gather_until % 1000) * 1000000};

        pthread_cond_timedwait(&file->wake, &file->lock, &until);
    }
    return !list_empty(&file->jobs);
}

static void *thread_main(void *arg)
{
    struct file_store *file = arg;
    struct list taken;

    list_init(&taken);
    pthread_mutex_lock(&file->lock);
    while (wait_for_jobs(file)) {
        uint64_t began = cpu_ms();

        take_jobs(file, &taken);
        pthread_mutex_unlock(&file->lock);
        run_jobs(file, &taken);
        pthread_mutex_lock(&file->lock);
        gather(file, cpu_ms() - began);
    }
    pthread_mutex_unlock(&file->lock);
    return NULL;
}

static void add_job(struct store *store, struct store_job *job, bool save)
{
    struct file_store *file = container_of(store, struct file_store, store);

    *job = (struct store_job){.save = save};
    pthread_mutex_lock(&file->lock);
    list_push_tail(&file->jobs, &job->node);
    pthread_cond_signal(&file->wake);
    pthread_mutex_unlock(&file->lock);
}

static void file_load(struct store *store, struct store_load *load)
{
    add_job(store, &load->job, false);
}

static void file_save_token(struct store *store, struct store_save *save)
{
    add_job(store, &save->job, true);
}

static struct store *file_open(const char *path, struct mailbox *results, struct reason *why)
{
    struct file_store *file = calloc(1, sizeof(*file));
    pthread_condattr_t monotonic;
    int rc;

    if (file)
        file->path = slice_dup(slice_of(path));
    if (!file || !file->path) {
        reason_set(why, "out of memory");
        goto fail;
    }
    file->store.ops = &file_store_ops;
    pthread_mutex_init(&file->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&file->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    list_init(&file->jobs);
    file->results = results;
    rc = pthread_create(&file->thread, NULL, thread_main, file);
    if (rc != 0) {
        reason_set(why, "cannot start the store's thread: %s", strerror(rc));
        goto fail;
    }
    return &file->store;
fail:
    if (file)
        free(file->path);
    free(file);
    return NULL;
}

static void file_close(struct store *store)
{
    struct file_store *file = container_of(store, struct file_store, store);

    pthread_mutex_lock(&file->lock);
    file->closing = true;
    pthread_cond_signal(&file->wake);
    pthread_mutex_unlock(&file->lock);
    pthread_join(file->thread, NULL);
    pthread_cond_destroy(&file->wake);
    pthread_mutex_destroy(&file->lock);
    free(file->path);
    free(file);
}

const struct store_ops file_store_ops = {"file", file_open, file_load, file_save_token, file_close};
