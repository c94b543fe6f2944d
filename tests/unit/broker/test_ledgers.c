/* limits.state: what comes back after each kind of end. */
#include "check.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "broker/ledgers.h"

#define NOW 1700000000000ull
#define HOUR 3600000ull

static char folder[64], path[128];
static struct ledgers ledgers;

static void open_in(const char *where, uint64_t now)
{
    ledgers_open(&ledgers, where, now);
    ledgers_begin(&ledgers);
}

static int set_up(void **state)
{
    (void)state;
    log_set_level(LOG_ERROR);
    snprintf(folder, sizeof(folder), "/tmp/ledgers-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/limits.state", folder);
    open_in(folder, NOW);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    ledgers_close(&ledgers, true, NOW);
    chmod(folder, 0700);
    unlink(path);
    rmdir(folder);
    return 0;
}

static bool take(const char *id, const char *text, uint64_t now)
{
    return ledgers_take(&ledgers, &(struct ipc_ledger){0, slice_of(id), slice_of(text)}, now);
}

/* As kill -9 leaves it: nothing is closed. */
static void kill_and_start(uint64_t now)
{
    struct ledgers killed = ledgers;

    open_in(folder, now);
    killed.path[0] = '\0';
    close(killed.fd);
    killed.fd = -1;
    ledgers_close(&killed, false, now);
}

static void check_found(const char *id, uint64_t now, const char *text, uint64_t elapsed,
                        uint64_t lost)
{
    struct ipc_ledger_put put;

    if (!ledgers_find(&ledgers, false, slice_of(id), now, &put)) {
        assert_null(text);
        return;
    }
    check_text(id, put.state, text ? text : "");
    check_num("elapsed", (long long)put.elapsed_ms, (long long)elapsed);
    check_num("lost", (long long)put.lost_ms, (long long)lost);
}

static void test_a_clean_end(void **state)
{
    struct stat info;

    (void)state;
    check_found("a", NOW, NULL, 0, 0);
    assert_true(take("a", "m0:1", NOW));
    assert_true(take("b c", "m0:2", NOW + 5));
    assert_true(take("a", "m0:3", NOW + 10));
    check_found("a", NOW + 20, "m0:3", 10, LEDGERS_NEVER);
    ledgers_close(&ledgers, true, NOW + 30);
    assert_int_equal(stat(path, &info), 0);
    check_num("mode", info.st_mode & 07777, 0600);
    open_in(folder, NOW + 1000);
    check_found("a", NOW + 1000, "m0:3", 990, LEDGERS_NEVER);
    check_found("b c", NOW + 1000, "m0:2", 995, LEDGERS_NEVER);
    check_found("c", NOW + 1000, NULL, 0, 0);
}

static void test_killed(void **state)
{
    (void)state;
    assert_true(take("a", "m0:1", NOW));
    assert_true(take("a", "m0:2", NOW + 1));
    kill_and_start(NOW + 500);
    check_found("a", NOW + 600, "m0:2", 599, 100);
    check_found("stranger", NOW + 600, "", 0, 100);
    check_found("stranger", NOW + 26 * HOUR, NULL, 0, 0);
    /* A clean end behind it: what was lost is in what was told since. */
    ledgers_close(&ledgers, true, NOW + 700);
    open_in(folder, NOW + 800);
    check_found("a", NOW + 800, "m0:2", 799, LEDGERS_NEVER);
}

static void test_a_relay_that_ends_untold(void **state)
{
    (void)state;
    assert_true(take("a", "m0:1", NOW));
    ledgers_lost(&ledgers, NOW + 100);
    check_found("a", NOW + 150, "m0:1", 150, 50);
    check_found("b", NOW + 150, "", 0, 50);
    ledgers_close(&ledgers, false, NOW + 200);
    open_in(folder, NOW + 300);
    check_found("b", NOW + 300, "", 0, 0);
}

static void write_file(const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void reopen_as(const char *text)
{
    ledgers_close(&ledgers, true, NOW);
    write_file(text);
    open_in(folder, NOW + 1000);
}

static void test_cut_and_broken_files(void **state)
{
    static const char *const broken[] = {
        "",
        "other\n",
        "bearerd limits 2\n",
        "bearerd limits 1\nx m0:1 a\n",
        "bearerd limits 1\n1700000000000 m0:1\n",
        "bearerd limits 1\n1700000000000 m0:1 \n",
        "bearerd limits 1\n\n",
        "bearerd limits 1\n1700000000000 m0:1 a\tb\nclean\n",
    };

    (void)state;
    reopen_as("bearerd limits 1\n1700000000000 m0:1 a\n1700000000000 m0:2 b");
    check_found("a", NOW + 1000, "m0:1", 1000, 0);
    check_found("b", NOW + 1000, "", 0, 0);
    reopen_as("bearerd limits 1\nclean\n1700000000000 m0:1 a\n"); /* written behind it */
    check_found("a", NOW + 1000, "m0:1", 1000, 0);
    for (size_t i = 0; i < COUNT_OF(broken); i++) {
        reopen_as(broken[i]);
        check_found("a", NOW + 1000, "", 0, 0);
        assert_true(take("a", "m0:1", NOW)); /* it serves all the same */
        kill_and_start(NOW + 1000);
        check_found("a", NOW + 1000, "m0:1", 1000, 0);
    }
}

/* A group may be called as an account is, and either in any script. */
static void test_groups(void **state)
{
    struct ipc_ledger told = {1, SLICE("\xc3\xa4"), SLICE("d0:9")};
    struct ipc_ledger_put put;

    (void)state;
    assert_true(take("\xc3\xa4", "d0:1", NOW));
    assert_true(ledgers_take(&ledgers, &told, NOW));
    kill_and_start(NOW);
    check_found("\xc3\xa4", NOW, "d0:1", 0, 0);
    assert_true(ledgers_find(&ledgers, true, SLICE("\xc3\xa4"), NOW, &put));
    check_text("group", put.state, "d0:9");
    check_num("group", put.group, 1);
    check_text("name", put.id, "\xc3\xa4");
}

/* It finds that it cannot serve, and ends: the first one's file is as it was. */
static void test_a_second_one(void **state)
{
    struct ledgers second;

    (void)state;
    assert_true(take("a", "m0:1", NOW));
    ledgers_open(&second, folder, NOW);
    ledgers_close(&second, true, NOW);
    assert_true(take("a", "m0:2", NOW));
    kill_and_start(NOW);
    check_found("a", NOW, "m0:2", 0, 0);
}

static void test_old_ones_are_dropped(void **state)
{
    (void)state;
    assert_true(take("a", "d0:1", NOW));
    assert_true(take("b", "d0:1", NOW + 20 * HOUR));
    ledgers_close(&ledgers, true, NOW + 20 * HOUR);
    open_in(folder, NOW + 26 * HOUR);
    check_found("a", NOW + 26 * HOUR, NULL, 0, 0);
    check_found("b", NOW + 26 * HOUR, "d0:1", 6 * HOUR, LEDGERS_NEVER);
}

static void test_the_file_stays_small(void **state)
{
    struct stat info;
    char text[64];

    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        snprintf(text, sizeof(text), "m0:%uh0:%ud0:%u", i, i, i);
        assert_true(take(i % 2 ? "a" : "b", text, NOW + i));
    }
    assert_int_equal(stat(path, &info), 0);
    assert_true(info.st_size < 100000);
    kill_and_start(NOW + 20000);
    check_found("a", NOW + 20000, "m0:19999h0:19999d0:19999", 1, 0);
    check_found("b", NOW + 20000, "m0:19998h0:19998d0:19998", 2, 0);
}

static void test_hostile_texts(void **state)
{
    (void)state;
    assert_false(take("a", "m0:1\n1700000000000 m0:0 b", NOW));
    assert_false(take("a", "m0:1 b", NOW));
    assert_false(take("a", "\x7f", NOW));
    check_found("a", NOW, NULL, 0, 0);
    assert_true(take("a\nb", "m0:1", NOW)); /* no honest id, and not kept */
    check_found("a\nb", NOW, NULL, 0, 0);
}

static void test_a_folder_that_cannot_be_written(void **state)
{
    (void)state;
    ledgers_close(&ledgers, true, NOW);
    open_in("/proc/no such folder", NOW);
    check_num("file", ledgers.fd, -1);
    assert_true(take("a", "m0:1", NOW));
    check_found("a", NOW, "m0:1", 0, LEDGERS_NEVER);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_a_clean_end),
        CASE(test_killed),
        CASE(test_a_relay_that_ends_untold),
        CASE(test_cut_and_broken_files),
        CASE(test_groups),
        CASE(test_a_second_one),
        CASE(test_old_ones_are_dropped),
        CASE(test_the_file_stays_small),
        CASE(test_hostile_texts),
        CASE(test_a_folder_that_cannot_be_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
