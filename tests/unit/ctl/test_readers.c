/* Bytes into JSON: the lines of an answer, the records of a file. Each input is
 * fed at once, and an octet a time. */
#include "check.h"
#include "ctl/ndjson.h"
#include "ctl/records.h"

struct got {
    char text[1024]; /* the values, compact, one after another */
    struct text out;
    unsigned long long lines[8]; /* where records began */
    size_t count, stop_at;
};

static void got_init(struct got *got)
{
    *got = (struct got){.stop_at = SIZE_MAX};
    text_init(&got->out, got->text, sizeof(got->text));
}

static bool keep(struct got *got, const json_t *value)
{
    char *dump = json_dumps(value, JSON_COMPACT);

    text_add_str(&got->out, dump);
    free(dump);
    return ++got->count < got->stop_at;
}

static bool keep_line(void *owner, struct slice line, json_t *value)
{
    assert_true(line.len > 0 && line.ptr[0] == '{');
    return keep(owner, value);
}

static bool keep_record(void *owner, json_t *record, unsigned long long line)
{
    struct got *got = owner;

    if (got->count < COUNT_OF(got->lines))
        got->lines[got->count] = line;
    return keep(got, record);
}

static bool read_lines(struct got *got, struct slice in, size_t step, struct reason *why)
{
    struct ndjson reader = {NULL, 0, 0, 0};
    bool good = true;

    got_init(got);
    why->text[0] = '\0';
    while (good && in.len) {
        size_t len = step < in.len ? step : in.len;
        char *piece = exact_copy((struct slice){in.ptr, len});

        good = ndjson_feed(&reader, (struct slice){piece, len}, keep_line, got, why);
        free(piece);
        in = (struct slice){in.ptr + len, in.len - len};
    }
    good = good && ndjson_finish(&reader, keep_line, got, why);
    ndjson_clear(&reader);
    return good;
}

static bool read_records(struct got *got, struct slice in, size_t step, struct reason *why)
{
    struct records records = {RECORDS_BEGIN};
    bool good = true;

    got_init(got);
    why->text[0] = '\0';
    while (good && in.len) {
        size_t len = step < in.len ? step : in.len;
        char *piece = exact_copy((struct slice){in.ptr, len});

        good = records_feed(&records, (struct slice){piece, len}, keep_record, got, why);
        free(piece);
        in = (struct slice){in.ptr + len, in.len - len};
    }
    good = good && records_finish(&records, why);
    records_clear(&records);
    return good;
}

struct row {
    struct slice in;
    const char *out; /* what came before the failure, too */
    const char *why; /* NULL: none */
};

static void check_rows(const struct row *rows, size_t count,
                       bool (*reader)(struct got *, struct slice, size_t, struct reason *))
{
    static const size_t steps[] = {SIZE_MAX, 1, 3};

    for (size_t i = 0; i < count * COUNT_OF(steps); i++) {
        const struct row *row = &rows[i / COUNT_OF(steps)];
        struct reason why;
        struct got got;
        bool good = reader(&got, row->in, steps[i % COUNT_OF(steps)], &why);

        check_text(row->in.ptr, slice_of(got.text), row->out);
        if (good != !row->why)
            fail_msg("%s: %s", row->in.ptr, good ? "was accepted" : why.text);
        if (row->why && !strstr(why.text, row->why))
            fail_msg("%s: %s", row->in.ptr, why.text);
    }
}

static void lines_of_answers(void **state)
{
    static const struct row rows[] = {
        {BYTES(""), "", NULL},
        {BYTES("\n\r\n  \n"), "", NULL},
        {BYTES("{}\n"), "{}", NULL},
        {BYTES("{\"a\":1}\n{\"a\":2}\n"), "{\"a\":1}{\"a\":2}", NULL},
        {BYTES("{\"a\":1}\r\n\r\n {\"a\":2} \r\n"), "{\"a\":1}{\"a\":2}", NULL},
        {BYTES("{\"a\":1}\n{\"a\":2}"), "{\"a\":1}{\"a\":2}", NULL},
        {BYTES("{\"a\":1}\n{\"a\":"), "{\"a\":1}", "line 2"},
        {BYTES("{\"a\":1}\n[1]\n{}\n"), "{\"a\":1}", "line 2 of the answer is no JSON object"},
        {BYTES("{} {}\n"), "", "line 1"},
        {BYTES("\0\n"), "", "line 1"},
        {BYTES("{\"a\":\"\xff\"}\n"), "", "line 1"},
    };

    (void)state;
    check_rows(rows, COUNT_OF(rows), read_lines);
}

static void lines_have_an_end(void **state)
{
    size_t len = NDJSON_LINE_MAX + 100;
    char *line = malloc(len);
    struct reason why;
    struct got got;

    (void)state;
    memset(line, ' ', len);
    memcpy(line, "{}\n", 3);
    assert_false(read_lines(&got, (struct slice){line, len}, 5000, &why));
    assert_string_equal(got.text, "{}");
    assert_non_null(strstr(why.text, "line 2 of the answer is longer"));
    assert_true(read_lines(&got, (struct slice){line, NDJSON_LINE_MAX}, 5000, &why));
    free(line);
}

static void a_line_function_can_stop(void **state)
{
    struct ndjson reader = {NULL, 0, 0, 0};
    struct reason why = {""};
    struct got got;

    (void)state;
    got_init(&got);
    got.stop_at = 2;
    assert_false(ndjson_feed(&reader, SLICE("{}\n{}\n{}\n"), keep_line, &got, &why));
    assert_int_equal(got.count, 2);
    assert_string_equal(why.text, "");
    ndjson_clear(&reader);
}

static void records_of_files(void **state)
{
    static const struct row rows[] = {
        /* A list. */
        {BYTES("[]"), "", NULL},
        {BYTES(" [ ] \n"), "", NULL},
        {BYTES("[{\"a\":1},{\"b\":[{\"c\":\"}]\"}]}]"), "{\"a\":1}{\"b\":[{\"c\":\"}]\"}]}", NULL},
        {BYTES("\xef\xbb\xbf[{}]"), "{}", NULL},
        {BYTES("[{\"a\":\"\\\"{\\\\\"}]"), "{\"a\":\"\\\"{\\\\\"}", NULL},
        {BYTES("[{\"accounts\":[1]}]"), "{\"accounts\":[1]}", NULL},
        /* An object around it. */
        {BYTES("{\"accounts\":[{\"a\":1}]}"), "{\"a\":1}", NULL},
        {BYTES("{\"_x\":{\"accounts\":[{}]},\"accounts\" : [{\"a\":1},{}],\"y\":\"]\"}\n"),
         "{\"a\":1}{}", NULL},
        {BYTES("{\"_x\":\"accounts\",\"accounts\":[]}"), "", NULL},
        /* One after another. */
        {BYTES("{\"a\":1}"), "{\"a\":1}", NULL},
        {BYTES("{\"a\":1}\n{\"a\":2}\n\n{\"accounts\":[3]}\n"),
         "{\"a\":1}{\"a\":2}{\"accounts\":[3]}", NULL},
        {BYTES("{\n \"a\": 1\n}\n{\n}"), "{\"a\":1}{}", NULL},
        {BYTES("{\"accounts\":{\"a\":[]}}"), "{\"accounts\":{\"a\":[]}}", NULL},
        /* Wrong. */
        {BYTES(""), "", "nothing in it"},
        {BYTES("\n\n"), "", "nothing in it"},
        {BYTES("hello"), "", "line 1: not JSON"},
        {BYTES("\xef\xbb["), "", "not JSON"},
        {BYTES("[{}"), "{}", "no end"},
        {BYTES("[{},"), "{}", "no end"},
        {BYTES("[{},]"), "{}", "a comma with no record"},
        {BYTES("[,{}]"), "", "expected a record"},
        {BYTES("[{}\n{}]"), "{}", "line 2: expected a comma"},
        {BYTES("[1]"), "", "expected a record"},
        {BYTES("[{}] x"), "{}", "line 1: there is something behind"},
        {BYTES("[{}][{}]"), "{}", "there is something behind"},
        {BYTES("\n[{\n\n\"a\":tru}]"), "", "line 4: not JSON"},
        {BYTES("[{\"a\":1,\"a\":2}]"), "", "duplicate"},
        {BYTES("[{\"a\":1]"), "", "not JSON"},
        {BYTES("{\"a\":1}\n{\"a\":"), "{\"a\":1}", "line 2: this record has no end"},
        {BYTES("{\"a\":1}\n[]"), "{\"a\":1}", "line 2: expected a record"},
        {BYTES("{\"accounts\":[{}]"), "{}", "no end"},
        {BYTES("{\"accounts\":[{}],}"), "{}", "what stands around"},
        {BYTES("{\"x\" \"accounts\":[{}]}"), "", "not JSON"},
        {BYTES("{\"x\" 1,\"accounts\":[{}]}"), "{}", "what stands around"},
    };

    (void)state;
    check_rows(rows, COUNT_OF(rows), read_records);
}

static void records_know_their_lines(void **state)
{
    struct reason why;
    struct got got;

    (void)state;
    assert_true(read_records(&got, SLICE("[\n{},\n\n{\n},{}]"), 2, &why));
    assert_int_equal(got.count, 3);
    assert_int_equal(got.lines[0], 2);
    assert_int_equal(got.lines[1], 4);
    assert_int_equal(got.lines[2], 5);
}

/* What is wrong may be a secret, or stand beside one. */
static void reasons_show_no_values(void **state)
{
    struct reason why;
    struct got got;

    (void)state;
    assert_false(read_records(&got, SLICE("[{\"refresh_token\":\"1//hidden\" 2}]"), 9, &why));
    assert_null(strstr(why.text, "hidden"));
    assert_false(read_records(&got, SLICE("[{\"refresh_token\":hidden}]"), 9, &why));
    assert_null(strstr(why.text, "hidden"));
}

static void records_are_bounded(void **state)
{
    size_t len = 2 * RECORDS_OCTETS_MAX;
    char *text = malloc(len);
    struct reason why;
    struct got got;

    (void)state;
    memset(text, 'x', len);
    memcpy(text, "[{\"a\":\"", 7);
    assert_false(read_records(&got, (struct slice){text, len}, 4096, &why));
    assert_non_null(strstr(why.text, "more than 1 MiB"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_of_answers),         cmocka_unit_test(lines_have_an_end),
        cmocka_unit_test(a_line_function_can_stop), cmocka_unit_test(records_of_files),
        cmocka_unit_test(records_know_their_lines), cmocka_unit_test(reasons_show_no_values),
        cmocka_unit_test(records_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
