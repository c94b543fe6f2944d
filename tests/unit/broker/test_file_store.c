/* accounts.json on a real disk: what survives, what is refused, and what many
 * writers and sudden deaths do to it. */
#include "broker/store_world.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "broker/store/file_io.h"
#include "broker/wipe.h"

static char path[512];

static void open_world(struct world *world)
{
    world_open(world, path, "", false);
}

static void write_file(const char *text)
{
    write_text(path, text, 0644);
}

static void check_file(const char *wants)
{
    check_text_file(path, wants);
}

#define RECORD(name, token)                                                                        \
    "{\"email\":\"" name "@x.org\", \"account_id\":\"" name "\", \"provider\":\"outlook\","        \
    " \"client_id\":\"c\", \"refresh_token\":\"" token "\", \"_n\": [ 1.0 ]}"

static void on_saved(struct store_save *save)
{
    world_answered(save->owner);
}

/* --- tests ------------------------------------------------------------------ */

static void test_load(void **state)
{
    struct world world;
    struct reason why;
    struct account_set *set;

    (void)state;
    write_file("[" RECORD("a", "1") ",\n" RECORD("b", "2") "]");
    open_world(&world);
    set = world_load(&world, &why);
    assert_non_null(set);
    check_num("records", (long long)set->count, 2);
    assert_string_equal(set->records[1]->refresh_token, "2");
    check_num("notes", (long long)set->problems.count, 1); /* mode 0644 */
    assert_non_null(strstr(set->problems.items[0].text, "chmod 600"));
    account_set_free(set);
    unlink(path);
    assert_null(world_load(&world, &why));
    assert_non_null(strstr(why.text, path));
    world_close(&world);
}

static void test_a_save_changes_the_token_only(void **state)
{
    struct world world;
    struct reason why;
    struct stat status;

    (void)state;
    write_file("{ \"_doc\": \"keep\",\n  \"accounts\": [" RECORD("a", "1") ",\n" RECORD(
        "b", "2") "],"
                  "\n\t\"other\": {\"x\" : 1e2}\n}\n");
    open_world(&world);
    check_num("status", world_save(&world, "b", "2", "new\"\\", &why), STORE_OK);
    check_file("{ \"_doc\": \"keep\",\n  \"accounts\": [" RECORD("a", "1") ",\n" RECORD(
        "b", "new\\\"\\\\") "],\n\t\"other\": {\"x\" : 1e2}\n}\n");
    assert_int_equal(stat(path, &status), 0);
    check_num("mode", status.st_mode & 07777, 0600);
    /* Again: it is there already. */
    check_num("again", world_save(&world, "b", "2", "new\"\\", &why), STORE_OK);
    world_close(&world);
}

static void test_edits_by_hand_are_not_lost(void **state)
{
    struct world world;
    struct reason why;

    (void)state;
    write_file("[" RECORD("a", "1") "]");
    open_world(&world);
    check_num("first", world_save(&world, "a", "1", "2", &why), STORE_OK);
    /* Somebody adds a record, and gives the other a new grant. */
    write_file("[" RECORD("z", "9") "," RECORD("a", "hand") "]");
    check_num("second", world_save(&world, "a", "2", "3", &why), STORE_CHANGED);
    check_file("[" RECORD("z", "9") "," RECORD("a", "hand") "]");
    check_num("third", world_save(&world, "z", "9", "10", &why), STORE_OK);
    check_file("[" RECORD("z", "10") "," RECORD("a", "hand") "]");
    check_num("gone", world_save(&world, "b", "1", "2", &why), STORE_GONE);
    world_close(&world);
}

static void test_a_broken_file_is_not_touched(void **state)
{
    static const char *const broken[] = {"", "[{\"email\":\"a\"", "{\"accounts\":7}"};
    struct world world;
    struct reason why;

    (void)state;
    open_world(&world);
    for (size_t i = 0; i < COUNT_OF(broken); i++) {
        write_file(broken[i]);
        check_num(broken[i], world_save(&world, "a", "1", "2", &why), STORE_FAILED);
        assert_non_null(strstr(why.text, path));
        check_file(broken[i]);
        assert_null(world_load(&world, &why));
        check_file(broken[i]);
    }
    world_close(&world);
}

/* Somebody who may write to the folder must not stop the store's thread for good. */
static void test_a_pipe_is_no_file(void **state)
{
    struct world world;
    struct reason why;

    (void)state;
    open_world(&world);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_null(world_load(&world, &why));
    assert_non_null(strstr(why.text, "not a file"));
    check_num("save", world_save(&world, "a", "1", "2", &why), STORE_FAILED);
    world_close(&world);
    assert_int_equal(unlink(path), 0);
}

static void test_a_failed_write_changes_nothing(void **state)
{
    struct world world;
    struct reason why;
    char beside[600];

    (void)state;
    write_file("[" RECORD("a", "1") "]");
    open_world(&world);
    /* A folder in the temporary file's place can be neither removed nor opened. */
    snprintf(beside, sizeof(beside), "%s.new", path);
    assert_int_equal(mkdir(beside, 0700), 0);
    check_num("status", world_save(&world, "a", "1", "2", &why), STORE_FAILED);
    check_file("[" RECORD("a", "1") "]");
    assert_int_equal(rmdir(beside), 0);
    check_num("again", world_save(&world, "a", "1", "2", &why), STORE_OK);
    check_file("[" RECORD("a", "2") "]");
    world_close(&world);
}

static void test_a_symbolic_link_stays(void **state)
{
    struct world world;
    struct reason why;
    struct stat status;
    char target[512];

    (void)state;
    write_file("[" RECORD("a", "1") "]");
    snprintf(target, sizeof(target), "%s", world_path("target.json"));
    assert_int_equal(rename(path, target), 0);
    assert_int_equal(symlink("target.json", path), 0);
    open_world(&world);
    check_num("status", world_save(&world, "a", "1", "2", &why), STORE_OK);
    check_file("[" RECORD("a", "2") "]");
    assert_true(lstat(path, &status) == 0 && S_ISLNK(status.st_mode));
    world_close(&world);
    unlink(path);
    unlink(target);
}

static void test_many_saves_share_a_rewrite(void **state)
{
    enum { COUNT = 200 };
    static struct store_save saves[COUNT];
    static char names[COUNT][16], tokens[COUNT][8];
    struct world world;
    struct account_set *set;
    struct reason why;
    static char memory[COUNT * 256];
    struct text text;
    int lock;

    (void)state;
    text_init(&text, memory, sizeof(memory));
    for (int i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof(names[i]), "n%d", i);
        snprintf(tokens[i], sizeof(tokens[i]), "t%d", i);
        text_addf(&text,
                  "%s{\"email\":\"%s@x\",\"account_id\":\"%s\",\"provider\":\"outlook\","
                  "\"client_id\":\"c\",\"refresh_token\":\"old\"}",
                  i ? "," : "[", names[i], names[i]);
    }
    text_add_char(&text, ']');
    write_file(memory);
    open_world(&world);
    /* While somebody holds the lock, they gather. */
    lock = file_lock(path, 0, &why);
    assert_true(lock >= 0);
    for (int i = 0; i < COUNT; i++) {
        saves[i] = (struct store_save){.id = names[i], .expected = "old", .token = tokens[i]};
        saves[i].done = on_saved;
        saves[i].owner = &world;
        world.store->ops->save_token(world.store, &saves[i]);
    }
    close(lock);
    world_wait(&world, COUNT);
    set = world_load(&world, &why);
    check_num("records", (long long)set->count, COUNT);
    for (int i = 0; i < COUNT; i++) {
        check_num("status", saves[i].status, STORE_OK);
        assert_string_equal(set->records[i]->refresh_token, tokens[i]);
    }
    account_set_free(set);
    world_close(&world);
}

static void test_closing_finishes_what_was_asked(void **state)
{
    struct store_save request = {.id = "a", .expected = "1", .token = "2"};
    struct world world;

    (void)state;
    write_file("[" RECORD("a", "1") "]");
    open_world(&world);
    request.done = on_saved;
    request.owner = &world;
    world.store->ops->save_token(world.store, &request);
    world_close(&world);
    check_num("answers", (long long)world.answers, 1);
    check_num("status", request.status, STORE_OK);
    check_file("[" RECORD("a", "2") "]");
}

/* --- edits ------------------------------------------------------------------- */

#define NEW                                                                                        \
    "{\"email\":\"n@x.org\",\"account_id\":\"n\",\"provider\":\"outlook\",\"client_id\":\"c\","    \
    "\"refresh_token\":\"t\"}"

static enum store_status change(enum store_edit_kind kind, const char *id, const char *object,
                                struct reason *why)
{
    struct world world;
    enum store_status status;

    open_world(&world);
    status = world_change(&world, kind, id, object, why);
    world_close(&world);
    return status;
}

static void test_edits_keep_the_operators_text(void **state)
{
    struct reason why;

    (void)state;
    write_file("{ \"_doc\": \"keep\",\n  \"accounts\": [" RECORD("a", "1") ",\n    " RECORD(
        "b", "2") "],\n\t\"other\": {\"x\" : 1e2}\n}\n");
    check_num("patch", change(STORE_PATCH, "b", "{\"scope\":\"s\",\"client_id\":\"d\"}", &why),
              STORE_OK);
    check_num("add", change(STORE_ADD, NULL, NEW, &why), STORE_OK);
    check_num("remove", change(STORE_REMOVE, "a", NULL, &why), STORE_OK);
    check_file("{ \"_doc\": \"keep\",\n  \"accounts\": [{\"email\":\"b@x.org\", "
               "\"account_id\":\"b\", \"provider\":\"outlook\", \"client_id\":\"d\", "
               "\"refresh_token\":\"2\", \"_n\": [ 1.0 ], \"scope\":\"s\"},\n    "
               "{\"email\":\"n@x.org\", \"account_id\":\"n\", \"provider\":\"outlook\", "
               "\"client_id\":\"c\", \"refresh_token\":\"t\"}],\n\t\"other\": {\"x\" : 1e2}\n}\n");
}

static void test_the_first_account_makes_the_file(void **state)
{
    struct reason why;
    struct stat status;

    (void)state;
    unlink(path);
    check_num("remove", change(STORE_REMOVE, "a", NULL, &why), STORE_GONE);
    assert_int_equal(access(path, F_OK), -1);
    check_num("add", change(STORE_ADD, NULL, NEW, &why), STORE_OK);
    check_file("[\n  {\n    \"email\": \"n@x.org\",\n    \"account_id\": \"n\",\n"
               "    \"provider\": \"outlook\",\n    \"client_id\": \"c\",\n"
               "    \"refresh_token\": \"t\"\n  }\n]\n");
    assert_int_equal(stat(path, &status), 0);
    check_num("mode", status.st_mode & 07777, 0600);
}

static void test_edits_do_not_touch_a_broken_file(void **state)
{
    struct reason why;

    (void)state;
    write_file("[\n  {\"a\": }\n]");
    check_num("add", change(STORE_ADD, NULL, NEW, &why), STORE_FAILED);
    assert_non_null(strstr(why.text, "line 2, column 9"));
    check_file("[\n  {\"a\": }\n]");
}

/* Hands make what the store never would: the first of two counts, and what was
 * skipped does not come to life when an account is removed. */
static void test_doubles_that_hands_have_made(void **state)
{
    struct reason why;

    (void)state;
    write_file("[" RECORD("a", "1") ",{\"_c\":1}," RECORD("b", "2") "," RECORD(
        "a", "3") ",{\"email\":\"A@x.org\",\"account_id\":\"z\"}]");
    check_num("patch", change(STORE_PATCH, "a", "{\"_n\":null}", &why), STORE_OK);
    check_num("exists", change(STORE_ADD, NULL, RECORD("a", "4"), &why), STORE_EXISTS);
    check_num("remove", change(STORE_REMOVE, "a", NULL, &why), STORE_OK);
    check_file("[{\"_c\":1}," RECORD("b", "2") "]");
}

/* --- watching ------------------------------------------------------------------ */

static void check_noticed(struct world *world, const char *name)
{
    struct reason why;
    struct account_set *set;

    world_wait_changed(world);
    set = world_load(world, &why);
    if (!set)
        fail_msg("%s: %s", name, why.text);
    check_num("records", (long long)set->count, 1);
    assert_string_equal(set->records[0]->id, name);
    account_set_free(set);
}

static void test_edits_by_hand_are_noticed(void **state)
{
    struct world world;
    struct reason why;
    char other[512], folder[512];

    (void)state;
    write_file("[]");
    world_open(&world, path, "", true);
    account_set_free(world_load(&world, &why));
    write_file("[" RECORD("in-place", "1") "]");
    check_noticed(&world, "in-place");
    snprintf(other, sizeof(other), "%s", world_path("other.json"));
    write_text(other, "[" RECORD("renamed", "1") "]", 0600);
    assert_int_equal(rename(other, path), 0);
    check_noticed(&world, "renamed");
    /* A link takes its place, then the link's target changes elsewhere. */
    snprintf(folder, sizeof(folder), "%s", world_path("folder"));
    snprintf(other, sizeof(other), "%s", world_path("folder/target.json"));
    assert_int_equal(mkdir(folder, 0700), 0);
    write_text(other, "[" RECORD("linked", "1") "]", 0600);
    assert_true(unlink(path) == 0 && symlink(other, path) == 0);
    check_noticed(&world, "linked");
    write_text(other, "[" RECORD("elsewhere", "1") "]", 0600);
    check_noticed(&world, "elsewhere");
    world_close(&world);
    unlink(other);
    rmdir(folder);
    unlink(path);
}

/* --- many processes ---------------------------------------------------------- */

#define WRITERS 4
#define CHANGES 40

/* Rotates its own record, each time from what it wrote last, as a bearerd does. */
static void write_changes(int writer, int changes)
{
    char id[16], token[16], next[16];
    struct world world;

    snprintf(id, sizeof(id), "w%d", writer);
    snprintf(token, sizeof(token), "0");
    open_world(&world);
    for (int i = 1; i <= changes; i++) {
        struct reason why;

        snprintf(next, sizeof(next), "%d", i);
        if (world_save(&world, id, token, next, &why) != STORE_OK) {
            fprintf(stderr, "writer %d: %s\n", writer, why.text);
            _exit(1);
        }
        memcpy(token, next, sizeof(token));
    }
    world_close(&world);
    _exit(0);
}

static void write_start_file(void)
{
    write_file("{\"_c\":\"x\",\"accounts\":[" RECORD("w0", "0") "," RECORD("w1", "0") "," RECORD(
        "w2", "0") "," RECORD("w3", "0") "]}");
}

static long token_of(const char *id)
{
    struct document document = {NULL};
    struct reason why;
    size_t len = 0;
    char *text = file_read(path, &len, &why);
    long token = -1;

    if (!text || !document_parse(&document, (struct slice){text, len}, path, &why))
        fail_msg("torn file: %s", why.text);
    check_num("records", (long long)document.count, WRITERS);
    for (size_t i = 0; i < document.count; i++) {
        json_t *record = json_array_get(document.records, i);

        if (strcmp(json_string_value(json_object_get(record, "account_id")), id) == 0)
            token = strtol(json_string_value(json_object_get(record, "refresh_token")), NULL, 10);
    }
    document_clear(&document);
    free(text);
    return token;
}

static void start_writers(pid_t *pids, int changes)
{
    for (int i = 0; i < WRITERS; i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            write_changes(i, changes);
        assert_true(pids[i] > 0);
    }
}

static void test_concurrent_writers(void **state)
{
    pid_t pids[WRITERS];
    int left = WRITERS, status;

    (void)state;
    write_start_file();
    start_writers(pids, CHANGES);
    while (left) {
        pid_t ended = waitpid(-1, &status, WNOHANG);

        (void)token_of("w0"); /* a reader: whole at any moment */
        if (ended > 0) {
            check_num("exit status", status, 0);
            left--;
        }
    }
    for (int i = 0; i < WRITERS; i++) {
        char id[16];

        snprintf(id, sizeof(id), "w%d", i);
        check_num(id, token_of(id), CHANGES);
    }
}

static void test_writers_that_are_killed(void **state)
{
    pid_t pids[WRITERS];
    uint64_t seed = 42;

    (void)state;
    for (int round = 0; round < 15; round++) {
        write_start_file();
        start_writers(pids, 1000000);
        for (int i = 0; i < WRITERS; i++) {
            struct timespec wait = {.tv_nsec = (long)(next_random(&seed) % 20) * 1000000};
            long before;

            nanosleep(&wait, NULL);
            before = token_of("w0");
            kill(pids[i], SIGKILL);
            waitpid(pids[i], NULL, 0);
            assert_true(token_of("w0") >= before);
        }
    }
}

static int set_up(void **state)
{
    (void)state;
    json_set_alloc_funcs(wipe_malloc, wipe_free);
    world_folder_begin();
    snprintf(path, sizeof(path), "%s", world_path("accounts.json"));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return world_folder_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_load),
        cmocka_unit_test(test_a_save_changes_the_token_only),
        cmocka_unit_test(test_edits_by_hand_are_not_lost),
        cmocka_unit_test(test_a_broken_file_is_not_touched),
        cmocka_unit_test(test_a_pipe_is_no_file),
        cmocka_unit_test(test_a_failed_write_changes_nothing),
        cmocka_unit_test(test_a_symbolic_link_stays),
        cmocka_unit_test(test_many_saves_share_a_rewrite),
        cmocka_unit_test(test_closing_finishes_what_was_asked),
        cmocka_unit_test(test_edits_keep_the_operators_text),
        cmocka_unit_test(test_the_first_account_makes_the_file),
        cmocka_unit_test(test_edits_do_not_touch_a_broken_file),
        cmocka_unit_test(test_doubles_that_hands_have_made),
        cmocka_unit_test(test_edits_by_hand_are_noticed),
        cmocka_unit_test(test_concurrent_writers),
        cmocka_unit_test(test_writers_that_are_killed),
    };

    return cmocka_run_group_tests_name("broker/file_store", tests, set_up, tear_down);
}
