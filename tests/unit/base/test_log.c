#include "check.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"

#define WALL_MS 1700000000123u /* 2023-11-14T22:13:20.123Z */

static const struct log_field end = {.type = LOG_END};

static struct slice format_one(enum log_format format, struct log_field field, char *out,
                               size_t cap)
{
    const struct log_field fields[] = {field, end};

    return (struct slice){
        out, log_format_line(out, cap, format, WALL_MS, LOG_INFO, "relay", "sent", fields)};
}

static void test_fields(void **state)
{
    static const struct {
        struct log_field field;
        const char *kv, *json;
    } rows[] = {
        {{"a", LOG_STR, {.str = "plain"}}, " a=plain", ",\"a\":\"plain\""},
        {{"a", LOG_STR, {.str = ""}}, " a=\"\"", ",\"a\":\"\""},
        {{"a", LOG_STR, {.str = NULL}}, "", ""},
        {{"a", LOG_STR, {.str = "two words"}}, " a=\"two words\"", ",\"a\":\"two words\""},
        {{"a", LOG_STR, {.str = "k=v"}}, " a=\"k=v\"", ",\"a\":\"k=v\""},
        {{"a", LOG_STR, {.str = "say \"\\\""}},
         " a=\"say \\\"\\\\\\\"\"",
         ",\"a\":\"say \\\"\\\\\\\"\""},
        {{"a", LOG_STR, {.str = "x\r\nlevel=error"}},
         " a=\"x\\x0d\\x0alevel=error\"",
         ",\"a\":\"x\\u000d\\u000alevel=error\""},
        {{"a", LOG_STR, {.str = "\x1b[31m\x7f\xc3\xa4"}},
         " a=\"\\x1b[31m\\x7f\\xc3\\xa4\"",
         ",\"a\":\"\\u001b[31m\\u007f\\u00c3\\u00a4\""},
        {{"a", LOG_SLICE, {.slice = BYTES("a\0b")}}, " a=\"a\\x00b\"", ",\"a\":\"a\\u0000b\""},
        {{"a", LOG_SLICE, {.slice = {NULL, 0}}}, " a=\"\"", ",\"a\":\"\""},
        {{"a", LOG_U64, {.u = UINT64_MAX}},
         " a=18446744073709551615",
         ",\"a\":18446744073709551615"},
        {{"a", LOG_I64, {.i = -5}}, " a=-5", ",\"a\":-5"},
        {{"a", LOG_I64, {.i = INT64_MIN}},
         " a=-9223372036854775808",
         ",\"a\":-9223372036854775808"},
        {{"a", LOG_BOOL, {.u = true}}, " a=true", ",\"a\":true"},
        {{"a", LOG_BOOL, {.u = false}}, " a=false", ",\"a\":false"},
    };
    char out[512], wanted[512];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        snprintf(wanted, sizeof(wanted),
                 "2023-11-14T22:13:20.123Z level=info process=relay event=sent%s", rows[i].kv);
        check_text(rows[i].kv, format_one(LOG_KEY_VALUE, rows[i].field, out, sizeof(out)), wanted);
        snprintf(wanted, sizeof(wanted),
                 "{\"ts\":\"2023-11-14T22:13:20.123Z\",\"level\":\"info\",\"process\":\"relay\","
                 "\"event\":\"sent\"%s}",
                 rows[i].json);
        check_text(rows[i].json, format_one(LOG_JSON, rows[i].field, out, sizeof(out)), wanted);
    }
}

/* A field that does not fit is left out whole, with all behind it. */
static void test_cut(void **state)
{
    const struct log_field fields[] = {log_s("a", "1"), log_s("big", "0123456789012345678901234"),
                                       log_s("c", "3"), end};
    char out[160];

    (void)state;
    for (int json = 0; json < 2; json++) {
        size_t full = log_format_line(out, sizeof(out), json ? LOG_JSON : LOG_KEY_VALUE, WALL_MS,
                                      LOG_INFO, "relay", "sent", fields);

        for (size_t cap = full + 16; cap > full - 10; cap--) {
            char *exact = malloc(cap);
            size_t len = log_format_line(exact, cap, json ? LOG_JSON : LOG_KEY_VALUE, WALL_MS,
                                         LOG_INFO, "relay", "sent", fields);
            struct slice line = {exact, len};
            bool cut = slice_find_nocase(line, json ? SLICE("\"cut\":1}") : SLICE(" cut=1")) > 0;
            bool big = slice_find_nocase(line, SLICE("big")) > 0;

            assert_true(len < cap);
            assert_int_equal(cut,
                             slice_find_nocase(line, json ? SLICE("\"c\":") : SLICE(" c=")) < 0);
            assert_int_equal(big, slice_find_nocase(line, SLICE("8901234")) > 0);
            assert_true(slice_find_nocase(line, SLICE("sent")) > 0);
            free(exact);
        }
    }
}

static int evaluations;

static int evaluated(void)
{
    return ++evaluations;
}

/* Reads what log_event wrote into a temporary file. */
static struct slice read_back(FILE *file, char *out, size_t cap)
{
    rewind(file);
    return (struct slice){out, fread(out, 1, cap, file)};
}

static void test_levels(void **state)
{
    FILE *file = tmpfile();
    char out[4096];
    struct slice got;

    (void)state;
    log_set_fd(fileno(file));
    log_set_level(LOG_INFO);
    log_event(LOG_DEBUG, "hidden", log_i("n", evaluated()));
    log_event(LOG_TRACE, "hidden", log_i("n", evaluated()));
    assert_int_equal(evaluations, 0);
    log_event(LOG_INFO, "shown", log_i("n", evaluated()));
    log_event(LOG_ERROR, "shown_too");
    assert_int_equal(evaluations, 1);
    log_set_level(LOG_ERROR);
    log_event(LOG_WARN, "hidden", log_i("n", evaluated()));
    log_set_level(LOG_TRACE);
    log_event(LOG_TRACE, "traced", log_b("x", true), log_u("y", 2));
    assert_int_equal(evaluations, 1);
    got = read_back(file, out, sizeof(out));
    assert_int_equal(slice_find_nocase(got, SLICE("hidden")), -1);
    assert_true(slice_find_nocase(got, SLICE(" event=shown n=1\n")) > 0);
    assert_true(slice_find_nocase(got, SLICE("level=error process=bearerd event=shown_too\n")) > 0);
    assert_true(slice_find_nocase(got, SLICE("event=traced x=true y=2\n")) > 0);
    log_set_fd(STDERR_FILENO);
    fclose(file);
}

static void test_writer(void **state)
{
    FILE *file = tmpfile();
    static char out[200000];
    struct slice got;
    size_t lines = 0;

    (void)state;
    log_set_level(LOG_INFO);
    log_start(fileno(file), "test", LOG_JSON);
    for (int i = 0; i < 1000; i++)
        log_event(LOG_INFO, "tick", log_i("i", i));
    log_stop();
    log_stop(); /* harmless */
    got = read_back(file, out, sizeof(out));
    for (size_t i = 0; i < got.len; i++)
        lines += got.ptr[i] == '\n';
    assert_int_equal(lines, 1000);
    assert_true(
        slice_find_nocase(got, SLICE("\"process\":\"test\",\"event\":\"tick\",\"i\":999}\n")) > 0);
    assert_int_equal(log_dropped(), 0);
    log_set_fd(STDERR_FILENO);
    log_set_format(LOG_KEY_VALUE);
    fclose(file);
}

struct tally {
    int fd;
    uint64_t lines, told;
};

/* Counts the lines in a pipe and the losses that they report. */
static void *tally_main(void *arg)
{
    struct tally *tally = arg;
    FILE *pipe = fdopen(tally->fd, "r");
    char line[1024];

    while (fgets(line, sizeof(line), pipe)) {
        const char *lost = strstr(line, "event=log_lines_dropped lines=");

        if (lost)
            tally->told += strtoull(strrchr(lost, '=') + 1, NULL, 10);
        else
            tally->lines++;
    }
    fclose(pipe);
    return NULL;
}

/* Nobody reads, so lines are lost; each one lost is told of later. */
static void test_dropped(void **state)
{
    const uint64_t total = 40000;
    struct tally tally = {0};
    pthread_t reader;
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    log_start(ends[1], "test", LOG_KEY_VALUE);
    for (uint64_t i = 0; i < total; i++)
        log_event(LOG_INFO, "tick", log_u("i", i), log_s("text", "some words that fill a line up"));
    assert_true(log_dropped() > 0 && log_dropped() < total);
    tally.fd = ends[0];
    assert_int_equal(pthread_create(&reader, NULL, tally_main, &tally), 0);
    log_stop();
    close(ends[1]);
    pthread_join(reader, NULL);
    assert_int_equal(tally.told, log_dropped());
    assert_int_equal(tally.lines + tally.told, total);
    log_set_fd(STDERR_FILENO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),  cmocka_unit_test(test_cut),
        cmocka_unit_test(test_levels),  cmocka_unit_test(test_writer),
        cmocka_unit_test(test_dropped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
