/* What a terminal gets: safe text, widths, tables, the progress line. */
#include <locale.h>
#include <stdio.h>

#include "check.h"
#include "ctl/progress.h"
#include "ctl/safe.h"
#include "ctl/table.h"

static const struct table_column three[] = {
    {"NAME", false, 6, false}, {"N", true, 0, false}, {"WHY", false, 4, true}};

struct printed {
    char *text;
    size_t len;
    FILE *file;
    struct table *table;
};

static void start(struct printed *printed, unsigned width, bool colours)
{
    *printed = (struct printed){NULL, 0, NULL, NULL};
    printed->file = open_memstream(&printed->text, &printed->len);
    printed->table = table_new(printed->file, three, COUNT_OF(three), width, colours);
}

static void row(struct printed *printed, const char *name, long long n, const char *why)
{
    table_cell(printed->table, name, PLAIN);
    table_count(printed->table, n);
    table_cell(printed->table, why, BAD);
}

static void ends_as(struct printed *printed, const char *wanted)
{
    table_end(printed->table);
    fclose(printed->file);
    assert_string_equal(printed->text, wanted);
    free(printed->text);
}

static void columns_align(void **state)
{
    struct printed printed;

    (void)state;
    start(&printed, 0, false);
    row(&printed, "a", 7, "x");
    row(&printed, "longer name", 1234567, NULL);
    row(&printed, "", 12, "");
    ends_as(&printed, "NAME                 N  WHY\n"
                      "a                    7  x\n"
                      "longer name  1,234,567  -\n"
                      "-                   12  -\n");
}

static void wide_ones_are_cut_first(void **state)
{
    struct printed printed;

    (void)state;
    start(&printed, 24, false);
    row(&printed, "somebody@example.com", 7, "no such user");
    ends_as(&printed, "NAME       N  WHY\n"
                      "somebody~  7  no such u~\n");
}

static void spare_ones_go_when_nothing_else_helps(void **state)
{
    struct printed printed;

    (void)state;
    start(&printed, 10, false);
    row(&printed, "somebody@example.com", 7, "no such user");
    ends_as(&printed, "NAME    N\nsomeb~  7\n");
}

static void no_line_is_wider_than_the_terminal(void **state)
{
    (void)state;
    for (unsigned width = 1; width < 60; width++) {
        struct printed printed;

        start(&printed, width, false);
        row(&printed, "somebody@example.com", 7, "\xe4\xb8\xad\xe6\x96\x87 no such user");
        row(&printed, "\xc3\xa9t\xc3\xa9@example.com", 12, "\x1b[31m");
        table_end(printed.table);
        fclose(printed.file);
        for (char *line = printed.text, *end; (end = strchr(line, '\n')); line = end + 1)
            assert_true(safe_width((struct slice){line, (size_t)(end - line)}) <= width);
        free(printed.text);
    }
}

static void colours_surround_text_only(void **state)
{
    struct printed printed;

    (void)state;
    start(&printed, 0, true);
    row(&printed, "a", 7, "x");
    ends_as(&printed, "\033[1mNAME\033[0m  \033[1mN\033[0m  \033[1mWHY\033[0m\n"
                      "a     7  \033[31mx\033[0m\n");
}

static void no_row_no_table(void **state)
{
    struct printed printed;

    (void)state;
    start(&printed, 80, false);
    ends_as(&printed, "");
}

static void later_rows_keep_the_widths(void **state)
{
    struct printed printed;
    char *last;

    (void)state;
    start(&printed, 40, false);
    for (int i = 0; i < TABLE_ROWS; i++)
        row(&printed, "abcdefgh", 1, "x");
    row(&printed, "abcdefghijkl", 1, "x");
    table_end(printed.table);
    fclose(printed.file);
    printed.text[printed.len - 1] = '\0';
    last = strrchr(printed.text, '\n') + 1;
    assert_string_equal(last, "abcdefg~  1  x");
    free(printed.text);
}

static void text_is_made_safe(void **state)
{
    static const struct {
        struct slice in;
        const char *out;
    } rows[] = {
        {BYTES("plain"), "plain"},
        {BYTES(""), ""},
        {BYTES("\x1b[2J"), "\\x1b[2J"},
        {BYTES("a\nb\rc\td"), "a\\x0ab\\x0dc\\x09d"},
        {BYTES("a\0b"), "a\\x00b"},
        {BYTES("\x7f"), "\\x7f"},
        {BYTES("\xc2\x9b"
               "31m"),
         "\\u009b31m"},
        {BYTES("\x9b"), "\\x9b"},
        {BYTES("\xe2\x80\xae"
               "abc"),
         "\\u202eabc"},
        {BYTES("\xef\xbb\xbf"), "\\ufeff"},
        {BYTES("\xf3\xa0\x81\x81"), "\\ue0041"},
        {BYTES("\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80"), "\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80"},
        {BYTES("\xc0\xaf"), "\\xc0\\xaf"},
        {BYTES("\xe0\x80\x9b"), "\\xe0\\x80\\x9b"},
        {BYTES("\xed\xa0\x80"), "\\xed\\xa0\\x80"},
        {BYTES("\xf5\x80\x80\x80"), "\\xf5\\x80\\x80\\x80"},
        {BYTES("\xe2\x80"), "\\xe2\\x80"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char *copy = exact_copy(rows[i].in);
        char *safe = safe_text((struct slice){copy, rows[i].in.len});

        assert_string_equal(safe, rows[i].out);
        free(safe);
        free(copy);
    }
}

static void widths_are_columns(void **state)
{
    (void)state;
    check_num("ascii", (long long)safe_width(SLICE("abc")), 3);
    check_num("accent", (long long)safe_width(SLICE("\xc3\xa9")), 1);
    check_num("wide", (long long)safe_width(SLICE("\xe4\xb8\xad")), 2);
    check_num("combining", (long long)safe_width(SLICE("e\xcc\x81")), 1);
    check_text("cut", safe_cut(SLICE("a\xe4\xb8\xad"), 2), "a");
    check_text("cut", safe_cut(SLICE("a\xe4\xb8\xad"), 3), "a\xe4\xb8\xad");
}

static void durations(void **state)
{
    static const struct {
        long long seconds;
        const char *text;
    } rows[] = {{-5, "0s"},    {0, "0s"},        {59, "59s"},      {60, "1m"},
                {3599, "59m"}, {3600, "1h"},     {3660, "1h 1m"},  {86399, "23h 59m"},
                {86400, "1d"}, {90000, "1d 1h"}, {8640000, "100d"}};
    char out[32];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        out_duration(out, sizeof(out), rows[i].seconds);
        assert_string_equal(out, rows[i].text);
    }
}

static void times(void **state)
{
    char out[32];

    (void)state;
    check_num("epoch", out_time("1970-01-01T00:00:00Z"), 0);
    check_num("fraction", out_time("1970-01-02T00:00:01.250Z"), 86401);
    check_num("no zone", out_time("1970-01-01T00:00:00"), -1);
    check_num("nothing", out_time(""), -1);
    check_num("trash", out_time("2026-13-45T99:99:99Z"), -1);
    out_since(out, sizeof(out), "1970-01-01T00:00:10Z", 70);
    assert_string_equal(out, "1m");
    out_until(out, sizeof(out), "1970-01-01T00:00:10Z", 4);
    assert_string_equal(out, "6s");
    out_until(out, sizeof(out), "never", 4);
    assert_string_equal(out, "");
}

static void counts(void **state)
{
    static const struct {
        long long value;
        const char *text;
    } rows[] = {{0, "0"},
                {999, "999"},
                {1000, "1,000"},
                {-1, "-1"},
                {-999, "-999"},
                {-1000, "-1,000"},
                {1234567, "1,234,567"},
                {INT64_MIN, "-9,223,372,036,854,775,808"}};
    char out[48];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        out_count(out, sizeof(out), rows[i].value);
        assert_string_equal(out, rows[i].text);
    }
}

static void progress_line(void **state)
{
    static const struct {
        struct progress progress;
        uint64_t now_ms;
        const char *line;
    } rows[] = {
        {{.width = 79, .what = "import", .total = 10},
         0,
         "import [........................................] 0/10"},
        {{.width = 40, .what = "import", .total = 1000, .done = 500, .failed = 2},
         2000,
         "import 500/1,000, 2 failed, 250/s, 2s le"},
        {{.width = 50, .what = "import", .total = 1000, .done = 500},
         2000,
         "import [#######........] 500/1,000, 250/s, 2s left"},
        {{.width = 50, .what = "import", .done = 12345}, 0, "import 12,345"},
        {{.width = 50, .what = "x", .total = 5, .done = 9},
         0,
         "x [########################################] 9/5"},
        {{.width = 8, .what = "import", .total = 5}, 0, "import 0"},
        {{.width = 0, .what = "import", .total = 5}, 0, ""},
    };
    char line[256];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        progress_format(line, sizeof(line), &rows[i].progress, rows[i].now_ms);
        assert_string_equal(line, rows[i].line);
        assert_true(strlen(line) <= rows[i].progress.width);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_align),
        cmocka_unit_test(wide_ones_are_cut_first),
        cmocka_unit_test(spare_ones_go_when_nothing_else_helps),
        cmocka_unit_test(no_line_is_wider_than_the_terminal),
        cmocka_unit_test(colours_surround_text_only),
        cmocka_unit_test(no_row_no_table),
        cmocka_unit_test(later_rows_keep_the_widths),
        cmocka_unit_test(text_is_made_safe),
        cmocka_unit_test(widths_are_columns),
        cmocka_unit_test(durations),
        cmocka_unit_test(times),
        cmocka_unit_test(counts),
        cmocka_unit_test(progress_line),
    };

    setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
