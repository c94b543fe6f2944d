/* Form fields: what is written is read back. */
#include "check.h"

#include <stdio.h>

#include "broker/form.h"

static char seen[1024];

static void add_pair(void *arg, const char *key, struct slice value)
{
    struct text *text = arg;

    assert_int_equal(value.ptr[value.len], '\0');
    text_addf(text, "[%s|", key);
    text_add_slice(text, value);
    text_add_char(text, ']');
}

static void check_read(const char *pairs, const char *wants)
{
    struct text text;

    text_init(&text, seen, sizeof(seen));
    assert_true(form_each(pairs, add_pair, &text));
    check_text(pairs, (struct slice){text.at, text.len}, wants);
}

static void test_round_trip(void **state)
{
    static const char *const values[] = {
        "plain", "", "a b&c=d%+", "\xc3\xa9", "100%", "%41%zz%", "https://x.test/?a=b#c", "+"};
    char wants[256];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        struct form form;

        form_init(&form);
        form_add(&form, "first", slice_of(values[i]));
        form_add(&form, values[i][0] ? values[i] : "k", SLICE("x"));
        snprintf(wants, sizeof(wants), "[first|%s][%s|x]", values[i],
                 values[i][0] ? values[i] : "k");
        check_read(form.at, wants);
        form_clear(&form);
    }
}

static void test_what_others_wrote(void **state)
{
    (void)state;
    check_read("", "");
    check_read("a", "");
    check_read("a=", "[a|]");
    check_read("=b", "[|b]");
    check_read("a=b&&c=d&", "[a|b][c|d]");
    check_read("a=b=c", "[a|b=c]");
    check_read("a+b=c+d", "[a b|c d]");
    check_read("a=%4", "[a|%4]");
    check_read("a=%", "[a|%]");
    check_read("a=%4g%2", "[a|%4g%2]");
    check_read("a=%7e%7E", "[a|~~]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_what_others_wrote),
    };

    return cmocka_run_group_tests_name("broker/form", tests, NULL, NULL);
}
