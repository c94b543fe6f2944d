/* accounts.json on a real disk: what survives, what is refused, and what many
 * writers and sudden deaths do to it. */
#include "check.h"

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
#include "broker/store/store.h"
#include "broker/wipe.h"

static char folder[] = "/tmp/bearerd-store-XXXXXX";
static char path[64];

/* --- one store with its loop ------------------------------------------------ */

struct world {
    struct loop loop;
    struct mailbox mailbox;
    struct store *store;
    struct conf *conf;
    size_t answers, wanted;
};

static void open_world(struct world *world)
{
    struct reason why;

    memset(world, 0, sizeof(*world));
    world->conf = conf_default();
    assert_true(loop_init(&world->loop, &why) && mailbox_init(&world->mailbox, &world->loop, &why));
    world->store = store_open(path, &world->mailbox, &why);
    assert_non_null(world->store);
}

static void close_world(struct world *world)
{
    world->store->ops->close(world->store);
    mailbox_close(&world->mailbox);
    loop_close(&world->loop);
    conf_free(world->conf);
}

static void answered(struct world *world)
{
    if (++world->answers == world->wanted)
        loop_stop(&world->loop);
}

static void on_saved(struct store_save *save)
{
    answered(save->owner);
}

static void on_loaded(struct store_load *load)
{
    answered(load->owner);
}

static void wait_for(struct world *world, size_t answers)
{
    world->answers = 0;
    world->wanted = answers;
    loop_run(&world->loop);
}

static enum store_status save(struct world *world, const char *id, const char *expected,
                              const char *token, struct reason *why)
{
    struct store_save request = {.id = id, .expected = expected, .token = token};

    request.done = on_saved;
    request.owner = world;
    world->store->ops->save_token(world->store, &request);
    wait_for(world, 1);
    *why = request.why;
    return request.status;
}

static struct account_set *load(struct world *world, struct reason *why)
{
    struct store_load request = {.conf = world->conf, .done = on_loaded, .owner = world};

    world->store->ops->load(world->store, &request);
    wait_for(world, 1);
    *why = request.why;
    return request.set;
}

/* --- files ------------------------------------------------------------------ */

static void write_file(const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

static void check_file(const char *wants)
{
    size_t len;
    struct reason why;
    char *text = file_read(path, &len, &why);

    assert_non_null(text);
    check_slice("file", (struct slice){text, len}, slice_of(wants));
    free(text);
}

#define RECORD(name, token)                                                                        \
    "{\"email\":\"" name "@x.org\", \"account_id\":\"" name "\", \"provider\":\"outlook\","        \
    " \"client_id\":\"c\", \"refresh_token\":\"" token "\", \"_n\": [ 1.0 ]}"

/* --- tests ------------------------------------------------------------------ */

static void test_load(void **state)
{
    struct world world;
    struct reason why;
    struct account_set *set;

    (void)state;
    write_file("[" RECORD("a", "1") ",\n" RECORD("b", "2") "]");
    open_world(&world);
    set = load(&world, &why);
    assert_non_null(set);
    check_num("records", (long long)set->count, 2);
    assert_string_equal(set->records[1]->refresh_token, "2");
    check_num("notes", (long long)set->problems.count, 1); /* mode 0644 */
    assert_non_null(strstr(set->problems.items[0].text, "chmod 600"));
    account_set_free(set);
    unlink(path);
    assert_null(load(&world, &why));
    assert_non_null(strstr(why.text, path));
    close_world(&world);
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
    check_num("status", save(&world, "b", "2", "new\"\\", &why), STORE_OK);
    check_file("{ \"_doc\": \"keep\",\n  \"accounts\": [" RECORD("a", "1") ",\n" RECORD(
        "b", "new\\\"\\\\") "],\n\t\"other\": {\"x\" : 1e2}\n}\n");
    assert_int_equal(stat(path, &status), 0);
    check_num("mode", status.st_mode & 07777, 0600);
    /* Again: it is there already. */
    check_num("again", save(&world, "b", "2", "new\"\\", &why), STORE_OK);
    close_world(&world);
}

static void test_edits_by_hand_are_not_lost(void **state)
{
    struct world world;
    struct reason why;

    (void)state;
    write_file("[" RECORD("a", "1") "]");
    open_world(&world);
    check_num("first", save(&world, "a", "1", "2", &why), STORE_OK);
    /* Somebody adds a record, and gives the other a new grant. */
    write_file("[" RECORD("z", "9") "," RECORD("a", "hand") "]");
    check_num("second", save(&world, "a", "2", "3", &why), STORE_CHANGED);
    check_file("[" RECORD("z", "9") "," RECORD("a", "hand") "]");
    check_num("third", save(&world, "z", "9", "10", &why), STORE_OK);
    check_file("[" RECORD("z", "10") "," RECORD("a", "hand") "]");
    check_num("gone", save(&world, "b", "1", "2", &why), STORE_GONE);
    close_world(&world);
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
        check_num(broken[i], save(&world, "a", "1", "2", &why), STORE_FAILED);
        assert_non_null(strstr(why.text, folder));
        check_file(broken[i]);
        assert_null(load(&world, &why));
        check_file(broken[i]);
    }
    close_world(&world);
}

static void test_a_failed_write_changes_nothing(void **state)
{
    struct world world;
    struct reason why;
    char beside[80];

    (void)state;
    write_file("[" RECORD("a", "1") "]");
    open_world(&world);
    /* A folder in the temporary file's place can be neither removed nor opened. */
    snprintf(beside, sizeof(beside), "%s.new", path);
    assert_int_equal(mkdir(beside, 0700), 0);
    check_num("status", save(&world, "a", "1", "2", &why), STORE_FAILED);
    check_file("[" RECORD("a", "1") "]");
    assert_int_equal(rmdir(beside), 0);
    check_num("again", save(&world, "a", "1", "2", &why), STORE_OK);
    check_file("[" RECORD("a", "2") "]");
    close_world(&world);
}

static void test_a_symbolic_link_stays(void **state)
{
    struct world world;
    struct reason why;
    struct stat status;
    char target[80];

    (void)state;
    write_file("[" RECORD("a", "1") "]");
    snprintf(target, sizeof(target), "%s/target.json", folder);
    assert_int_equal(rename(path, target), 0);
    assert_int_equal(symlink("target.json", path), 0);
    open_world(&world);
    check_num("status", save(&world, "a", "1", "2", &why), STORE_OK);
    check_file("[" RECORD("a", "2") "]");
    assert_true(lstat(path, &status) == 0 && S_ISLNK(status.st_mode));
    close_world(&world);
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
    wait_for(&world, COUNT);
    set = load(&world, &why);
    check_num("records", (long long)set->count, COUNT);
    for (int i = 0; i < COUNT; i++) {
        check_num("status", saves[i].status, STORE_OK);
        assert_string_equal(set->records[i]->refresh_token, tokens[i]);
    }
    account_set_free(set);
    close_world(&world);
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
    close_world(&world);
    check_num("answers", (long long)world.answers, 1);
    check_num("status", request.status, STORE_OK);
    check_file("[" RECORD("a", "2") "]");
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
        if (save(&world, id, token, next, &why) != STORE_OK) {
            fprintf(stderr, "writer %d: %s\n", writer, why.text);
            _exit(1);
        }
        memcpy(token, next, sizeof(token));
    }
    close_world(&world);
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
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof(path), "%s/accounts.json", folder);
    return 0;
}

static int tear_down(void **state)
{
    static const char *const ends[] = {"", ".lock", ".new"};
    char name[80];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        snprintf(name, sizeof(name), "%s%s", path, ends[i]);
        unlink(name);
    }
    snprintf(name, sizeof(name), "%s/target.json.lock", folder);
    unlink(name);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_load),
        cmocka_unit_test(test_a_save_changes_the_token_only),
        cmocka_unit_test(test_edits_by_hand_are_not_lost),
        cmocka_unit_test(test_a_broken_file_is_not_touched),
        cmocka_unit_test(test_a_failed_write_changes_nothing),
        cmocka_unit_test(test_a_symbolic_link_stays),
        cmocka_unit_test(test_many_saves_share_a_rewrite),
        cmocka_unit_test(test_closing_finishes_what_was_asked),
        cmocka_unit_test(test_concurrent_writers),
        cmocka_unit_test(test_writers_that_are_killed),
    };

    return cmocka_run_group_tests_name("broker/file_store", tests, set_up, tear_down);
}
