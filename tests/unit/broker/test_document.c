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

static json_t *json_of(const char *text)
{
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);

    assert_non_null(json);
    return json;
}

static void check_written(const char *row, struct document *document, const char *wants)
{
    size_t len;
    char *got = document_write(document, &len);

    assert_non_null(got);
    check_slice(row, (struct slice){got, len}, slice_of(wants));
    free(got);
    document_clear(document);
}

/* Changes members of one record: null removes. */
static void check_change(const char *text, size_t record, const char *members, const char *wants)
{
    struct document document = parse(text);
    json_t *object = json_copy(json_array_get(document.records, record)), *value;
    json_t *changes = json_of(members);
    const char *key;

    json_object_foreach(changes, key, value)
    {
        if (json_is_null(value))
            json_object_del(object, key);
        else
            json_object_set(object, key, value);
    }
    assert_true(document_set(&document, record, object));
    json_decref(object);
    json_decref(changes);
    check_written(text, &document, wants);
}

static void check_rewrite(const char *text, size_t record, const char *value, const char *wants)
{
    json_t *object = json_object();
    char *members;

    json_object_set_new(object, "t", json_string(value));
    members = json_dumps(object, 0);
    check_change(text, record, members, wants);
    free(members);
    json_decref(object);
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
    check_rewrite("[{\"\\u0074\":\"x\"}]", 0, "b", "[{\"\\u0074\":\"b\"}]");
    check_rewrite("[{\"t\" : \"\\u0062\"}]", 0, "b", "[{\"t\" : \"\\u0062\"}]");
}

static void test_members(void **state)
{
    static const struct {
        const char *text, *members, *wants;
    } rows[] = {
        {"[{\"a\":1}]", "{\"b\":2}", "[{\"a\":1,\"b\":2}]"},
        {"[{\"a\": 1}]", "{\"b\":2}", "[{\"a\": 1, \"b\": 2}]"},
        {"[{\"a\": 1,\"c\": 3}]", "{\"b\":2}", "[{\"a\": 1,\"c\": 3,\"b\": 2}]"},
        {"[{\"a\": 1,\n  \"c\": 3 }]", "{\"b\":2}", "[{\"a\": 1,\n  \"c\": 3,\n  \"b\": 2 }]"},
        {"[{\"a\":1,\"b\":2,\"c\":3}]", "{\"a\":null}", "[{\"b\":2,\"c\":3}]"},
        {"[{\"a\":1 , \"b\":2 ,\t\"c\":3}]", "{\"b\":null}", "[{\"a\":1 ,\t\"c\":3}]"},
        {"[{\"a\":1, \"b\":2, \"c\":3 }]", "{\"c\":null}", "[{\"a\":1, \"b\":2 }]"},
        {"[{\"a\":1, \"b\":2, \"c\":3 }]", "{\"a\":null,\"b\":null}", "[{\"c\":3 }]"},
        {"[ {\"a\":1} ]", "{\"a\":null}", "[ {} ]"},
        {"[{ \"a\":1 }]", "{\"a\":null,\"b\":2}", "[{ \"b\":2 }]"},
        {"[{}]", "{\"b\":{\"c\":[1,2]}}", "[{\"b\": {\"c\": [1, 2]}}]"},
        {"[{\"a\":1,\"b\":[ 1 ,2]}]", "{\"a\":\"\xc3\xa4\"}",
         "[{\"a\":\"\xc3\xa4\",\"b\":[ 1 ,2]}]"},
        {"[\n    {\n        \"a\": 1\n    }\n]\n", "{\"r\":{\"x\":0.1,\"y\":{}},\"l\":[true]}",
         "[\n    {\n        \"a\": 1,\n        \"r\": {\n            \"x\": 0.1,\n"
         "            \"y\": {}\n        },\n        \"l\": [\n            true\n        ]\n"
         "    }\n]\n"},
        /* Within a group only what differs. */
        {"[{\"r\" : {\"x\": 1.50 , \"y\" :  2}, \"z\":[1 ]}]",
         "{\"r\":{\"x\":1.5,\"y\":3,\"n\":4}}",
         "[{\"r\" : {\"x\": 1.50 , \"y\" :  3, \"n\": 4}, \"z\":[1 ]}]"},
        {"[{\"a\\u0062\":1,\"c\":2}]", "{\"ab\":null}", "[{\"c\":2}]"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        check_change(rows[i].text, 0, rows[i].members, rows[i].wants);
}

/* Which records go, and whether one comes. */
static void check_records(const char *text, const char *gone, const char *added, const char *wants)
{
    struct document document = parse(text);
    json_t *object = added ? json_of(added) : NULL;

    for (; *gone; gone++)
        assert_true(document_remove(&document, (size_t)(*gone - '0')));
    if (object)
        assert_true(document_add(&document, object));
    json_decref(object);
    check_written(text, &document, wants);
}

static void test_records(void **state)
{
    static const struct {
        const char *text, *gone, *added, *wants;
    } rows[] = {
        {"[1, 2,\n3 ]", "0", NULL, "[2,\n3 ]"},
        {"[1, 2,\n3 ]", "1", NULL, "[1,\n3 ]"},
        {"[1, 2,\n3 ]", "2", NULL, "[1, 2 ]"},
        {"[1, 2,\n3 ]", "21", NULL, "[1 ]"},
        {"[1, 2,\n3 ]", "012", NULL, "[]"},
        {"{\"accounts\" : [ 1 ] , \"_x\":0}", "0", NULL, "{\"accounts\" : [] , \"_x\":0}"},
        {"[]", "", "{\"a\":1}", "[\n  {\n    \"a\": 1\n  }\n]"},
        {" [ ]\n", "", "{\"a\":1}", " [\n  {\n    \"a\": 1\n  }\n]\n"},
        {"[\r\n]\r\n", "", "{\"a\":1}", "[\r\n  {\r\n    \"a\": 1\r\n  }\r\n]\r\n"},
        {"{\n\t\"_x\": 1,\n\t\"accounts\": []\n}", "", "{\"a\":1,\"b\":{\"c\":2}}",
         "{\n\t\"_x\": 1,\n\t\"accounts\": [\n\t\t{\n\t\t\t\"a\": 1,\n\t\t\t\"b\": {\n"
         "\t\t\t\t\"c\": 2\n\t\t\t}\n\t\t}\n\t]\n}"},
        {"[{\"a\":1,\"b\":2}]", "", "{\"a\":1,\"b\":{\"c\":[]}}",
         "[{\"a\":1,\"b\":2}, {\"a\":1,\"b\":{\"c\":[]}}]"},
        {"[\n  {\"a\": 1, \"b\": 2}\n]\n", "", "{\"c\":3,\"d\":4}",
         "[\n  {\"a\": 1, \"b\": 2},\n  {\"c\": 3, \"d\": 4}\n]\n"},
        {"[\n {\n  \"a\":1,\n  \"b\":2\n },\n\n {\"_comment\": \"\"}\n]", "", "{\"c\":3}",
         "[\n {\n  \"a\":1,\n  \"b\":2\n },\n\n {\"_comment\": \"\"},\n {\n  \"c\":3\n }\n]"},
        {"[\n  {\n    \"a\": 1\n  }\n]\n", "0", "{\"b\":2}", "[\n  {\n    \"b\": 2\n  }\n]\n"},
        {"[ {\"a\":1} , {\"b\":2} ]", "1", "{\"c\":3}", "[ {\"a\":1}, {\"c\":3} ]"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        check_records(rows[i].text, rows[i].gone, rows[i].added, rows[i].wants);
}

/* Later changes see earlier ones, and numbers stay. */
static void test_many_changes_at_once(void **state)
{
    struct document document =
        parse("[{\"t\":\"0\"}, {\"n\":1,\"t\":\"1\"}, {\"t\":\"2\"}, {\"t\":\"3\"}]");
    static const struct {
        size_t record;
        const char *object;
    } rows[] = {{3, "{\"t\":\"drei\"}"}, {0, "{\"t\":\"\",\"u\":1}"},
                {2, "{\"t\":\"2\"}"},    {0, "{\"u\":1}"},
                {4, "{\"v\":2}"},        {4, "{\"v\":3}"}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        json_t *object = json_of(rows[i].object);

        assert_true(rows[i].record < document.count
                        ? document_set(&document, rows[i].record, object)
                        : document_add(&document, object));
        json_decref(object);
    }
    assert_true(document_remove(&document, 1));
    check_written("changes", &document, "[{\"u\":1}, {\"t\":\"2\"}, {\"t\":\"drei\"}, {\"v\":3}]");
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
        {"[{\"client_secret\" \"s3cret\"}]", "':' expected"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct document document;
        struct reason why;

        if (document_parse(&document, slice_of(rows[i].text), "the-file", &why))
            fail_msg("\"%s\" is taken", rows[i].text);
        if (strstr(why.text, "s3cret")) /* it goes to the log */
            fail_msg("\"%s\" is quoted: \"%s\"", rows[i].text, why.text);
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
                   (struct slice){document.text + document.items.spans[i].start,
                                  document.items.spans[i].end - document.items.spans[i].start},
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
        cmocka_unit_test(test_rewriting),    cmocka_unit_test(test_members),
        cmocka_unit_test(test_records),      cmocka_unit_test(test_many_changes_at_once),
        cmocka_unit_test(test_broken_files), cmocka_unit_test(test_spans),
        cmocka_unit_test(test_sets),
    };

    return cmocka_run_group_tests_name("broker/document", tests, NULL, NULL);
}
