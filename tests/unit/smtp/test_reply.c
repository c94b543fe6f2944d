#include "check.h"

#include <stdio.h>

#include "smtp/reply.h"

#define NONE                                                                                       \
    {                                                                                              \
        0, 0, 0                                                                                    \
    }

static const struct {
    const char *name;
    struct slice wire;
    int result;
    int code;
    struct smtp_enhanced enhanced;
    const char *text;
    unsigned lines;
    size_t left; /* octets behind the reply */
} rows[] = {
    {"one line", BYTES("250 OK\r\n"), 1, 250, NONE, "OK", 1, 0},
    {"code alone", BYTES("250\r\n"), 1, 250, NONE, "", 1, 0},
    {"code and space", BYTES("250 \r\n"), 1, 250, NONE, "", 1, 0},
    {"bare LF", BYTES("250 OK\n"), 1, 250, NONE, "OK", 1, 0},
    {"more behind", BYTES("250 OK\r\n354 Go\r\n"), 1, 250, NONE, "OK", 1, 8},
    {"enhanced", BYTES("250 2.1.0 OK\r\n"), 1, 250, {2, 1, 0}, "OK", 1, 0},
    {"enhanced and tab", BYTES("250 2.0.0\tOK\r\n"), 1, 250, {2, 0, 0}, "OK", 1, 0},
    {"two-digit class", BYTES("250 02.0.0 x\r\n"), 1, 250, NONE, "02.0.0 x", 1, 0},
    {"enhanced alone", BYTES("250 2.0.0\r\n"), 1, 250, {2, 0, 0}, "", 1, 0},
    {"three digits", BYTES("550 5.7.520 No\r\n"), 1, 550, {5, 7, 520}, "No", 1, 0},
    {"class unlike the code", BYTES("550 4.7.1 No\r\n"), 1, 550, {4, 7, 1}, "No", 1, 0},
    {"four digits", BYTES("550 5.7.1234 No\r\n"), 1, 550, NONE, "5.7.1234 No", 1, 0},
    {"no such class", BYTES("250 3.0.0 x\r\n"), 1, 250, NONE, "3.0.0 x", 1, 0},
    {"only a number", BYTES("250 5.7.1x\r\n"), 1, 250, NONE, "5.7.1x", 1, 0},
    {"an address", BYTES("250 2.1.0.9 x\r\n"), 1, 250, NONE, "2.1.0.9 x", 1, 0},
    {"one dot", BYTES("250 2.1 x\r\n"), 1, 250, NONE, "2.1 x", 1, 0},
    {"two lines", BYTES("550-5.7.1 a\r\n550 5.7.1 b\r\n"), 1, 550, {5, 7, 1}, "a\nb", 2, 0},
    {"two enhanced codes",
     BYTES("550-5.7.1 a\r\n550 5.7.2 b\r\n"),
     1,
     550,
     {5, 7, 1},
     "a\n5.7.2 b",
     2,
     0},
    {"enhanced later", BYTES("550-a\r\n550 5.7.2 b\r\n"), 1, 550, {5, 7, 2}, "a\nb", 2, 0},
    {"empty lines", BYTES("250-\r\n250-\r\n250\r\n"), 1, 250, NONE, "\n\n", 3, 0},
    {"mixed ends", BYTES("250-a\n250-b\r\n250 c\n"), 1, 250, NONE, "a\nb\nc", 3, 0},
    {"challenge", BYTES("334 eyJzdGF0dXMiOiI0MDAifQ==\r\n"), 1, 334, NONE,
     "eyJzdGF0dXMiOiI0MDAifQ==", 1, 0},
    {"empty challenge", BYTES("334 \r\n"), 1, 334, NONE, "", 1, 0},
    {"controls", BYTES("250 a\0b\x1b[2J\tc\x7f\xc3\xa4\rd\r\n"), 1, 250, NONE, "a?b?[2J c????d", 1,
     0},
    {"CR CR LF", BYTES("250 a\r\r\n"), 1, 250, NONE, "a?", 1, 0},
    {"lowest", BYTES("200 x\r\n"), 1, 200, NONE, "x", 1, 0},
    {"highest", BYTES("599 x\r\n"), 1, 599, NONE, "x", 1, 0},

    {"nothing", BYTES(""), 0},
    {"no end", BYTES("250 OK"), 0},
    {"no LF", BYTES("250 OK\r"), 0},
    {"not the last line", BYTES("250-OK\r\n"), 0},
    {"half a line more", BYTES("250-OK\r\n250 "), 0},

    {"empty line", BYTES("\r\n"), -1},
    {"LF alone", BYTES("\n"), -1},
    {"two digits", BYTES("25\r\n"), -1},
    {"two digits and space", BYTES("25 OK\r\n"), -1},
    {"four-digit code", BYTES("2500 OK\r\n"), -1},
    {"tab", BYTES("250\tOK\r\n"), -1},
    {"no digits", BYTES("OK\r\n"), -1},
    {"HTTP", BYTES("HTTP/1.1 400 Bad Request\r\n"), -1},
    {"TLS alert", BYTES("\x15\x03\x01\x00\x02\x02\x0a"), -1},
    {"class 1", BYTES("150 x\r\n"), -1},
    {"class 6", BYTES("600 x\r\n"), -1},
    {"space first", BYTES(" 250 OK\r\n"), -1},
    {"minus", BYTES("-50 OK\r\n"), -1},
    {"codes differ", BYTES("250-a\r\n251 b\r\n"), -1},
    {"codes differ in kind", BYTES("250-a\r\n550 b\r\n"), -1},
    {"no code on line 2", BYTES("250-a\r\nb\r\n"), -1},
};

static void check_reply(size_t i, struct smtp_reply *got)
{
    check_num(rows[i].name, got->code, rows[i].code);
    check_num(rows[i].name, got->enhanced.class_, rows[i].enhanced.class_);
    check_num(rows[i].name, got->enhanced.subject, rows[i].enhanced.subject);
    check_num(rows[i].name, got->enhanced.detail, rows[i].enhanced.detail);
    check_text(rows[i].name, (struct slice){got->text, got->text_len}, rows[i].text);
    if (got->text)
        assert_int_equal(strlen(got->text), got->text_len);
    check_num(rows[i].name, got->text != NULL, got->text_len > 0);
    check_num(rows[i].name, got->lines, rows[i].lines);
    smtp_reply_clear(got);
}

/* Feeds the first `split` octets, then `step` at a time. */
static void check_pieces(size_t i, size_t split, size_t step)
{
    struct slice wire = rows[i].wire;
    struct smtp_reply_parser parser;
    struct smtp_reply got;
    struct reason why = {""};
    size_t at = 0;
    int result = 0;

    smtp_reply_parser_init(&parser);
    assert_true(smtp_reply_parser_idle(&parser));
    while (result == 0 && at < wire.len) {
        size_t len = at < split ? split : step, used;
        char *exact;

        if (len > wire.len - at)
            len = wire.len - at;
        exact = exact_copy((struct slice){wire.ptr + at, len});
        result = smtp_reply_parse(&parser, (struct slice){exact, len}, &used, &got, &why);
        free(exact);
        assert_true(used <= len);
        at += used;
        if (result == 0)
            assert_int_equal(used, len);
        if (result >= 0)
            check_num(rows[i].name, smtp_reply_parser_idle(&parser), result == 1);
    }
    check_num(rows[i].name, result, rows[i].result);
    if (result == 1) {
        check_reply(i, &got);
        check_num(rows[i].name, (long long)(wire.len - at), (long long)rows[i].left);
    }
    assert_int_equal(why.text[0] != '\0', result < 0);
    smtp_reply_parser_clear(&parser);
}

static void test_every_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        check_pieces(i, 0, 1);
        for (size_t split = 0; split <= rows[i].wire.len; split++)
            check_pieces(i, split, 1000);
    }
}

/* Feeds `count` times `line`, then "250 x"; returns the last result. */
static int feed_lines(const char *line, size_t count, struct smtp_reply *got)
{
    struct smtp_reply_parser parser;
    size_t used;
    int result = 0;

    smtp_reply_parser_init(&parser);
    for (size_t i = 0; i < count && result == 0; i++)
        result = smtp_reply_parse(&parser, slice_of(line), &used, got, NULL);
    if (result == 0)
        result = smtp_reply_parse(&parser, SLICE("250 x\r\n"), &used, got, NULL);
    smtp_reply_parser_clear(&parser);
    return result;
}

static void test_limits(void **state)
{
    char line[REPLY_LINE_MAX + 2];
    struct smtp_reply got;

    (void)state;
    assert_int_equal(feed_lines("250-a\r\n", REPLY_LINES_MAX - 1, &got), 1);
    assert_int_equal(got.lines, REPLY_LINES_MAX);
    smtp_reply_clear(&got);
    assert_int_equal(feed_lines("250-a\r\n", REPLY_LINES_MAX, &got), -1);

    memset(line, 'y', sizeof(line));
    line[0] = '2';
    line[1] = '5';
    line[2] = '0';
    line[3] = '-';
    slice_copy(SLICE("\r\n"), line + REPLY_LINE_MAX - 2, 3);
    assert_int_equal(feed_lines(line, 1, &got), 1);
    assert_int_equal(got.text_len, REPLY_LINE_MAX - 6 + 2);
    smtp_reply_clear(&got);
    assert_int_equal(feed_lines(line, REPLY_LINES_MAX - 1, &got), 1);
    assert_int_equal(got.text_len, REPLY_TEXT_MAX); /* cut, not refused */
    assert_int_equal(strlen(got.text), REPLY_TEXT_MAX);
    assert_int_equal(got.lines, REPLY_LINES_MAX);
    smtp_reply_clear(&got);
    slice_copy(SLICE("y\r\n"), line + REPLY_LINE_MAX - 2, 4);
    assert_int_equal(feed_lines(line, 1, &got), -1);
}

/* A line without an end is given up at the limit, in pieces of any size. */
static void test_endless_line(void **state)
{
    (void)state;
    for (size_t step = 1; step < 2 * REPLY_LINE_MAX; step += 777) {
        struct smtp_reply_parser parser;
        struct smtp_reply got;
        char block[2 * REPLY_LINE_MAX];
        size_t used, fed = 0;

        memset(block, '2', sizeof(block));
        smtp_reply_parser_init(&parser);
        while (smtp_reply_parse(&parser, (struct slice){block, step}, &used, &got, NULL) == 0)
            fed += step;
        assert_true(fed <= REPLY_LINE_MAX && parser.held_cap <= REPLY_LINE_MAX);
        smtp_reply_parser_clear(&parser);
    }
}

static void test_set_move_copy(void **state)
{
    struct smtp_enhanced enhanced = {4, 3, 2};
    struct smtp_reply a, b;
    char line[64];

    (void)state;
    smtp_reply_init(&a);
    smtp_reply_init(&b);
    smtp_reply_oneline(&a, line, sizeof(line));
    assert_string_equal(line, "");
    assert_true(smtp_reply_set(&a, 432, enhanced, "two\nlines\r\x01"));
    assert_string_equal(a.text, "two\nlines??");
    assert_int_equal(a.lines, 2);
    smtp_reply_oneline(&a, line, sizeof(line));
    assert_string_equal(line, "two lines??");
    smtp_reply_oneline(&a, line, 5);
    assert_string_equal(line, "two ");
    smtp_reply_oneline(&a, line, 1);
    assert_string_equal(line, "");

    assert_true(smtp_reply_copy(&b, &a));
    assert_true(smtp_reply_copy(&b, &a));
    assert_true(smtp_reply_copy(&b, &b));
    assert_string_equal(b.text, a.text);
    assert_ptr_not_equal(b.text, a.text);
    assert_int_equal(b.enhanced.detail, 2);
    smtp_reply_move(&b, &a);
    assert_int_equal(a.code, 0);
    assert_null(a.text);
    smtp_reply_move(&b, &b);
    assert_int_equal(b.code, 432);

    assert_true(smtp_reply_set(&b, 451, enhanced, b.text)); /* its own text */
    assert_int_equal(b.code, 451);
    assert_string_equal(b.text, "two\nlines??");
    assert_true(smtp_reply_set(&b, 250, enhanced, NULL));
    assert_null(b.text);
    assert_true(smtp_reply_copy(&a, &b));
    smtp_reply_clear(&a);
    smtp_reply_clear(&b);
}

static void test_set_cuts(void **state)
{
    static char big[2 * REPLY_TEXT_MAX];
    struct smtp_reply reply;

    (void)state;
    smtp_reply_init(&reply);
    memset(big, 'x', sizeof(big) - 1);
    assert_true(smtp_reply_set(&reply, 250, (struct smtp_enhanced)NONE, big));
    assert_int_equal(reply.text_len, REPLY_TEXT_MAX);
    smtp_reply_clear(&reply);
}

static void test_format(void **state)
{
    static const struct {
        int code;
        struct smtp_enhanced enhanced;
        struct slice text;
        const char *wire;
    } cases[] = {
        {250, {2, 1, 0}, BYTES("OK"), "250 2.1.0 OK\r\n"},
        {250, NONE, BYTES("mx\nSIZE 10\nDSN"), "250-mx\r\n250-SIZE 10\r\n250 DSN\r\n"},
        {550, {5, 7, 520}, BYTES("a\nb"), "550-5.7.520 a\r\n550 5.7.520 b\r\n"},
        {334, NONE, BYTES(""), "334 \r\n"},
        {334, NONE, {NULL, 0}, "334 \r\n"},
        {334, NONE, BYTES("VXNlcm5hbWU6"), "334 VXNlcm5hbWU6\r\n"},
        {250, {2, 0, 0}, BYTES(""), "250 2.0.0 \r\n"},
        {250, NONE, BYTES("a\n"), "250-a\r\n250 \r\n"},
        {250, NONE, BYTES("\n"), "250-\r\n250 \r\n"},
        {250, NONE, BYTES("a\r\n550 b\0\x1b\xc3\xa4\tc"), "250-a?\r\n250 550 b???? c\r\n"},
    };
    char out[256];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        size_t len =
            smtp_reply_format(cases[i].code, cases[i].enhanced, cases[i].text, out, sizeof(out));

        check_text(cases[i].wire, (struct slice){out, len}, cases[i].wire);
    }
}

/* Whole lines or nothing, and what is there always ends a reply. */
static void test_format_cut(void **state)
{
    (void)state;
    for (size_t cap = 0; cap < 40; cap++) {
        char *out = malloc(cap ? cap : 1);
        size_t len = smtp_reply_format(250, (struct smtp_enhanced){2, 0, 0},
                                       SLICE("one\ntwo\nthree"), out, cap);
        const char *wanted = cap >= 47   ? "250-2.0.0 one\r\n250-2.0.0 two\r\n250 2.0.0 three\r\n"
                             : cap >= 30 ? "250-2.0.0 one\r\n250 2.0.0 two\r\n"
                             : cap >= 15 ? "250 2.0.0 one\r\n"
                                         : "";

        check_text("cut", (struct slice){out, len}, wanted);
        free(out);
    }
}

static void test_format_fold(void **state)
{
    char text[1200], out[2000];
    size_t len;

    (void)state;
    memset(text, 'x', sizeof(text));
    len = smtp_reply_format(250, (struct smtp_enhanced)NONE, (struct slice){text, 480}, out,
                            sizeof(out));
    assert_int_equal(len, 4 + 480 + 2);
    len = smtp_reply_format(250, (struct smtp_enhanced)NONE, (struct slice){text, 1000}, out,
                            sizeof(out));
    assert_int_equal(len, 1000 + 3 * 6);
    assert_memory_equal(out + 4 + 480, "\r\n250-x", 7);
    assert_memory_equal(out + 2 * (4 + 480 + 2), "250 x", 5);
    text[300] = ' ';
    len = smtp_reply_format(250, (struct smtp_enhanced)NONE, (struct slice){text, 700}, out,
                            sizeof(out));
    assert_int_equal(len, 699 + 2 * 6);
    assert_memory_equal(out + 4 + 300, "\r\n250 x", 7);
}

/* What we write, we can read, and it is the same. */
static void test_round_trip(void **state)
{
    uint64_t random = 7;

    (void)state;
    for (int round = 0; round < 2000; round++) {
        struct smtp_enhanced enhanced = {(unsigned short)(round % 3 ? 4 : 0), 7, 500};
        char text[200], out[4000];
        size_t len = next_random(&random) % sizeof(text), used;
        struct smtp_reply_parser parser;
        struct smtp_reply got;

        for (size_t i = 0; i < len; i++)
            text[i] = "ab c.4\n-"[next_random(&random) % 8];
        used = smtp_reply_format(451, enhanced, (struct slice){text, len}, out, sizeof(out));
        smtp_reply_parser_init(&parser);
        assert_int_equal(smtp_reply_parse(&parser, (struct slice){out, used}, &used, &got, NULL),
                         1);
        check_slice("round trip", (struct slice){got.text, got.text_len},
                    (struct slice){text, len});
        assert_int_equal(got.enhanced.class_, enhanced.class_);
        smtp_reply_clear(&got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_split),  cmocka_unit_test(test_limits),
        cmocka_unit_test(test_endless_line), cmocka_unit_test(test_set_move_copy),
        cmocka_unit_test(test_set_cuts),     cmocka_unit_test(test_format),
        cmocka_unit_test(test_format_cut),   cmocka_unit_test(test_format_fold),
        cmocka_unit_test(test_round_trip),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
