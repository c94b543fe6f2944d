/* The database: what is readable in it, whose it must be, and what sudden deaths
 * and new keys do to it. */
#include "broker/store_world.h"

#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/store/database.h"
#include "broker/store/file_io.h"
#include "broker/store/rows.h"
#include "broker/store/stale.h"
#include "broker/wipe.h"

static char path[512], key_path[520];

#define RECORDS 5
#define TOKEN "the-refresh-token"
#define SECRET "the-client-secret"

static void add_records(struct world *world)
{
    struct store_edit edits[RECORDS];
    char object[512];

    for (int i = 0; i < RECORDS; i++) {
        snprintf(object, sizeof(object),
                 "{\"email\":\"r%d@x\",\"account_id\":\"r%d\",\"provider\":\"outlook\","
                 "\"client_id\":\"c\",\"client_secret\":\"" SECRET "\",\"refresh_token\":\"" TOKEN
                 "-%d\",\"extra\":{\"k\":\"the-extra\"},\"client_secert\":\"the-misspelt\","
                 "\"token\":\"the-token\"}",
                 i, i, i);
        edits[i] = world_edit(STORE_ADD, NULL, object);
    }
    world_write(world, edits, RECORDS);
    for (int i = 0; i < RECORDS; i++) {
        if (edits[i].status != STORE_OK)
            fail_msg("%s", edits[i].why.text);
    }
    world_clear(edits, RECORDS);
}

static void check_records(struct world *world)
{
    struct reason why;
    struct account_set *set = world_load(world, &why);
    char token[64];

    if (!set)
        fail_msg("%s", why.text);
    for (size_t i = 0; i < set->problems.count; i++) {
        if (set->problems.items[i].skipped)
            fail_msg("%s", set->problems.items[i].text);
    }
    check_num("records", (long long)set->count, RECORDS);
    for (size_t i = 0; i < RECORDS; i++) {
        snprintf(token, sizeof(token), TOKEN "-%c", set->records[i]->id[1]);
        assert_string_equal(set->records[i]->refresh_token, token);
        assert_string_equal(set->records[i]->client_secret, SECRET);
        assert_string_equal(set->records[i]->extra, "k=the-extra");
    }
    account_set_free(set);
}

static void make_store(void)
{
    struct world world;

    world_open(&world, path, "", false);
    add_records(&world);
    world_close(&world);
}

static void check_mode(const char *name)
{
    struct stat status;

    if (stat(name, &status) != 0)
        fail_msg("%s does not exist", name);
    check_num(name, status.st_mode & 07777, 0600);
}

static void check_refused(const char *key_file, const char *words)
{
    struct world world;
    struct reason why;

    if (world_try_open(&world, path, key_file, false, &why))
        fail_msg("it opens; wanted \"%s\"", words);
    if (!strstr(why.text, words))
        fail_msg("\"%s\" lacks \"%s\"", why.text, words);
}

/* --- files --------------------------------------------------------------------- */

static bool file_has(const char *name, const char *text)
{
    size_t len;
    struct reason why;
    char *octets = file_read(name, &len, &why);
    bool has = octets && memmem(octets, len, text, strlen(text));

    free(octets);
    return has;
}

static void test_files(void **state)
{
    static const char *const secrets[] = {TOKEN, SECRET, "the-extra", "the-misspelt", "the-token"};
    struct world world;
    char wal[520], shm[520];

    (void)state;
    umask(0);
    world_open(&world, path, "", false);
    add_records(&world);
    snprintf(wal, sizeof(wal), "%s-wal", path);
    snprintf(shm, sizeof(shm), "%s-shm", path);
    check_mode(path);
    check_mode(wal);
    check_mode(shm);
    check_mode(key_path);
    assert_true(file_has(wal, "r3@x"));
    for (size_t i = 0; i < COUNT_OF(secrets); i++) {
        if (file_has(path, secrets[i]) || file_has(wal, secrets[i]))
            fail_msg("%s is readable", secrets[i]);
    }
    world_close(&world);
    umask(077);
    assert_true(file_has(path, "r3@x"));
    world_open(&world, path, "", false);
    check_records(&world);
    world_close(&world);
}

static void check_note(const struct account_set *set, const char *start, const char *words)
{
    for (size_t i = 0; i < set->problems.count; i++) {
        const char *text = set->problems.items[i].text;

        if (strncmp(text, start, strlen(start)) == 0 && strstr(text, words))
            return;
    }
    fail_msg("nothing is said of %s", start);
}

static void test_files_that_others_may_read(void **state)
{
    struct world world;
    struct reason why;
    struct account_set *set;

    (void)state;
    make_store();
    assert_int_equal(chmod(path, 0644) | chmod(key_path, 0640), 0);
    world_open(&world, path, "", false);
    set = world_load(&world, &why);
    check_note(set, path, "(mode 0644): chmod 600");
    check_note(set, key_path, "(mode 0640): chmod 600");
    account_set_free(set);
    world_close(&world);
}

static void test_a_file_that_is_replaced_while_we_run(void **state)
{
    struct world world;
    struct reason why;

    (void)state;
    world_open(&world, path, "", false);
    add_records(&world);
    assert_int_equal(rename(path, world_path("elsewhere")), 0);
    check_num("save", world_save(&world, "r0", TOKEN "-0", "new", &why), STORE_FAILED);
    assert_non_null(strstr(why.text, "moved, removed or replaced"));
    assert_int_equal(rename(world_path("elsewhere"), path), 0);
    check_num("save", world_save(&world, "r0", TOKEN "-0", "new", &why), STORE_OK);
    world_close(&world);
}

static void test_what_is_no_database_of_ours(void **state)
{
    sqlite3 *db;

    (void)state;
    write_text(path, "this is no database, but long enough for its head to be looked at by all",
               0600);
    check_refused("", "file is not a database");
    unlink(path);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE t (c)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    check_refused("", "a database of another program");
    unlink(path);
    check_refused("/nowhere/key", "/nowhere/key");
}

/* --- schema ---------------------------------------------------------------------- */

static void run_sql(const char *sql)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    sqlite3_close(db);
}

static void test_a_newer_schema(void **state)
{
    (void)state;
    make_store();
    run_sql("PRAGMA user_version = 99");
    check_refused("", "newer bearerd: its schema is 99");
}

/* The store of an older version, by hand, and the steps that came later. */
static void test_steps(void **state)
{
    static const struct schema_step steps[] = {
        {"CREATE TABLE one (a TEXT)"},
        {"ALTER TABLE one ADD COLUMN b TEXT; UPDATE one SET b = a || '!'"},
        {"CREATE TABLE three (c TEXT)"},
        {"INSERT INTO nowhere VALUES (1)"},
    };
    struct reason why;
    sqlite3 *db;

    (void)state;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_true(database_migrate(db, path, steps, 1, false, &why));
    assert_true(database_run(db, "INSERT INTO one VALUES ('x')", &why));
    assert_false(database_migrate(db, path, steps, 3, true, &why));
    assert_non_null(strstr(why.text, "schema 1"));
    if (!database_migrate(db, path, steps, 3, false, &why))
        fail_msg("%s", why.text);
    check_num("version", database_number(db, "PRAGMA user_version"), 3);
    check_num("row", database_number(db, "SELECT b = 'x!' FROM one"), 1);
    /* A step that fails leaves everything as it was. */
    assert_false(database_migrate(db, path, steps, 4, false, &why));
    assert_non_null(strstr(why.text, "nowhere"));
    check_num("version", database_number(db, "PRAGMA user_version"), 3);
    assert_true(sqlite3_get_autocommit(db));
    assert_false(database_migrate(db, path, steps, 2, false, &why));
    assert_non_null(strstr(why.text, "newer"));
    sqlite3_close(db);
}

/* What the first version has made opens for ever: never change this text. */
static const char schema_1[] =
    "CREATE TABLE account (key INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, login TEXT NOT NULL "
    "UNIQUE, record TEXT NOT NULL, secrets BLOB, refresh_token BLOB) STRICT;"
    "CREATE TABLE setting (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;"
    "PRAGMA application_id = 1112687698; PRAGMA user_version = 1;"
    "INSERT INTO account VALUES (7, 'a', 'a@x', '{\"email\":\"a@x\",\"account_id\":\"a\","
    "\"provider\":\"outlook\",\"client_id\":\"c\"}', x'"
    "0105a403d192f4fbfbaeb0fb5b12c7d904733e5b757c2202bebd213483c71dc93cdb9a1596875dd7"
    "aba1efc9cbad7e4c572be857497141af72c9868e0de9f2ec4fbd"
    "', x'"
    "0105a403d111f796fc3d177c50fb2d4b48c9c4f3a2c6241bdcddbad31a03da8eaa549908ad48b88c"
    "fb3128217b9782223a3e406f4a66"
    "'); INSERT INTO setting VALUES ('key_check', x'"
    "0105a403d14f72459cf215186320a7c9add452493b2c479b9f8c17c5a22ba47e300b96165a2aca80"
    "4bff93cc9fab81e33afe319b"
    "');";

static void test_schema_1(void **state)
{
    struct world world;
    struct reason why;
    struct account_set *set;

    (void)state;
    run_sql(schema_1);
    write_text(key_path, "0000000000000000000000000000000000000000000000000000000000000001\n",
               0600);
    world_open(&world, path, "", false);
    set = world_load(&world, &why);
    check_num("records", (long long)set->count, 1);
    assert_string_equal(set->records[0]->refresh_token, "the-token");
    assert_string_equal(set->records[0]->client_secret, "s");
    account_set_free(set);
    world_close(&world);
}

/* --- beside the records ------------------------------------------------------------- */

static void on_kept(struct store_keep *keep)
{
    world_answered(keep->owner);
}

static void on_fetched(struct store_fetch *fetch)
{
    world_answered(fetch->owner);
}

static void keep_token(struct world *world, const char *id, const char *value)
{
    struct store_access access = {.id = id,
                                  .value = value,
                                  .expires_wall_ms = 1000000,
                                  .life_ms = 3600,
                                  .binding = "binding"};
    struct store_keep keep = {.items = &access, .count = 1, .done = on_kept, .owner = world};

    world->store->ops->keep(world->store, &keep);
    world_wait(world, 1);
    check_num("status", keep.status, STORE_OK);
}

/* `value` NULL: there must be none. */
static void check_kept(struct world *world, const char *id, const char *value)
{
    struct store_fetch fetch = {.id = id, .done = on_fetched, .owner = world};

    world->store->ops->fetch(world->store, &fetch);
    world_wait(world, 1);
    if (value) {
        assert_non_null(fetch.value);
        assert_string_equal(fetch.value, value);
        assert_string_equal((const char *)fetch.binding, "binding");
    } else {
        assert_null(fetch.value);
    }
    free(fetch.value);
}

static void check_loaded(struct world *world, uint64_t expires_ms, uint32_t superseded)
{
    struct reason why;
    struct account_set *set = world_load(world, &why);

    check_num("records", (long long)set->count, 1);
    check_num("expires", (long long)set->records[0]->kept_expires_ms, (long long)expires_ms);
    check_num("life", (long long)set->records[0]->kept_life_ms, expires_ms ? 3600 : 0);
    check_num("superseded", set->records[0]->superseded_count, superseded);
    account_set_free(set);
}

#define RECORD(id, more)                                                                           \
    "{\"email\":\"a@x\",\"account_id\":\"" id "\",\"provider\":\"outlook\",\"client_id\":\"c\","   \
    "\"refresh_token\":\"t1\"" more "}"

static void test_access_tokens(void **state)
{
    struct world world;
    struct reason why;
    size_t records;

    (void)state;
    world_open(&world, path, "", false);
    check_num("add", world_change(&world, STORE_ADD, NULL, RECORD("a", ""), &why), STORE_OK);
    check_loaded(&world, 0, 0);
    check_kept(&world, "a", NULL);
    keep_token(&world, "a", "an access token");
    keep_token(&world, "nobody", "another");
    check_kept(&world, "nobody", NULL);
    check_kept(&world, "a", "an access token");
    check_loaded(&world, 1000000, 0);
    check_num("rekey", world_rekey(&world, &records, &why), STORE_OK);
    check_kept(&world, "a", "an access token");
    world_close(&world);
    world_open(&world, path, "", false);
    check_kept(&world, "a", "an access token");
    keep_token(&world, "a", "the next");
    check_kept(&world, "a", "the next");
    /* Sealed for its account. */
    check_num("patch", world_change(&world, STORE_PATCH, "a", "{\"account_id\":\"b\"}", &why),
              STORE_OK);
    check_kept(&world, "b", NULL);
    check_num("rekey", world_rekey(&world, &records, &why), STORE_OK); /* it goes */
    check_loaded(&world, 0, 0);
    keep_token(&world, "b", "x");
    keep_token(&world, "b", NULL);
    check_kept(&world, "b", NULL);
    keep_token(&world, "b", "x");
    check_num("remove", world_change(&world, STORE_REMOVE, "b", NULL, &why), STORE_OK);
    check_num("add", world_change(&world, STORE_ADD, NULL, RECORD("b", ""), &why), STORE_OK);
    check_loaded(&world, 0, 0);
    check_kept(&world, "b", NULL);
    world_close(&world);
}

static void test_superseded_refresh_tokens(void **state)
{
    struct store_edit edit;
    struct world world;
    struct reason why;

    (void)state;
    world_open(&world, path, "", false);
    check_num("add", world_change(&world, STORE_ADD, NULL, RECORD("a", ""), &why), STORE_OK);
    check_num("save", world_save(&world, "a", "t1", "t2", &why), STORE_OK);
    check_num("save", world_save(&world, "a", "t2", "t3", &why), STORE_OK);
    check_loaded(&world, 0, 2);
    /* One that came with a verification. */
    edit = world_edit(STORE_REPLACE, NULL, RECORD("a", ""));
    edit.superseded = slice_dup(SLICE("t0"));
    world_write(&world, &edit, 1);
    check_num("replace", edit.status, STORE_OK);
    world_clear(&edit, 1);
    check_loaded(&world, 0, 3);
    check_num("patch", world_change(&world, STORE_PATCH, "a", "{\"email\":\"b@x\"}", &why),
              STORE_OK);
    check_loaded(&world, 0, 3);
    for (int i = 0; i < 40; i++) {
        char from[16], to[16];

        snprintf(from, sizeof(from), "t%d", i + 1);
        snprintf(to, sizeof(to), "t%d", i + 2);
        check_num("save", world_save(&world, "a", from, to, &why), STORE_OK);
    }
    check_loaded(&world, 0, STALE_MAX);
    world_close(&world);
}

static void test_look_only(void **state)
{
    struct store_options options = {.key_file = "", .look_only = true};
    struct world world;
    struct reason why;

    (void)state;
    world_open(&world, "file:/nowhere", "", false); /* for its mailbox */
    options.results = &world.mailbox;
    assert_null(store_open(path, &options, &why));
    assert_int_equal(access(path, F_OK) & access(key_path, F_OK), -1);
    world_close(&world);
    make_store();
    assert_int_equal(unlink(key_path), 0);
    world_open(&world, "file:/nowhere", "", false);
    options.results = &world.mailbox;
    assert_null(store_open(path, &options, &why));
    assert_int_equal(access(key_path, F_OK), -1);
    world_close(&world);
}

/* --- keys ------------------------------------------------------------------------ */

#define KEY_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"
#define KEY_B "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB # the new one\n"

static void test_wrong_keys(void **state)
{
    char other[512];

    (void)state;
    make_store();
    snprintf(other, sizeof(other), "%s", world_path("other.key"));
    write_text(other, KEY_A, 0600);
    check_refused(other, "bring the right key back");
    write_text(other, "# nothing\n", 0600);
    check_refused(other, "no key in it");
    write_text(other, "# one\n\nabc\n", 0600);
    check_refused(other, "line 3");
    assert_int_equal(rename(key_path, other), 0);
    check_refused("", "is missing");
    assert_int_equal(access(key_path, F_OK), -1);
    assert_int_equal(rename(other, key_path), 0);
}

static void test_the_credential_of_the_service_manager(void **state)
{
    struct world world;
    char folder[512], credential[512];

    (void)state;
    snprintf(folder, sizeof(folder), "%s", world_path("credentials"));
    snprintf(credential, sizeof(credential), "%s", world_path("credentials/bearerd.key"));
    assert_int_equal(mkdir(folder, 0700), 0);
    write_text(credential, KEY_A, 0400);
    setenv("CREDENTIALS_DIRECTORY", folder, 1);
    make_store();
    assert_int_equal(access(key_path, F_OK), -1);
    world_open(&world, path, "", false);
    check_records(&world);
    world_close(&world);
    unsetenv("CREDENTIALS_DIRECTORY");
    world_open(&world, path, credential, false);
    check_records(&world);
    world_close(&world);
    unlink(credential);
    rmdir(folder);
}

static void test_rekeying_with_a_named_key(void **state)
{
    struct world world;
    struct reason why;
    char named[512];
    size_t records;

    (void)state;
    snprintf(named, sizeof(named), "%s", world_path("named.key"));
    write_text(named, KEY_A, 0600);
    world_open(&world, path, named, false);
    add_records(&world);
    /* The operator puts a new one before it. */
    write_text(named, KEY_B KEY_A, 0600);
    check_num("rekey", world_rekey(&world, &records, &why), STORE_OK);
    check_num("records", (long long)records, RECORDS);
    check_text_file(named, KEY_B KEY_A);
    world_close(&world);
    write_text(named, KEY_B, 0600);
    world_open(&world, path, named, false);
    check_records(&world);
    world_close(&world);
    write_text(named, KEY_A, 0600);
    check_refused(named, "bring the right key back");
}

static void test_rekeying_with_our_own_key(void **state)
{
    struct world world, other;
    struct reason why;
    size_t records;
    char *before, *after;

    (void)state;
    make_store();
    before = read_text(key_path);
    world_open(&world, path, "", false);
    world_open(&other, path, "", false); /* another bearerd, with the old key in memory */
    check_num("rekey", world_rekey(&world, &records, &why), STORE_OK);
    check_num("records", (long long)records, RECORDS);
    check_records(&world);
    after = read_text(key_path);
    assert_string_not_equal(before, after);
    check_num("size", (long long)strlen(after), (long long)strlen(before));
    check_mode(key_path);
    check_records(&other);
    check_num("save", world_save(&other, "r0", TOKEN "-0", "fresh", &why), STORE_OK);
    check_num("save", world_save(&world, "r0", "fresh", TOKEN "-0", &why), STORE_OK);
    world_close(&other);
    world_close(&world);
    world_open(&world, path, "", false);
    check_records(&world);
    world_close(&world);
    /* The old key opens nothing any more. */
    write_text(key_path, before, 0600);
    check_refused("", "bring the right key back");
    free(before);
    free(after);
}

/* A value of one account in another's place, or of one column in the other. */
static void test_values_cannot_be_moved(void **state)
{
    static const char *const moves[] = {
        "UPDATE account SET refresh_token = (SELECT refresh_token FROM account WHERE id = 'r1') "
        "WHERE id = 'r0'",
        "UPDATE account SET refresh_token = secrets WHERE id = 'r0'",
        "UPDATE account SET secrets = (SELECT secrets FROM account WHERE id = 'r1') "
        "WHERE id = 'r0'",
        "UPDATE account SET refresh_token = substr(refresh_token, 1, 44) WHERE id = 'r0'",
        "UPDATE account SET id = 'moved' WHERE id = 'r0'",
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(moves); i++) {
        struct world world;
        struct account_set *set;
        struct reason why;

        make_store();
        run_sql(moves[i]);
        world_open(&world, path, "", false);
        set = world_load(&world, &why);
        check_num(moves[i], (long long)set->count, RECORDS - 1);
        check_num("skipped", (long long)set->problems.skipped, 1);
        account_set_free(set);
        /* It can be replaced and removed. */
        check_num("patch", world_change(&world, STORE_PATCH, "r0", "{}", &why),
                  strstr(moves[i], "moved") ? STORE_GONE : STORE_INVALID);
        check_num("replace",
                  world_change(&world, STORE_REPLACE, NULL,
                               "{\"email\":\"r0@x\",\"provider\":\"outlook\",\"client_id\":\"c\","
                               "\"refresh_token\":\"t\"}",
                               &why),
                  STORE_OK);
        set = world_load(&world, &why);
        check_num("again", (long long)set->count, RECORDS);
        account_set_free(set);
        world_close(&world);
        unlink(path);
    }
}

/* --- sudden deaths ----------------------------------------------------------------- */

/* Calls after which the process dies: those that leave something on the disk. */
static int deaths_in = -1;

static void step(void)
{
    if (deaths_in > 0 && --deaths_in == 0)
        kill(getpid(), SIGKILL);
}

int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_sqlite3_step(sqlite3_stmt *statement);
int __wrap_sqlite3_step(sqlite3_stmt *statement);
int __real_sqlite3_exec(sqlite3 *db, const char *sql, int (*row)(void *, int, char **, char **),
                        void *arg, char **error);
int __wrap_sqlite3_exec(sqlite3 *db, const char *sql, int (*row)(void *, int, char **, char **),
                        void *arg, char **error);

int __wrap_rename(const char *from, const char *to)
{
    int rc;

    step();
    rc = __real_rename(from, to);
    step();
    return rc;
}

int __wrap_fsync(int fd)
{
    step();
    return __real_fsync(fd);
}

int __wrap_sqlite3_step(sqlite3_stmt *statement)
{
    int rc = __real_sqlite3_step(statement);

    step();
    return rc;
}

int __wrap_sqlite3_exec(sqlite3 *db, const char *sql, int (*row)(void *, int, char **, char **),
                        void *arg, char **error)
{
    int rc;

    step();
    rc = __real_sqlite3_exec(db, sql, row, arg, error);
    step();
    return rc;
}

/* The exit status of a child that rekeys and dies at its nth step. */
static int rekey_until(int n)
{
    pid_t pid = fork();
    int status = 0;

    if (pid == 0) {
        struct world world;
        struct reason why;
        size_t records;

        if (!world_try_open(&world, path, "", false, &why))
            _exit(2);
        deaths_in = n;
        _exit(world_rekey(&world, &records, &why) == STORE_OK ? 0 : 1);
    }
    assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
    return status;
}

static void test_rekeying_survives_death_at_every_step(void **state)
{
    int n = 1;

    (void)state;
    make_store();
    for (;; n++) {
        int status = rekey_until(n);
        struct world world;

        if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
            fail_msg("step %d: rekeying failed", n);
        world_open(&world, path, "", false);
        check_records(&world);
        world_close(&world);
        if (WIFEXITED(status))
            break;
    }
    /* Reads and writes of each record, files, transaction. */
    assert_true(n > 3 * RECORDS);
}

static int set_up(void **state)
{
    (void)state;
    world_folder_begin();
    snprintf(path, sizeof(path), "%s", world_path("accounts.db"));
    snprintf(key_path, sizeof(key_path), "%s.key", path);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return world_folder_end();
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_files),
        TEST(test_files_that_others_may_read),
        TEST(test_a_file_that_is_replaced_while_we_run),
        TEST(test_what_is_no_database_of_ours),
        TEST(test_a_newer_schema),
        TEST(test_steps),
        TEST(test_schema_1),
        TEST(test_access_tokens),
        TEST(test_superseded_refresh_tokens),
        TEST(test_look_only),
        TEST(test_wrong_keys),
        TEST(test_the_credential_of_the_service_manager),
        TEST(test_rekeying_with_a_named_key),
        TEST(test_rekeying_with_our_own_key),
        TEST(test_values_cannot_be_moved),
        TEST(test_rekeying_survives_death_at_every_step),
    };

    json_set_alloc_funcs(wipe_malloc, wipe_free);
    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests_name("broker/sqlite_store", tests, NULL, NULL);
}
