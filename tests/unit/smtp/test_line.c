#include "check.h"

#include "smtp/line.h"

static bool out_of_memory;
static size_t allocations;

void *__wrap_malloc(size_t size);
void *__real_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
    allocations++;
    return out_of_memory ? NULL : __real_malloc(size);
}

static const struct {
    const char *name;
    struct slice wire;
    size_t limit;
    const char *events; /* "o<line>" or "b" or "l" for each line, joined by '|' */
} rows[] = {
    {"nothing", BYTES(""), 100, ""},
    {"one", BYTES("EHLO a\r\n"), 100, "oEHLO a"},
    {"empty lines", BYTES("\r\n\r\n"), 100, "o|o"},
    {"two", BYTES("a\r\nbc\r\n"), 100, "oa|obc"},
    {"unfinished", BYTES("a\r\nbc"), 100, "oa"},
    {"unfinished with CR", BYTES("a\r\nbc\r"), 100, "oa"},
    {"bare LF", BYTES("a\nb\r\n"), 100, "b|ob"},
    {"LF alone", BYTES("\nb\r\n"), 100, "b|ob"},
    {"bare CR", BYTES("a\rb\r\nc\r\n"), 100, "b|oc"},
    {"CR CR LF", BYTES("a\r\r\nc\r\n"), 100, "b|oc"},
    {"CR at the start", BYTES("\ra\r\nc\r\n"), 100, "b|oc"},
    {"bare CR, then bare LF", BYTES("a\rb\nc\r\n"), 100, "b|oc"},
    {"NUL", BYTES("a\0b\r\nc\r\n"), 100, "b|oc"},
    {"NUL before CRLF", BYTES("a\0\r\nc\r\n"), 100, "b|oc"},
    {"NUL behind CR", BYTES("a\r\0\nc\r\n"), 100, "b|oc"},
    {"as long as the limit", BYTES("12345678\r\nc\r\n"), 10, "o12345678|oc"},
    {"longer by one", BYTES("123456789\r\nc\r\n"), 10, "l|oc"},
    {"much longer", BYTES("1234567890123456789012345\r\nc\r\n"), 10, "l|oc"},
    {"too long and bad", BYTES("1234567890123\r45\r\nc\r\n"), 10, "b|oc"},
    {"bad, then too long", BYTES("1\r234567890123\n\r\n"), 10, "b|o"},
};

/* Feeds `wire` up to *at and the limit; writes events as in the table. */
static void feed(struct line_reader *reader, struct slice piece, size_t limit, struct text *events)
{
    char *exact = exact_copy(piece);
    struct slice rest = {exact, piece.len}, line;
    enum line_status status;
    size_t used;

    do {
        status = line_reader_next(reader, rest, limit, &used, &line);
        assert_true(used <= rest.len);
        rest = (struct slice){rest.ptr + used, rest.len - used};
        if (status == LINE_MORE)
            break;
        if (events->len)
            text_add_char(events, '|');
        text_add_char(events, status == LINE_OK ? 'o' : status == LINE_BAD ? 'b' : 'l');
        text_add_slice(events, line);
    } while (true);
    assert_int_equal(rest.len, 0);
    free(exact);
}

static void check_pieces(size_t row, size_t split, size_t step)
{
    struct slice wire = rows[row].wire;
    struct line_reader reader;
    char memory[256];
    struct text events;

    line_reader_init(&reader);
    text_init(&events, memory, sizeof(memory));
    feed(&reader, (struct slice){wire.ptr, split}, rows[row].limit, &events);
    for (size_t at = split; at < wire.len; at += step)
        feed(&reader, (struct slice){wire.ptr + at, wire.len - at < step ? wire.len - at : step},
             rows[row].limit, &events);
    check_text(rows[row].name, (struct slice){memory, events.len}, rows[row].events);
    check_num(rows[row].name, line_reader_empty(&reader),
              !wire.len || wire.ptr[wire.len - 1] == '\n');
    line_reader_clear(&reader);
}

static void test_every_split(void **state)
{
    (void)state;
    for (size_t row = 0; row < COUNT_OF(rows); row++) {
        check_pieces(row, 0, 1);
        for (size_t split = 0; split <= rows[row].wire.len; split++)
            check_pieces(row, split, 1000);
    }
}

/* A whole line costs no memory, and an idle reader holds none. */
static void test_memory(void **state)
{
    struct line_reader reader;
    struct slice line;
    size_t used;

    (void)state;
    line_reader_init(&reader);
    allocations = 0;
    assert_int_equal(line_reader_next(&reader, SLICE("NOOP\r\n"), 100, &used, &line), LINE_OK);
    assert_int_equal(allocations, 0);
    assert_int_equal(line_reader_next(&reader, SLICE("NO"), 100, &used, &line), LINE_MORE);
    assert_false(line_reader_empty(&reader));
    assert_int_equal(line_reader_next(&reader, SLICE("OP\r\n"), 100, &used, &line), LINE_OK);
    check_text("held", line, "NOOP");
    assert_true(line_reader_empty(&reader));
    assert_int_equal(line_reader_next(&reader, SLICE_NONE, 100, &used, &line), LINE_MORE);
    assert_null(reader.held);
}

/* An endless line is refused without keeping more of it than the limit. */
static void test_bounded(void **state)
{
    struct line_reader reader;
    struct slice line;
    char block[1000];
    size_t used;

    (void)state;
    memset(block, 'x', sizeof(block));
    line_reader_init(&reader);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(
            line_reader_next(&reader, (struct slice){block, sizeof(block)}, 12288, &used, &line),
            LINE_MORE);
        assert_true(reader.held_cap <= 12288);
    }
    assert_null(reader.held);
    assert_false(line_reader_empty(&reader));
    assert_int_equal(line_reader_next(&reader, SLICE("\r\n"), 12288, &used, &line), LINE_TOO_LONG);
    assert_true(line_reader_empty(&reader));
}

static void test_no_memory(void **state)
{
    struct line_reader reader;
    struct slice line;
    size_t used;

    (void)state;
    line_reader_init(&reader);
    out_of_memory = true;
    assert_int_equal(line_reader_next(&reader, SLICE("NO"), 100, &used, &line), LINE_MORE);
    assert_int_equal(line_reader_next(&reader, SLICE("OP\r\n"), 100, &used, &line), LINE_TOO_LONG);
    assert_int_equal(line_reader_next(&reader, SLICE("NOOP\r\n"), 100, &used, &line), LINE_OK);
    out_of_memory = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_split),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_bounded),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
