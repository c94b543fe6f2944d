#include "broker/store/database.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define BUSY_US 30000000
#define APPLICATION_ID 0x42524452 /* "BRDR" */
#define TO_TEXT(number) #number
#define AS_TEXT(number) TO_TEXT(number)

/* Never change a step that has been released: add one. */
const struct schema_step schema_steps[] = {
    /* record: JSON without what is secret. secrets, refresh_token: sealed (seal.h),
     * the latter apart because it changes by itself. setting: key_check is sealed
     * with the key that seals everything. */
    {"CREATE TABLE account ("
     "  key INTEGER PRIMARY KEY,"
     "  id TEXT NOT NULL UNIQUE,"
     "  login TEXT NOT NULL UNIQUE,"
     "  record TEXT NOT NULL,"
     "  secrets BLOB,"
     "  refresh_token BLOB"
     ") STRICT;"
     "CREATE TABLE setting (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;"},
    /* access_token: for the next start. value: sealed; expires: wall ms; life: ms. The index
     * has all that a start needs, so that it reads no page with a token. superseded: stale.h. */
    {"CREATE TABLE access_token ("
     "  account INTEGER PRIMARY KEY,"
     "  expires INTEGER NOT NULL,"
     "  life INTEGER NOT NULL,"
     "  value BLOB NOT NULL"
     ") STRICT;"
     "CREATE INDEX access_token_times ON access_token (account, expires, life);"
     "CREATE TRIGGER account_removed AFTER DELETE ON account BEGIN"
     "  DELETE FROM access_token WHERE account = old.key;"
     "END;"
     "ALTER TABLE account ADD COLUMN superseded BLOB;"},
};
const size_t schema_version = sizeof(schema_steps) / sizeof(schema_steps[0]);

bool database_failed(sqlite3 *db, struct reason *why)
{
    int code = sqlite3_extended_errcode(db), number = sqlite3_system_errno(db);

    if ((code & 0xff) == SQLITE_IOERR || (code & 0xff) == SQLITE_CANTOPEN)
        return reason_set(why, "the database: %s (%s)", sqlite3_errmsg(db),
                          number ? strerror(number) : "no cause is known");
    return reason_set(why, "the database: %s", sqlite3_errmsg(db));
}

bool database_run(sqlite3 *db, const char *sql, struct reason *why)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK || database_failed(db, why);
}

int64_t database_number(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement;
    int64_t number = -1;

    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
        return -1;
    if (sqlite3_step(statement) == SQLITE_ROW)
        number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return number;
}

/* --- the schema ------------------------------------------------------------------ */

static bool is_ours(sqlite3 *db, const char *path, int64_t version, struct reason *why)
{
    int64_t id = database_number(db, "PRAGMA application_id");

    if (id < 0 || version < 0)
        return database_failed(db, why);
    if (id == APPLICATION_ID ||
        (id == 0 && version == 0 && database_number(db, "SELECT count(*) FROM sqlite_schema") == 0))
        return true;
    return reason_set(why, "%s is a database of another program", path);
}

static bool run_step(sqlite3 *db, const struct schema_step *step, size_t to, struct reason *why)
{
    char sql[64];
    struct text text;

    text_init(&text, sql, sizeof(sql));
    text_addf(&text, "PRAGMA user_version = %zu", to);
    return database_run(db, step->sql, why) &&
           database_run(db, "PRAGMA application_id = " AS_TEXT(APPLICATION_ID), why) &&
           database_run(db, sql, why) && database_run(db, "COMMIT", why);
}

/* Within a transaction, so that two programs do not both take the step. */
static bool next_step(sqlite3 *db, const char *path, const struct schema_step *steps, size_t count,
                      bool *done, struct reason *why)
{
    int64_t version;

    if (!database_run(db, "BEGIN IMMEDIATE", why))
        return false;
    version = database_number(db, "PRAGMA user_version");
    *done = version >= (int64_t)count;
    if (is_ours(db, path, version, why) &&
        (*done ? database_run(db, "COMMIT", why)
               : run_step(db, &steps[version], (size_t)version + 1, why)))
        return true;
    sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return false;
}

bool database_migrate(sqlite3 *db, const char *path, const struct schema_step *steps, size_t count,
                      bool look_only, struct reason *why)
{
    int64_t version = database_number(db, "PRAGMA user_version");
    bool done = version == (int64_t)count;

    if (!is_ours(db, path, version, why))
        return false;
    if (version > (int64_t)count)
        return reason_set(
            why,
            "%s was made by a newer bearerd: its schema is %lld, this one (" BEARERD_VERSION
            ") knows %zu; install the newer one again",
            path, (long long)version, count);
    if (look_only && !done)
        return reason_set(why, "%s has schema %lld; the next start of bearerd makes it %zu", path,
                          (long long)version, count);
    while (!done) {
        if (!next_step(db, path, steps, count, &done, why))
            return false;
    }
    return true;
}

/* --- opening --------------------------------------------------------------------- */

/* SQLite gives its further files the mode of this one. */
static bool make_file(const char *path, struct reason *why)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0 && errno != EEXIST)
        return reason_set(why, "cannot create %s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return true;
}

/* SQLite's own handler waits longer each time, and would never meet a moment
 * between two others that write all the time. */
static int on_busy(void *unused, int count)
{
    static _Thread_local uint64_t began;
    struct timespec wait = {.tv_nsec = 500000 + randombytes_uniform(2000000)};

    (void)unused;
    if (count == 0)
        began = clock_us();
    else if (clock_us() - began > BUSY_US)
        return 0;
    nanosleep(&wait, NULL);
    return 1;
}

static bool set_up(sqlite3 *db, struct reason *why)
{
    sqlite3_busy_handler(db, on_busy, NULL);
    sqlite3_extended_result_codes(db, 1);
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    /* FULL: what was committed survives a power failure in WAL mode too. */
    return database_run(db,
                        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                        "PRAGMA secure_delete = ON; PRAGMA journal_size_limit = 16777216;"
                        "PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY;"
                        "PRAGMA cache_size = -4096",
                        why);
}

sqlite3 *database_open(const char *path, bool look_only, struct reason *why)
{
    sqlite3 *db = NULL;
    struct reason detail;

    if (!look_only && !make_file(path, why))
        return NULL;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) !=
            SQLITE_OK ||
        !set_up(db, &detail)) {
        database_failed(db, &detail);
        reason_set(why, "cannot open %s: %s", path, detail.text);
    } else if (database_migrate(db, path, schema_steps, schema_version, look_only, why)) {
        return db;
    }
    sqlite3_close(db);
    return NULL;
}
