/* Accounts in an SQLite file: a row each, secrets sealed (rows.h). Changes that
 * wait share a transaction. Several programs may use one file; what another one
 * has committed shows in data_version, which the thread looks at.
 */
#include <libgen.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "broker/store/access.h"
#include "broker/store/database.h"
#include "broker/store/edit.h"
#include "broker/store/file_io.h"
#include "broker/store/rows.h"
#include "broker/store/thread.h"
#include "broker/wipe.h"

#define LOOK_MS 1000
#define LOCK_WAIT_MS 30000

struct sqlite_store {
    struct store_thread thread;
    char *path;
    sqlite3 *db;
    struct key_file keys;
    struct rows rows;
    int64_t seen; /* data_version that the store's user knows */
};

static struct sqlite_store *sqlite_of(struct store_thread *thread)
{
    return container_of(thread, struct sqlite_store, thread);
}

/* --- transactions ----------------------------------------------------------------- */

/* A file in the place of ours would never see what we write. */
static bool is_in_place(struct sqlite_store *store, struct reason *why)
{
    int moved = 0;

    sqlite3_file_control(store->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
    return !moved || reason_set(why,
                                "%s was moved, removed or replaced while bearerd runs: put it "
                                "back, or restart bearerd",
                                store->path);
}

static bool begin(struct sqlite_store *store, struct reason *why)
{
    uint64_t began = clock_ms();
    bool ok = is_in_place(store, why) && database_run(store->db, "BEGIN IMMEDIATE", why);

    store->thread.waited_ms = clock_ms() - began;
    if (!ok)
        return false;
    if (rows_follow_key(&store->rows, why))
        return true;
    sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    return false;
}

static bool end(struct sqlite_store *store, bool ok, struct reason *why)
{
    ok = ok && database_run(store->db, "COMMIT", why);
    if (!ok && !sqlite3_get_autocommit(store->db))
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    return ok;
}

static int64_t data_version(struct sqlite_store *store)
{
    sqlite3_stmt *statement = rows_statement(&store->rows, ROW_DATA_VERSION);
    int64_t version = -1;

    if (rows_step(&store->rows, statement, NULL) == 1)
        version = sqlite3_column_int64(statement, 0);
    sqlite3_reset(statement);
    return version;
}

/* --- loading ---------------------------------------------------------------------- */

static void check_mode(const char *path, struct problems *problems)
{
    struct stat status;

    if (stat(path, &status) == 0 && status.st_mode & 077)
        problems_add(problems, false,
                     "%s holds accounts and is open to others (mode %04o): chmod 600 it", path,
                     (unsigned)(status.st_mode & 07777));
}

static void check_place(struct sqlite_store *store, struct problems *problems)
{
    char *copy = slice_dup(slice_of(store->path));
    const char *folder = copy ? dirname(copy) : ".";
    char *wal = NULL;

    check_mode(store->path, problems);
    if (asprintf(&wal, "%s-wal", store->path) >= 0)
        check_mode(wal, problems);
    key_file_check(&store->keys, store->path, problems);
    if (access(folder, W_OK | X_OK) != 0)
        problems_add(problems, false,
                     "%s cannot be written: a refresh token that the provider replaces could not "
                     "be stored",
                     folder);
    free(wal);
    free(copy);
}

/* One that cannot serve stops no other. False: memory is out. */
static bool load_row(struct sqlite_store *store, sqlite3_stmt *row, struct store_load *load)
{
    struct problems *problems = &load->set->problems;
    struct account_record *record = NULL;
    struct reason why;
    char where[384];
    json_t *object = rows_read(&store->rows, row, &why);
    struct text text;

    text_init(&text, where, sizeof(where));
    text_add_str(&text, store->path);
    text_add_str(&text, ": ");
    text_add_str(&text, rows_id(row));
    if (object)
        record = record_parse(object, load->conf, where, problems, &why);
    json_decref(object);
    if (record)
        rows_read_kept(row, record);
    if (record && account_set_add(load->set, record))
        return true;
    record_free(record);
    if (record)
        return false;
    problems_add(problems, true, "%s: skipped: %s", where, why.text);
    return true;
}

static bool load_rows(struct sqlite_store *store, struct store_load *load)
{
    sqlite3_stmt *row = rows_statement(&store->rows, ROW_ALL);
    int rc;

    while ((rc = rows_step(&store->rows, row, &load->why)) == 1) {
        if (!load_row(store, row, load)) {
            sqlite3_reset(row);
            return reason_set(&load->why, "%s: out of memory", store->path);
        }
    }
    return rc == 0;
}

static void sqlite_load(struct store_thread *thread, struct store_load *load)
{
    struct sqlite_store *store = sqlite_of(thread);
    int64_t version = data_version(store); /* one that comes meanwhile is told again */

    load->set = account_set_new();
    if (!load->set) {
        reason_set(&load->why, "%s: out of memory", store->path);
    } else if (is_in_place(store, &load->why) && load_rows(store, load)) {
        store->seen = version;
        check_place(store, &load->set->problems);
    } else {
        account_set_free(load->set);
        load->set = NULL;
    }
}

/* --- changing --------------------------------------------------------------------- */

struct sqlite_ground {
    struct edit_ground ground;
    struct rows *rows;
};

static struct rows *rows_of(struct edit_ground *ground)
{
    return container_of(ground, struct sqlite_ground, ground)->rows;
}

static bool find(struct edit_ground *ground, enum row_statement which, const char *name,
                 struct edit_found *found)
{
    struct rows *rows = rows_of(ground);
    sqlite3_stmt *row = rows_statement(rows, which);
    int rc;

    sqlite3_bind_text(row, 1, name, -1, SQLITE_STATIC);
    rc = rows_step(rows, row, &ground->why);
    if (rc == 1) {
        found->key = rows_key(row);
        found->object = rows_read(rows, row, NULL);
        found->broken = !found->object;
        if (found->broken)
            found->object = rows_read_public(row);
    }
    sqlite3_reset(row);
    sqlite3_clear_bindings(row);
    return rc >= 0;
}

static bool by_id(struct edit_ground *ground, const char *id, struct edit_found *found)
{
    return find(ground, ROW_BY_ID, id, found);
}

static bool by_login(struct edit_ground *ground, const char *login, struct edit_found *found)
{
    return find(ground, ROW_BY_LOGIN, login, found);
}

static bool write_row(struct edit_ground *ground, enum row_statement which, int64_t key,
                      const json_t *object, const struct account_record *record)
{
    struct rows *rows = rows_of(ground);
    sqlite3_stmt *row = rows_statement(rows, which);
    struct row_values values;
    bool ok;

    if (!rows_bind(rows, row, object, record, &values, &ground->why))
        return false;
    if (which == ROW_UPDATE)
        sqlite3_bind_int64(row, 6, key);
    ok = rows_step(rows, row, &ground->why) == 0;
    sqlite3_clear_bindings(row);
    rows_release(&values);
    return ok;
}

/* A refresh token that was replaced before it came to be the record's. */
static bool remember(struct edit_ground *ground, const struct account_record *record)
{
    struct rows *rows = rows_of(ground);

    return !ground->edit->superseded ||
           access_supersede(rows, record->login, ground->edit->superseded, &ground->why);
}

static bool insert(struct edit_ground *ground, json_t *object, const struct account_record *record)
{
    return write_row(ground, ROW_INSERT, 0, object, record) && remember(ground, record);
}

static bool replace(struct edit_ground *ground, const struct edit_found *old, json_t *object,
                    const struct account_record *record)
{
    return write_row(ground, ROW_UPDATE, old->key, object, record) && remember(ground, record);
}

static bool remove_row(struct edit_ground *ground, const struct edit_found *old)
{
    struct rows *rows = rows_of(ground);
    sqlite3_stmt *row = rows_statement(rows, ROW_DELETE);

    sqlite3_bind_int64(row, 1, old->key);
    return rows_step(rows, row, &ground->why) == 0;
}

static const struct edit_ops edit_ops = {by_id, by_login, insert, replace, remove_row};

static bool run_keep(struct rows *rows, struct store_keep *keep, struct reason *failure)
{
    keep->status = STORE_OK; /* unless the transaction fails */
    for (size_t i = 0; i < keep->count; i++) {
        if (!access_keep(rows, &keep->items[i], failure))
            return false;
    }
    return true;
}

static void sqlite_fetch(struct store_thread *thread, struct store_fetch *fetch)
{
    fetch->why.text[0] = '\0';
    fetch->value = NULL;
    access_fetch(&sqlite_of(thread)->rows, fetch);
}

static void sqlite_change(struct store_thread *thread, struct list *jobs)
{
    struct sqlite_store *store = sqlite_of(thread);
    struct sqlite_ground ground = {{.ops = &edit_ops}, &store->rows};
    struct reason *why = &ground.ground.why;
    bool ok = begin(store, why);

    if (ok) {
        list_foreach (jobs, node) {
            struct store_job *job = store_thread_job_of(node);

            if (!ok)
                break;
            if (job->kind == THREAD_SAVE)
                ok = access_save(&store->rows, container_of(job, struct store_save, job), why);
            else if (job->kind == THREAD_KEEP)
                ok = run_keep(&store->rows, container_of(job, struct store_keep, job), why);
            else
                ok = edit_run_all(&ground.ground, container_of(job, struct store_write, job));
        }
        ok = end(store, ok, why);
    }
    if (!ok)
        store_thread_fail_changes(jobs, why);
}

/* --- the rest --------------------------------------------------------------------- */

static bool read_page(struct sqlite_store *store, struct store_page *page)
{
    sqlite3_stmt *row = rows_statement(&store->rows, ROW_PAGE);
    size_t count = 0;
    int rc;

    sqlite3_bind_text(row, 1, page->after, -1, SQLITE_TRANSIENT);
    sqlite3_bind_int64(row, 2, (int64_t)page->limit + 1);
    while ((rc = rows_step(&store->rows, row, &page->why)) == 1 && count < page->limit) {
        json_t *object = rows_read(&store->rows, row, NULL);

        /* What cannot be opened is shown without its secrets. */
        json_array_append_new(page->records, object ? object : rows_read_public(row));
        slice_copy(slice_of(rows_id(row)), page->after, sizeof(page->after));
        count++;
    }
    page->more = rc == 1;
    sqlite3_reset(row);
    sqlite3_clear_bindings(row);
    return rc >= 0;
}

static void sqlite_page(struct store_thread *thread, struct store_page *page)
{
    page->records = json_array();
    page->more = false;
    if (!page->records) {
        reason_set(&page->why, "out of memory");
    } else if (!read_page(sqlite_of(thread), page)) {
        json_decref(page->records);
        page->records = NULL;
    }
}

/* What cannot be opened no key opens: it stays as it is. */
static bool reseal_rows(struct sqlite_store *store, size_t *count, struct reason *why)
{
    int64_t key = INT64_MIN;
    int rc, sealed = 0;

    do {
        sqlite3_stmt *row = rows_statement(&store->rows, ROW_NEXT);

        sqlite3_bind_int64(row, 1, key);
        rc = rows_step(&store->rows, row, why);
        if (rc == 1) {
            key = rows_key(row);
            sealed = rows_reseal(&store->rows, row, why);
            *count += sealed == 1;
        }
        sqlite3_reset(row);
    } while (rc == 1 && sealed >= 0);
    return rc == 0 && sealed >= 0;
}

static bool reseal(struct sqlite_store *store, size_t *count, struct reason *why)
{
    bool ok = is_in_place(store, why) && database_run(store->db, "BEGIN IMMEDIATE", why);

    return ok && end(store,
                     reseal_rows(store, count, why) && access_reseal(&store->rows, why) &&
                         rows_mark_key(&store->rows, why),
                     why);
}

/* The new key is on the disk before it seals anything, and the old ones are until
 * nothing is sealed with them: at every moment the file opens the database. The
 * lock keeps a second one from taking our key away. */
static bool rekey_own(struct sqlite_store *store, size_t *count, struct reason *why)
{
    int lock = file_lock(store->keys.path, LOCK_WAIT_MS, why);
    bool ok = lock >= 0;

    if (ok)
        key_file_refresh(&store->keys);
    ok = ok && key_file_add(&store->keys, why) && reseal(store, count, why) &&
         key_file_keep_first(&store->keys, why);
    if (lock >= 0)
        close(lock);
    return ok;
}

static void sqlite_rekey(struct store_thread *thread, struct store_rekey *rekey)
{
    struct sqlite_store *store = sqlite_of(thread);
    bool ok;

    rekey->records = 0;
    rekey->why.text[0] = '\0';
    if (store->keys.own) {
        ok = rekey_own(store, &rekey->records, &rekey->why);
    } else {
        key_file_refresh(&store->keys);
        ok = reseal(store, &rekey->records, &rekey->why);
    }
    rekey->status = ok ? STORE_OK : STORE_FAILED;
    if (ok) /* what the old key had sealed is in the log still */
        sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
}

static uint64_t sqlite_look(struct store_thread *thread)
{
    struct sqlite_store *store = sqlite_of(thread);
    int64_t version;

    if (!store_thread_is_watched(thread))
        return THREAD_NEVER;
    version = data_version(store);
    if (version >= 0 && version != store->seen) {
        store->seen = version;
        store_thread_tell_changed(thread);
    }
    return LOOK_MS;
}

/* --- opening and closing ------------------------------------------------------------ */

static const struct store_thread_ops thread_ops = {.load = sqlite_load,
                                                   .change = sqlite_change,
                                                   .fetch = sqlite_fetch,
                                                   .page = sqlite_page,
                                                   .rekey = sqlite_rekey,
                                                   .look = sqlite_look};

static void free_store(struct sqlite_store *store)
{
    rows_clear(&store->rows);
    sqlite3_close(store->db);
    key_file_clear(&store->keys);
    free(store->path);
    free(store);
}

/* A database that nothing was sealed in yet may get a key. */
static bool is_new(sqlite3 *db)
{
    return database_number(db, "SELECT count(*) FROM setting WHERE name = 'key_check'") == 0;
}

static bool open_all(struct sqlite_store *store, const char *path,
                     const struct store_options *options, struct reason *why)
{
    bool make = !options->look_only;

    store->path = slice_dup(slice_of(path));
    if (!store->path)
        return reason_set(why, "out of memory");
    store->db = database_open(path, options->look_only, why);
    if (!store->db || !key_file_init(&store->keys, options->key_file, path, why) ||
        !key_file_read(&store->keys, make && is_new(store->db), why) ||
        !rows_init(&store->rows, store->db, &store->keys, why) ||
        !rows_check_key(&store->rows, make, why))
        return false;
    store->seen = data_version(store);
    return true;
}

static struct store *sqlite_open(const char *path, const struct store_options *options,
                                 struct reason *why)
{
    struct sqlite_store *store = calloc(1, sizeof(*store));

    if (!store) {
        reason_set(why, "out of memory");
        return NULL;
    }
    store->thread.store.ops = &sqlite_store_ops;
    store->thread.ops = &thread_ops;
    store->thread.watch_fd = -1;
    if (open_all(store, path, options, why) && store_thread_start(&store->thread, options, why))
        return &store->thread.store;
    free_store(store);
    return NULL;
}

static void sqlite_close(struct store *store)
{
    struct sqlite_store *sqlite = sqlite_of(store_thread_of(store));

    store_thread_stop(&sqlite->thread);
    free_store(sqlite);
}

const struct store_ops sqlite_store_ops = {.scheme = "sqlite",
                                           .whole = false,
                                           .open = sqlite_open,
                                           .load = store_thread_load,
                                           .save_token = store_thread_save_token,
                                           .keep = store_thread_keep,
                                           .fetch = store_thread_fetch,
                                           .write = store_thread_write,
                                           .page = store_thread_page,
                                           .rekey = store_thread_rekey,
                                           .close = sqlite_close};
