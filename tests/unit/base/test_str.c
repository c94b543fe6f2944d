#include "check.h"

static void test_equal(void **state)
{
    static const struct {
        const char *a, *b;
        bool same, nocase;
    } rows[] = {
        {"", "", true, true},
        {"abc", "abc", true, true},
        {"abc", "aBC", false, true},
        {"abc", "abcd", false, false},
        {"abc", "abd", false, false},
        {"@[", "`{", false, false}, /* a case apart, but no letters */
        {"\xc3\x84", "\xc3\xa4", false, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct slice a = slice_of(rows[i].a), b = slice_of(rows[i].b);

        check_num(rows[i].a, slice_equal(a, b), rows[i].same);
        check_num(rows[i].a, slice_equal_nocase(a, b), rows[i].nocase);
    }
    assert_true(slice_equal(SLICE_NONE, SLICE("")));
    assert_true(slice_equal_nocase(SLICE_NONE, SLICE("")));
    assert_int_equal(slice_of(NULL).len, 0);
}

static void test_find(void **state)
{
    static const struct {
        const char *text, *needle;
        int at;
        bool starts;
    } rows[] = {
        {"", "", 0, true},        {"abc", "", 0, true},      {"", "a", -1, false},
        {"Hello", "he", 0, true}, {"Hello", "LO", 3, false}, {"Hello", "lox", -1, false},
        {"aab", "ab", 1, false},  {"ab", "abc", -1, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct slice text = slice_of(rows[i].text), needle = slice_of(rows[i].needle);

        check_num(rows[i].text, slice_find_nocase(text, needle), rows[i].at);
        check_num(rows[i].text, slice_starts_nocase(text, needle), rows[i].starts);
    }
}

static void test_trim(void **state)
{
    static const char *const rows[][2] = {
        {"", ""},          {" ", ""},    {" \t ", ""}, {"a", "a"},
        {" a b\t", "a b"}, {"\ta", "a"}, {"a  ", "a"}, {"\r\na\n", "\r\na\n"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        check_text(rows[i][0], slice_trim(slice_of(rows[i][0])), rows[i][1]);
    assert_int_equal(slice_trim(SLICE_NONE).len, 0);
}

static void test_to_u64(void **state)
{
    static const struct {
        const char *text;
        bool ok;
        uint64_t value;
    } rows[] = {
        {"0", true, 0},
        {"007", true, 7},
        {"18446744073709551615", true, UINT64_MAX},
        {"18446744073709551616", false, 0},
        {"18446744073709551620", false, 0},
        {"99999999999999999999999", false, 0},
        {"", false, 0},
        {"-1", false, 0},
        {"+1", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"0x10", false, 0},
        {"1.5", false, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint64_t value = 42;

        check_num(rows[i].text, slice_to_u64(slice_of(rows[i].text), &value), rows[i].ok);
        check_num(rows[i].text, (long long)value, rows[i].ok ? (long long)rows[i].value : 42);
    }
}

static void test_copy(void **state)
{
    char out[4];
    char *copy;

    (void)state;
    assert_true(slice_copy(SLICE("abc"), out, sizeof(out)));
    assert_string_equal(out, "abc");
    assert_false(slice_copy(SLICE("abcd"), out, sizeof(out)));
    assert_string_equal(out, "abc");
    assert_false(slice_copy(SLICE("abcd"), out, 1));
    assert_string_equal(out, "");
    assert_true(slice_copy(SLICE_NONE, out, 1));
    copy = slice_dup(SLICE("abc"));
    assert_string_equal(copy, "abc");
    free(copy);
}

static void test_lower(void **state)
{
    char text[] = "MiXeD @[\\]^_ 123";

    (void)state;
    ascii_lower_in_place(text);
    assert_string_equal(text, "mixed @[\\]^_ 123");
    for (int c = 0; c < 256; c++)
        assert_int_equal((unsigned char)ascii_lower((char)c), c >= 'A' && c <= 'Z' ? c + 32 : c);
}

static void test_text(void **state)
{
    char memory[16];
    struct text text;

    (void)state;
    text_init(&text, memory, sizeof(memory));
    assert_string_equal(memory, "");
    text_add_str(&text, "ab");
    text_add_char(&text, 'c');
    text_add_slice(&text, SLICE("de"));
    text_add_u64(&text, 0);
    text_add_u64(&text, 12);
    text_addf(&text, "%s%d", "x", -3);
    assert_string_equal(memory, "abcde012x-3");
    assert_int_equal(text.len, 11);
    text_add_slice(&text, SLICE_NONE);
    assert_false(text.cut);
}

static void test_text_overflow(void **state)
{
    char memory[8];
    struct text text;

    (void)state;
    text_init(&text, memory, sizeof(memory));
    text_add_str(&text, "1234567");
    assert_false(text.cut);
    text_add_char(&text, '8');
    assert_true(text.cut);
    assert_string_equal(memory, "1234567");

    text_init(&text, memory, sizeof(memory));
    text_add_u64(&text, UINT64_MAX);
    assert_true(text.cut);
    assert_string_equal(memory, "1844674");

    text_init(&text, memory, sizeof(memory));
    text_addf(&text, "%s", "1234567");
    assert_false(text.cut);
    text_addf(&text, "%d", 8);
    assert_true(text.cut);
    assert_int_equal(text.len, 7);
    assert_string_equal(memory, "1234567");

    text_init(&text, memory, 1);
    text_add_str(&text, "a");
    text_addf(&text, "a");
    assert_true(text.cut);
    assert_string_equal(memory, "");
}

static void test_reason(void **state)
{
    struct reason why;
    char big[1000];

    (void)state;
    assert_false(reason_set(&why, "port %d is taken", 25));
    assert_string_equal(why.text, "port 25 is taken");
    assert_false(reason_set(NULL, "nobody asked"));
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    assert_false(reason_set(&why, "%s", big));
    assert_int_equal(strlen(why.text), sizeof(why.text) - 1);
}

static void test_nearest(void **state)
{
    static const char *const names[] = {"listen", "log_level", "max_connections", "tls", NULL};
    static const char *const rows[][2] = {
        {"listen", "listen"},
        {"lisen", "listen"},
        {"LISTEN", "listen"},
        {"loglevel", "log_level"},
        {"max_conections", "max_connections"},
        {"tsl", NULL},
        {"zzzzzz", NULL},
        {"", NULL},
    };
    char big[200];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const char *found = nearest_name(rows[i][0], names);

        check_text(rows[i][0], slice_of(found), rows[i][1]);
    }
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    assert_null(nearest_name(big, names));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal),  cmocka_unit_test(test_find),
        cmocka_unit_test(test_trim),   cmocka_unit_test(test_to_u64),
        cmocka_unit_test(test_copy),   cmocka_unit_test(test_lower),
        cmocka_unit_test(test_text),   cmocka_unit_test(test_text_overflow),
        cmocka_unit_test(test_reason), cmocka_unit_test(test_nearest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
