/* accounts.json as text: only what was meant to change changes. */
#include "check.h"

#include "broker/store/account_set.h"

static struct document parse(const char *text)
{
    struct document document;
    struct reason why;
    char *exact = exact_copy(slice_of(text));

    if (!document_parse(&document, (struct slice){exact, strlen(text)}, "file", &why))
        fail_msg("%s: %s", text, why.text);
    free(exact);
    return document;
}

static void check_rewrite(const char *text, size_t record, const char *value, const char *wants)
{
    struct document document = parse(text);
    struct document_edit edit = {record, "t", value};
    struct reason why;
    size_t len;
    char *got = document_rewrite(&document, &edit, 1, &len, &why);

    if (!got)
        fail_msg("%s: %s", text, why.text);
    check_slice(text, (struct slice){got, len}, slice_of(wants));
    free(got);
    document_clear(&document);
}

static void test_rewriting(void **state)
{
    (void)state;
    check_rewrite("[{\"t\":\"a\"}]", 0, "b", "[{\"t\":\"b\"}]");
    check_rewrite("[{\"t\":\"a\"},{\"t\":\"c\"}]", 1, "b", "[{\"t\":\"a\"},{\"t\":\"b\"}]");
    check_rewrite(" [ 1 , { \"t\" : \"a\" } ] \n", 1, "bb", " [ 1 , { \"t\" : \"bb\" } ] \n");
    check_rewrite("{\"accounts\":[{\"t\":\"a\"}],\"_x\":[1.50,2e3]}", 0, "b",
                  "{\"accounts\":[{\"t\":\"b\"}],\"_x\":[1.50,2e3]}");
    check_rewrite("{\"_a\":{\"accounts\":[{\"t\":\"no\"}]},\"accounts\":[{\"t\":\"a\"}]}", 0, "b",
                  "{\"_a\":{\"accounts\":[{\"t\":\"no\"}]},\"accounts\":[{\"t\":\"b\"}]}");
    /* The key at its own level only, and not in a text. */
    check_rewrite("[{\"x\":{\"t\":\"no\"},\"y\":\"\\\"t\\\":\\\"no\\\"\",\"t\":\"a\"}]", 0, "b",
                  "[{\"x\":{\"t\":\"no\"},\"y\":\"\\\"t\\\":\\\"no\\\"\",\"t\":\"b\"}]");
    check_rewrite("[{\"a\":[[]],\"b\":-1.5e+3,\"c\":null,\"d\":true,\"t\":null}]", 0, "b",
                  "[{\"a\":[[]],\"b\":-1.5e+3,\"c\":null,\"d\":true,\"t\":\"b\"}]");
    check_rewrite("[{\"e\":\"\\\\\",\"t\":\"a\\\\\\\"\"}]", 0, "b",
                  "[{\"e\":\"\\\\\",\"t\":\"b\"}]");
    check_rewrite("[{\"t\":\"a\"}]", 0, "\"\\\x01", "[{\"t\":\"\\\"\\\\\\u0001\"}]");
    check_rewrite("\xef\xbb\xbf[{\"t\":\"a\"}]", 0, "b", "\xef\xbb\xbf[{\"t\":\"b\"}]");
    check_rewrite("[\r\n\t{\r\n\t\t\"t\"\t:\r\n\"a\"\r\n}\r\n]\r\n", 0, "b",
                  "[\r\n\t{\r\n\t\t\"t\"\t:\r\n\"b\"\r\n}\r\n]\r\n");
}

static void test_many_edits_at_once(void **state)
{
    struct document document =
        parse("[{\"t\":\"0\"}, {\"n\":1,\"t\":\"1\"}, {\"t\":\"2\"}, {\"t\":\"3\"}]");
    struct document_edit edits[] = {{3, "t", "drei"}, {0, "t", ""}, {2, "t", "zwei"}};
    size_t len;
    char *got = document_rewrite(&document, edits, COUNT_OF(edits), &len, NULL);

    (void)state;
    check_slice("edits", (struct slice){got, len},
                SLICE("[{\"t\":\"\"}, {\"n\":1,\"t\":\"1\"}, {\"t\":\"zwei\"}, {\"t\":\"drei\"}]"));
    free(got);
    document_clear(&document);
}

static void test_what_cannot_be_edited(void **state)
{
    struct document document = parse("[1, {\"u\":\"t\"}, {\"\\u0074\":\"x\"}]");
    struct reason why;
    size_t len;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct document_edit edit = {i, "t", "b"};

        assert_null(document_rewrite(&document, &edit, 1, &len, &why));
        assert_non_null(strstr(why.text, "not found"));
    }
    document_clear(&document);
}

static void test_broken_files(void **state)
{
    static const struct {
        const char *text, *words;
    } rows[] = {
        {"", "line 1"},
        {"[", "line 1"},
        {"[{}\n,]", "line 2"},
        {"[] x", "line 1"},
        {"{}", "accounts"},
        {"{\"accounts\":{}}", "accounts"},
        {"\"text\"", ""},
        {"[{\"a\":1,\"a\":2}]", "duplicate"},
        {"[{\"a\":\"\xff\"}]", "decode"},
        {"// comment\n[]", "line 1"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct document document;
        struct reason why;

        if (document_parse(&document, slice_of(rows[i].text), "the-file", &why))
            fail_msg("\"%s\" is taken", rows[i].text);
        if (!strstr(why.text, "the-file") || !strstr(why.text, rows[i].words))
            fail_msg("\"%s\": \"%s\" lacks \"%s\"", rows[i].text, why.text, rows[i].words);
    }
}

/* Any valid file: the spans are the records, whatever else is in it. */
static void test_spans(void **state)
{
    struct document document =
        parse("{\"a\":[{}],\"accounts\" : [ {\"x\":[1,{\"y\":\"}]\"}]} ,2,\"s\" ,[ ]\n,{}] }");
    static const char *const wants[] = {"{\"x\":[1,{\"y\":\"}]\"}]}", "2", "\"s\"", "[ ]", "{}"};

    (void)state;
    check_num("records", (long long)document.count, COUNT_OF(wants));
    for (size_t i = 0; i < COUNT_OF(wants); i++)
        check_text("span",
                   (struct slice){document.text + document.spans[i].start,
                                  document.spans[i].end - document.spans[i].start},
                   wants[i]);
    document_clear(&document);
}

#define RECORD(email, id)                                                                          \
    "{\"email\":\"" email "\",\"account_id\":\"" id "\",\"provider\":\"outlook\","                 \
    "\"client_id\":\"c\",\"refresh_token\":\"t\"}"

static void test_sets(void **state)
{
    struct document document = parse("[" RECORD("a@x", "1") ",{\"_comment\":\"\"}," RECORD(
        "A@X", "2") "," RECORD("b@x", "1") ",{\"email\":\"c@x\"},7," RECORD("d@x", "4") "]");
    struct account_set *set = account_set_new();
    struct conf *conf = conf_default();
    static const char *const words[] = {
        "accounts.json: record 3 (A@X): skipped: its \"email\" is that of record 1",
        "accounts.json: record 4 (b@x): skipped: its \"account_id\" (1) is that of record 1",
        "accounts.json: record 5 (c@x): skipped: \"provider\" is missing",
        "accounts.json: record 6 (?): skipped: it is not an object",
    };

    (void)state;
    assert_true(account_set_read(set, &document, "accounts.json", conf));
    check_num("records", (long long)set->count, 2);
    assert_string_equal(set->records[0]->email, "a@x");
    assert_string_equal(set->records[1]->email, "d@x");
    check_num("skipped", (long long)set->problems.skipped, 4);
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (!strstr(set->problems.items[i].text, words[i]))
            fail_msg("\"%s\" is not \"%s\"", set->problems.items[i].text, words[i]);
    }
    account_set_free(set);
    document_clear(&document);
    conf_free(conf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rewriting),
        cmocka_unit_test(test_many_edits_at_once),
        cmocka_unit_test(test_what_cannot_be_edited),
        cmocka_unit_test(test_broken_files),
        cmocka_unit_test(test_spans),
        cmocka_unit_test(test_sets),
    };

    return cmocka_run_group_tests_name("broker/document", tests, NULL, NULL);
}
