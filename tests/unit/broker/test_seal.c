/* Sealed values and key files: what opens, and what does not. */
#include "check.h"

#include <sodium.h>

#include "broker/store/seal.h"
#include "broker/wipe.h"

#define KEY_1 "0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789abcdef"
#define KEY_2 "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"

static struct keyring ring_of(const char *text)
{
    struct keyring ring;
    struct reason why;

    if (!keyring_parse(&ring, slice_of(text), "file", &why))
        fail_msg("%s: %s", text, why.text);
    return ring;
}

static void test_key_files(void **state)
{
    static const struct {
        const char *text;
        size_t keys;
        const char *words;
    } rows[] = {
        {KEY_1, 1, NULL},
        {KEY_1 "\n", 1, NULL},
        {"# c\n\n  " KEY_1 " \r\n\t" KEY_2 "# old\n", 2, NULL},
        {KEY_1 "\n" KEY_2 "\n" KEY_1 "\n", 2, NULL},
        {"", 0, "no key"},
        {"#" KEY_1, 0, "no key"},
        {KEY_1 "\n" KEY_2 "0\n", 0, "line 2"},
        {KEY_1 " " KEY_2, 0, "line 1"},
        {"\ng123456789abcdef0123456789ABCDEF0123456789abcdef0123456789abcdef", 0, "line 2"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char *exact = exact_copy(slice_of(rows[i].text));
        struct keyring ring;
        struct reason why;
        bool ok = keyring_parse(&ring, (struct slice){exact, strlen(rows[i].text)}, "file", &why);

        check_num(rows[i].text, (long long)ring.count, (long long)rows[i].keys);
        if (!ok && !strstr(why.text, rows[i].words))
            fail_msg("\"%s\" lacks \"%s\"", why.text, rows[i].words);
        if (!ok && strstr(why.text, "0123456789"))
            fail_msg("the reason shows the key");
        keyring_clear(&ring);
        free(exact);
    }
}

static void test_too_many_keys(void **state)
{
    static char text[(KEYRING_MAX + 2) * 65];
    char digits[65];
    struct text out;
    struct keyring ring;
    struct reason why;

    (void)state;
    text_init(&out, text, sizeof(text));
    for (int i = 0; i < KEYRING_MAX; i++) {
        keyring_make_key(digits);
        text_addf(&out, "%s\n", digits);
    }
    ring = ring_of(text);
    check_num("keys", (long long)ring.count, KEYRING_MAX);
    keyring_clear(&ring);
    keyring_make_key(digits);
    text_addf(&out, "%s\n", digits);
    assert_false(keyring_parse(&ring, slice_of(text), "file", &why));
}

static const struct seal_place place = {"account", "column"};

static void check_open(const char *row, const struct keyring *ring, const struct seal_place *at,
                       struct slice sealed, enum seal_result wants)
{
    size_t len;
    char *out;

    check_num(row, seal_open(ring, at, sealed, &out, &len), wants);
    if (wants == SEAL_OPENED)
        check_slice(row, (struct slice){out, len}, SLICE("the text"));
    else
        assert_null(out);
    free(out);
}

static void test_values(void **state)
{
    static const struct seal_place others[] = {
        {"account2", "column"}, {"account", "column2"}, {"accountc", "olumn"}, {"", "column"}};
    struct keyring one = ring_of(KEY_1), two = ring_of(KEY_2), both = ring_of(KEY_2 "\n" KEY_1);
    struct slice text = SLICE("the text");
    size_t len;
    unsigned char *sealed = seal_close(&one, &place, text, &len);
    struct slice value = {(const char *)sealed, len};
    char name[SEAL_NAME_CHARS], first[SEAL_NAME_CHARS];

    (void)state;
    check_num("length", (long long)len, (long long)text.len + SEAL_OVERHEAD);
    assert_null(memmem(sealed, len, text.ptr, text.len));
    check_open("same key", &one, &place, value, SEAL_OPENED);
    check_open("second key", &both, &place, value, SEAL_OPENED);
    check_open("other key", &two, &place, value, SEAL_OTHER_KEY);
    assert_true(seal_is_by_first(&one, value));
    assert_false(seal_is_by_first(&both, value));
    seal_key_name(value, name);
    keyring_name(&one.keys[0], first);
    assert_string_equal(name, first);
    for (size_t i = 0; i < COUNT_OF(others); i++)
        check_open("other place", &one, &others[i], value, SEAL_BROKEN);
    for (size_t i = 0; i < len; i++) {
        char *exact = exact_copy((struct slice){value.ptr, i});

        check_open("cut", &one, &place, (struct slice){exact, i}, SEAL_BROKEN);
        free(exact);
        sealed[i] ^= 1;
        check_open("changed", &one, &place, value,
                   i > 0 && i <= SEAL_ID_BYTES ? SEAL_OTHER_KEY : SEAL_BROKEN);
        sealed[i] ^= 1;
    }
    free(sealed);
    keyring_clear(&one);
    keyring_clear(&two);
    keyring_clear(&both);
}

static void test_nonces(void **state)
{
    struct keyring ring = ring_of(KEY_1);
    size_t len;
    unsigned char *a = seal_close(&ring, &place, SLICE(""), &len);
    unsigned char *b = seal_close(&ring, &place, SLICE(""), &len);
    char *out;

    (void)state;
    check_num("empty", (long long)len, SEAL_OVERHEAD);
    assert_memory_not_equal(a, b, len);
    check_num("opens", seal_open(&ring, &place, (struct slice){(char *)a, len}, &out, &len),
              SEAL_OPENED);
    check_num("length", (long long)len, 0);
    free(out);
    free(a);
    free(b);
    keyring_clear(&ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_files),
        cmocka_unit_test(test_too_many_keys),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_nonces),
    };

    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests_name("broker/seal", tests, NULL, NULL);
}
