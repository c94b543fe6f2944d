/* accounts.json as a store. All changes go through one reading and one writing
 * of the file under its lock (struct rewrite), so that many at once cost one
 * fsync, and what others have edited meanwhile is seen and kept.
 *
 * `known` is the content that the store's user has seen, or that we made of it.
 * When the file has another one, somebody else changed it.
 */
#include <libgen.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "broker/store/edit.h"
#include "broker/store/file_io.h"
#include "broker/store/file_pages.h"
#include "broker/store/index.h"
#include "broker/store/thread.h"
#include "broker/wipe.h"

#define LOCK_WAIT_MS 30000
#define GATHER_FACTOR 8
/* A script that edits changes a file several times in a row. */
#define BURST_MS 200
/* What no notification tells of: a file system that others write to as well. */
#define LOOK_MS 5000

struct file_store {
    struct store_thread thread;
    char *path;
    struct file_id known;
    uint64_t compare_at; /* ms, monotonic; 0: nothing has happened */
    struct file_pages pages;
};

static struct file_store *file_of(struct store_thread *thread)
{
    return container_of(thread, struct file_store, thread);
}

/* Where the file really is: replacing a symbolic link would leave its target
 * stale. malloc'd; the path itself when it does not exist yet. */
static char *real_path(const char *path)
{
    char *real = realpath(path, NULL);

    return real ? real : slice_dup(slice_of(path));
}

static bool read_document(const char *path, struct document *document, struct file_id *id,
                          struct reason *why)
{
    size_t len;
    char *text = file_read_id(path, &len, id, why);
    bool ok = text && document_parse(document, (struct slice){text, len}, path, why);

    secret_free_len(text, text ? len : 0);
    return ok;
}

/* --- loading ------------------------------------------------------------------ */

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

static void file_load(struct store_thread *thread, struct store_load *load)
{
    struct file_store *file = file_of(thread);
    char *path = real_path(file->path);
    struct document document = {NULL};

    file_pages_clear(&file->pages);
    load->set = NULL;
    if (!path) {
        reason_set(&load->why, "out of memory");
        return;
    }
    if (read_document(path, &document, &file->known, &load->why)) {
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

/* --- changing ----------------------------------------------------------------- */

struct rewrite {
    struct edit_ground ground;
    struct document document;
    struct index index;
    bool missing; /* there was no file */
};

static struct rewrite *rewrite_of(struct edit_ground *ground)
{
    return container_of(ground, struct rewrite, ground);
}

static bool no_memory(struct edit_ground *ground)
{
    return reason_set(&ground->why, "out of memory");
}

static bool found(struct edit_ground *ground, size_t record, struct edit_found *found)
{
    if (record != SIZE_MAX)
        *found = (struct edit_found){
            (int64_t)record,
            json_incref(json_array_get(rewrite_of(ground)->document.records, record)), false};
    return true;
}

static bool by_id(struct edit_ground *ground, const char *id, struct edit_found *out)
{
    return found(ground, index_by_id(&rewrite_of(ground)->index, id), out);
}

static bool by_login(struct edit_ground *ground, const char *login, struct edit_found *out)
{
    return found(ground, index_by_login(&rewrite_of(ground)->index, login), out);
}

static bool insert(struct edit_ground *ground, json_t *object, const struct account_record *record)
{
    struct rewrite *rewrite = rewrite_of(ground);

    (void)record;
    return (document_add(&rewrite->document, object) &&
            index_set(&rewrite->index, rewrite->document.count - 1, object)) ||
           no_memory(ground);
}

static bool replace(struct edit_ground *ground, const struct edit_found *old, json_t *object,
                    const struct account_record *record)
{
    struct rewrite *rewrite = rewrite_of(ground);

    (void)record;
    return (document_set(&rewrite->document, (size_t)old->key, object) &&
            index_set(&rewrite->index, (size_t)old->key, object)) ||
           no_memory(ground);
}

static bool remove_record(struct edit_ground *ground, const struct edit_found *old)
{
    struct rewrite *rewrite = rewrite_of(ground);

    return (document_remove(&rewrite->document, (size_t)old->key) &&
            index_set(&rewrite->index, (size_t)old->key, NULL)) ||
           no_memory(ground);
}

static const struct edit_ops edit_ops = {by_id, by_login, insert, replace, remove_record};

static bool set_token(struct rewrite *rewrite, size_t record, const struct store_save *save)
{
    json_t *object = json_copy(json_array_get(rewrite->document.records, record));
    bool ok = object &&
              json_object_set_new(object, "refresh_token", json_string(save->token)) == 0 &&
              document_set(&rewrite->document, record, object);

    json_decref(object);
    return ok || no_memory(&rewrite->ground);
}

static bool run_save(struct rewrite *rewrite, struct store_save *save)
{
    size_t record = index_by_id(&rewrite->index, save->id);
    const char *current;

    if (rewrite->missing) { /* it may be back soon */
        save->status = STORE_FAILED;
        return reason_set(&save->why, "there is no file"), true;
    }
    if (record == SIZE_MAX) {
        save->status = STORE_GONE;
        reason_set(&save->why, "the file has no record with this id any more");
        return true;
    }
    current = json_string_value(
        json_object_get(json_array_get(rewrite->document.records, record), "refresh_token"));
    save->status = STORE_OK; /* unless writing fails */
    if (current && strcmp(current, save->token) == 0)
        return true;
    if (!current || strcmp(current, save->expected) != 0) {
        save->status = STORE_CHANGED;
        reason_set(&save->why, "the file has another refresh token than the one that was used");
        return true;
    }
    return set_token(rewrite, record, save);
}

static bool run_change(struct rewrite *rewrite, struct store_job *job)
{
    if (job->kind == THREAD_SAVE)
        return run_save(rewrite, container_of(job, struct store_save, job));
    return edit_run_all(&rewrite->ground, container_of(job, struct store_write, job));
}

/* A file that does not exist yet begins as an empty list. */
static bool rewrite_begin(struct rewrite *rewrite, const char *path, struct file_id *id)
{
    struct reason *why = &rewrite->ground.why;

    rewrite->ground.ops = &edit_ops;
    if (!read_document(path, &rewrite->document, id, why)) {
        if (id->exists)
            return false;
        rewrite->missing = true;
        why->text[0] = '\0';
        if (!document_parse(&rewrite->document, SLICE("[]\n"), path, why))
            return false;
    }
    return index_init(&rewrite->index, rewrite->document.records) || no_memory(&rewrite->ground);
}

static bool rewrite_end(struct rewrite *rewrite, const char *path, struct file_id *id)
{
    size_t len;
    char *text;
    bool ok;

    if (!rewrite->document.changed)
        return true;
    text = document_write(&rewrite->document, &len);
    if (!text)
        return no_memory(&rewrite->ground);
    ok = file_replace(path, (struct slice){text, len}, id, &rewrite->ground.why);
    secret_free_len(text, len);
    return ok;
}

static bool change_locked(struct file_store *file, struct list *jobs, const char *path,
                          struct reason *why)
{
    struct rewrite rewrite = {.missing = false};
    struct file_id id = {.exists = true};
    bool ok = rewrite_begin(&rewrite, path, &id), seen;

    seen = file_id_same(&id, &file->known);
    if (ok) {
        list_foreach (jobs, node) {
            ok = ok && run_change(&rewrite, store_thread_job_of(node));
        }
        ok = ok && rewrite_end(&rewrite, path, &id);
    }
    if (ok && !seen)
        store_thread_tell_changed(&file->thread);
    if (ok)
        file->known = id;
    *why = rewrite.ground.why;
    index_clear(&rewrite.index);
    document_clear(&rewrite.document);
    return ok;
}

static void file_change(struct store_thread *thread, struct list *jobs)
{
    struct file_store *file = file_of(thread);
    char *path = real_path(file->path);
    struct reason why = {"out of memory"};
    uint64_t began = clock_ms();
    int lock = path ? file_lock(path, LOCK_WAIT_MS, &why) : -1;

    thread->waited_ms = clock_ms() - began;
    file_pages_clear(&file->pages);
    if (lock < 0 || !change_locked(file, jobs, path, &why))
        store_thread_fail_changes(jobs, &why);
    if (lock >= 0)
        close(lock);
    free(path);
}

/* --- the rest ----------------------------------------------------------------- */

static void file_page(struct store_thread *thread, struct store_page *page)
{
    struct file_store *file = file_of(thread);
    struct document document;
    struct file_id id = file_id_at(file->path);
    char *path;

    if (!file_pages_fit(&file->pages, &id)) {
        file_pages_clear(&file->pages);
        path = real_path(file->path);
        if (!path) {
            reason_set(&page->why, "out of memory");
            return;
        }
        if (read_document(path, &document, &id, &page->why) &&
            !file_pages_take(&file->pages, &document, &id))
            reason_set(&page->why, "out of memory");
        free(path);
    }
    file_pages_read(&file->pages, page);
}

static void file_rekey(struct store_thread *thread, struct store_rekey *rekey)
{
    (void)thread;
    rekey->records = 0;
    rekey->status = STORE_FAILED;
    reason_set(&rekey->why,
               "%s is a plain file: nothing in it is sealed; move the accounts to an "
               "sqlite: store for that",
               file_of(thread)->path);
}

static uint64_t file_look(struct store_thread *thread)
{
    struct file_store *file = file_of(thread);
    uint64_t now = clock_ms();
    struct file_id id;

    file_pages_age(&file->pages, now);
    if (!store_thread_is_watched(thread))
        return LOOK_MS;
    if (watch_take(thread->watch_fd, file->path) && !file->compare_at)
        file->compare_at = now + BURST_MS;
    if (now < file->compare_at)
        return file->compare_at - now;
    file->compare_at = 0;
    id = file_id_at(file->path);
    if (!file_id_same(&id, &file->known)) {
        file->known = id;
        store_thread_tell_changed(thread);
    }
    return LOOK_MS;
}

static const struct store_thread_ops thread_ops = {.load = file_load,
                                                   .change = file_change,
                                                   .page = file_page,
                                                   .rekey = file_rekey,
                                                   .look = file_look};

static void free_file(struct file_store *file)
{
    file_pages_clear(&file->pages);
    if (file->thread.watch_fd >= 0)
        close(file->thread.watch_fd);
    free(file->path);
    free(file);
}

static struct store *file_open(const char *path, const struct store_options *options,
                               struct reason *why)
{
    struct file_store *file = calloc(1, sizeof(*file));

    if (!file) {
        reason_set(why, "out of memory");
        return NULL;
    }
    file->thread.store.ops = &file_store_ops;
    file->thread.ops = &thread_ops;
    file->thread.gather_factor = GATHER_FACTOR;
    file->thread.watch_fd = options->changed ? watch_open(path) : -1;
    file->path = slice_dup(slice_of(path));
    file->known = file_id_at(path);
    if (file->path && store_thread_start(&file->thread, options, why))
        return &file->thread.store;
    if (!file->path)
        reason_set(why, "out of memory");
    free_file(file);
    return NULL;
}

static void file_close(struct store *store)
{
    struct file_store *file = file_of(store_thread_of(store));

    store_thread_stop(&file->thread);
    free_file(file);
}

/* Access tokens are not kept: the file is the operator's, and each would rewrite it. */
const struct store_ops file_store_ops = {.scheme = "file",
                                         .whole = true,
                                         .open = file_open,
                                         .load = store_thread_load,
                                         .save_token = store_thread_save_token,
                                         .write = store_thread_write,
                                         .page = store_thread_page,
                                         .rekey = store_thread_rekey,
                                         .close = file_close};
