#include "check.h"

#include "base/codec.h"

static void test_base64_vectors(void **state)
{
    /* RFC 4648 section 10, and the last two letters of the alphabet. */
    static const char *const rows[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
        {"\xff\xef\xbe", "/+++"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct slice plain = slice_of(rows[i][0]);
        char out[32];
        ptrdiff_t len;

        check_num(rows[i][1], (long long)base64_encode(plain.ptr, plain.len, out),
                  (long long)BASE64_LEN(plain.len));
        assert_string_equal(out, rows[i][1]);
        len = base64_decode(slice_of(rows[i][1]), out, sizeof(out));
        check_slice(rows[i][1], (struct slice){out, (size_t)len}, plain);
    }
}

static void test_base64_refused(void **state)
{
    static const char *const rows[] = {
        "Z",     "Zg",    "Zg=",  "Zg===",    "=",        "==",       "===",
        "====",  "Z===",  "Zh==", "Zm9=",     "Zg==Zg==", "Zm8=Zm9v", "Zm9v ",
        " Zm9v", "Zm\n9", "Zm-_", "Zm9v\r\n", "Zm9*",     "Z=g=",     "\xc3\xa4\x5ag",
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct slice text = slice_of(rows[i]);
        char *exact = exact_copy(text), out[32];

        check_num(rows[i], base64_decode((struct slice){exact, text.len}, out, sizeof(out)), -1);
        free(exact);
    }
    assert_int_equal(base64_decode(SLICE("Zm9\0"), NULL, 0), -1);
}

static void test_base64_fit(void **state)
{
    char out[4] = "###";

    (void)state;
    assert_int_equal(base64_decode(SLICE("Zm9v"), out, 2), -1);
    assert_string_equal(out, "###");
    assert_int_equal(base64_decode(SLICE("Zm9v"), out, 3), 3);
    assert_int_equal(base64_decode(SLICE("Zm8="), out, 2), 2);
    assert_int_equal(base64_decode(SLICE("Zg=="), out, 1), 1);
    assert_int_equal(base64_decode(SLICE_NONE, NULL, 0), 0);
}

static void test_base64_round_trip(void **state)
{
    uint64_t random = 1;

    (void)state;
    for (size_t len = 0; len < 300; len++) {
        unsigned char *plain = malloc(len + 1), *back = malloc(len + 1);
        char *text = malloc(BASE64_LEN(len) + 1);

        for (size_t i = 0; i < len; i++)
            plain[i] = (unsigned char)next_random(&random);
        assert_int_equal(base64_encode(plain, len, text), BASE64_LEN(len));
        assert_int_equal(text[BASE64_LEN(len)], '\0');
        assert_int_equal(base64_decode((struct slice){text, BASE64_LEN(len)}, back, len), len);
        assert_memory_equal(plain, back, len);
        free(plain);
        free(back);
        free(text);
    }
}

static void test_hex(void **state)
{
    char out[9];

    (void)state;
    hex_encode("\x00\x7f\xab\xff", 4, out);
    assert_string_equal(out, "007fabff");
    hex_encode("", 0, out);
    assert_string_equal(out, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base64_vectors),
        cmocka_unit_test(test_base64_refused),
        cmocka_unit_test(test_base64_fit),
        cmocka_unit_test(test_base64_round_trip),
        cmocka_unit_test(test_hex),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
