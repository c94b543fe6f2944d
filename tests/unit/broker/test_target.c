/* Request targets: paths, queries, percent encoding. */
#include "broker/admin/target.h"
#include "check.h"

struct decode_row {
    const char *text, *decoded; /* NULL: refused */
};

static const struct decode_row decodes[] = {
    {"", ""},       {"abc", "abc"},   {"a%40b", "a@b"}, {"%4a%4A%6a", "JJj"},
    {"a+b", "a+b"}, {"%2B%2f", "+/"}, {"%25%32", "%2"}, {"%ff\xff", "\xff\xff"},
    {"%", NULL},    {"%4", NULL},     {"a%zz", NULL},   {"%4g", NULL},
    {"%00", NULL},  {"a%00b", NULL},  {"%%40", NULL},   {"%-1", NULL},
};

static void percent_signs(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(decodes); i++) {
        char *copy = exact_copy((struct slice){decodes[i].text, strlen(decodes[i].text) + 1});
        bool ok = percent_decode(copy);

        check_num(decodes[i].text, ok, decodes[i].decoded != NULL);
        if (ok)
            check_text(decodes[i].text, slice_of(copy), decodes[i].decoded);
        free(copy);
    }
}

struct target_row {
    const char *text, *path;
    const char *query; /* "name=value;" for each; NULL: refused */
};

static const struct target_row targets[] = {
    {"/", "/", ""},
    {"/a%2Fb", "/a%2Fb", ""},
    {"/a?", "/a", ""},
    {"/a?b", "/a", "b=;"},
    {"/a?b=", "/a", "b=;"},
    {"/a?b=c=d", "/a", "b=c=d;"},
    {"/a?b=c&b=d", "/a", "b=c;b=d;"},
    {"/a?&&b=1&", "/a", "b=1;"},
    {"/a?b=%26%3D%3f", "/a", "b=&=?;"},
    {"/a?b?=1", "/a", "b?=1;"},
    {"/a?=1", "/a", "=1;"},
    {"http://host/a?b=1", "/a", "b=1;"},
    {"HTTPS://host:1/a", "/a", ""},
    {"http://host", "http://host", ""},
    {"*", "*", ""},
    {"", "", ""},
    {"/a?b=%", "/a", NULL},
    {"/a?%zz=1", "/a", NULL},
    {"/a?b=%00", "/a", NULL},
};

static void paths_and_queries(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(targets); i++) {
        const struct target_row *row = &targets[i];
        char *copy = exact_copy((struct slice){row->text, strlen(row->text) + 1}), memory[256];
        struct target target;
        struct reason why = {""};
        struct text query;

        check_num(row->text, target_parse(&target, copy, &why), row->query != NULL);
        check_text(row->text, slice_of(target.path), row->path);
        text_init(&query, memory, sizeof(memory));
        for (size_t k = 0; k < target.count; k++)
            text_addf(&query, "%s=%s;", target.parameters[k].name, target.parameters[k].value);
        if (row->query)
            check_text(row->text, slice_of(memory), row->query);
        target_clear(&target);
        free(copy);
    }
}

static void the_first_of_a_name_counts(void **state)
{
    struct target target;
    struct reason why;

    (void)state;
    assert_true(target_parse(&target, "/a?b=1&c=2&b=3", &why));
    assert_string_equal(target_query(&target, "b"), "1");
    assert_string_equal(target_query(&target, "c"), "2");
    assert_null(target_query(&target, "d"));
    target_clear(&target);
}

static void parameters_are_bounded(void **state)
{
    char memory[512];
    struct target target;
    struct reason why;
    struct text text;

    (void)state;
    text_init(&text, memory, sizeof(memory));
    text_add_str(&text, "/a?");
    for (int i = 0; i < TARGET_PARAMETERS_MAX; i++)
        text_addf(&text, "p%d=%d&", i, i);
    assert_true(target_parse(&target, memory, &why));
    assert_int_equal(target.count, TARGET_PARAMETERS_MAX);
    target_clear(&target);
    text_add_str(&text, "one_more");
    assert_false(target_parse(&target, memory, &why));
    assert_non_null(strstr(why.text, "32"));
    target_clear(&target);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percent_signs),
        cmocka_unit_test(paths_and_queries),
        cmocka_unit_test(the_first_of_a_name_counts),
        cmocka_unit_test(parameters_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
