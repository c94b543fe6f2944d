/* API tokens and their file. */
#include <fcntl.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/wipe.h"
#include "broker/admin/api_tokens.h"
#include "check.h"

static char folder[] = "/tmp/bearerd-tokens-XXXXXX";
static char path[64];

static int set_up(void **state)
{
    (void)state;
    json_set_alloc_funcs(wipe_malloc, wipe_free); /* as main does */
    if (sodium_init() < 0 || !mkdtemp(folder))
        return -1;
    snprintf(path, sizeof(path), "%s/t.json", folder);
    return 0;
}

static int clear(void **state)
{
    char lock[80];

    (void)state;
    snprintf(lock, sizeof(lock), "%s.lock", path);
    unlink(lock);
    unlink(path);
    return 0;
}

static int tear_down(void **state)
{
    clear(state);
    return rmdir(folder);
}

static void put(const char *text)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void make(const char *name, bool write, char *made)
{
    struct api_tokens tokens = {NULL, 0};
    struct reason why = {""};

    if (api_tokens_add(&tokens, path, name, write, made, &why) != API_TOKENS_OK)
        fail_msg("%s: %s", name, why.text);
    api_tokens_clear(&tokens);
}

static void tokens_are_found_by_their_text(void **state)
{
    char first[API_TOKEN_TEXT_MAX], second[API_TOKEN_TEXT_MAX];
    struct api_tokens tokens;
    struct reason why;
    struct stat status;

    (void)state;
    make("first", false, first);
    make("second", true, second);
    assert_int_equal(strlen(first), 68);
    assert_memory_equal(first, "brd_", 4);
    assert_string_not_equal(first, second);
    assert_true(api_tokens_load(&tokens, path, &why));
    assert_int_equal(tokens.count, 2);
    assert_string_equal(api_tokens_find(&tokens, slice_of(first))->name, "first");
    assert_true(api_tokens_find(&tokens, slice_of(second))->write);
    first[10] = first[10] == '0' ? '1' : '0';
    assert_null(api_tokens_find(&tokens, slice_of(first)));
    assert_null(api_tokens_find(&tokens, SLICE("")));
    assert_null(api_tokens_find(&tokens, (struct slice){second, 67}));
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    api_tokens_clear(&tokens);
}

static void the_file_holds_no_token(void **state)
{
    char made[API_TOKEN_TEXT_MAX], text[4096] = "";
    FILE *file;

    (void)state;
    make("one", true, made);
    file = fopen(path, "re");
    assert_non_null(file);
    assert_true(fread(text, 1, sizeof(text) - 1, file) > 0);
    fclose(file);
    assert_null(strstr(text, made + 4));
    assert_non_null(strstr(text, "\"blake2b:"));
}

static void names_are_unique(void **state)
{
    char made[API_TOKEN_TEXT_MAX];
    struct api_tokens tokens = {NULL, 0};
    struct reason why;

    (void)state;
    make("one", true, made);
    assert_int_equal(api_tokens_add(&tokens, path, "one", false, made, &why), API_TOKENS_EXISTS);
    api_tokens_clear(&tokens);
    assert_int_equal(api_tokens_remove(&tokens, path, "two", &why), API_TOKENS_GONE);
    api_tokens_clear(&tokens);
    assert_int_equal(api_tokens_remove(&tokens, path, "one", &why), API_TOKENS_OK);
    assert_int_equal(tokens.count, 0);
    api_tokens_clear(&tokens);
}

static void removing_keeps_the_others(void **state)
{
    static const char *const names[] = {"a", "b", "c", "d"};
    char made[4][API_TOKEN_TEXT_MAX];
    struct api_tokens tokens = {NULL, 0};
    struct reason why;

    (void)state;
    for (size_t i = 0; i < 4; i++)
        make(names[i], i % 2 == 0, made[i]);
    assert_int_equal(api_tokens_remove(&tokens, path, "b", &why), API_TOKENS_OK);
    assert_int_equal(tokens.count, 3);
    for (size_t i = 0; i < 4; i++) {
        const struct api_token *token = api_tokens_find(&tokens, slice_of(made[i]));

        assert_int_equal(token != NULL, i != 1);
        if (token)
            assert_string_equal(token->name, names[i]);
    }
    api_tokens_clear(&tokens);
}

static void uses_survive_a_reload(void **state)
{
    char made[API_TOKEN_TEXT_MAX];
    struct api_tokens before, after;
    struct reason why;

    (void)state;
    make("one", true, made);
    make("two", true, made);
    assert_true(api_tokens_load(&before, path, &why));
    api_tokens_find(&before, slice_of(made))->last_used_ms = 77;
    assert_true(api_tokens_load(&after, path, &why));
    api_tokens_take_uses(&after, &before);
    assert_int_equal(api_tokens_by_name(&after, "two")->last_used_ms, 77);
    assert_int_equal(api_tokens_by_name(&after, "one")->last_used_ms, 0);
    api_tokens_clear(&before);
    api_tokens_clear(&after);
}

#define HASH "blake2b:0000000000000000000000000000000000000000000000000000000000000000"
#define TOKEN(name, scope, hash)                                                                   \
    "{\"name\":\"" name "\",\"scope\":\"" scope "\",\"hash\":\"" hash "\"}"

struct file_row {
    const char *text, *why; /* NULL: it is right */
};

static const struct file_row files[] = {
    {"{\"tokens\":[]}", NULL},
    {"{\"tokens\":[" TOKEN("a", "read", HASH) "],\"_comment\":1}", NULL},
    {"", "t.json:1:0:"},
    {"{", "t.json:1:1:"},
    {"{\"tokens\":[],\"tokens\":[]}", "duplicate"},
    {"[]", "\"tokens\""},
    {"{\"tokens\":{}}", "\"tokens\""},
    {"{\"tokens\":[1]}", "token 1: name"},
    {"{\"tokens\":[" TOKEN("", "read", HASH) "]}", "token 1: name"},
    {"{\"tokens\":[" TOKEN("a b", "read", HASH) "]}", "token 1: name"},
    {"{\"tokens\":[" TOKEN("a", "read", HASH) "," TOKEN("a", "read", HASH) "]}", "token 2: name"},
    {"{\"tokens\":[" TOKEN("a", "owner", HASH) "]}", "token 1: scope"},
    {"{\"tokens\":[" TOKEN("a", "read", "") "]}", "token 1: hash"},
    {"{\"tokens\":[" TOKEN("a", "read", "blake2b:00") "]}", "token 1: hash"},
    {"{\"tokens\":[" TOKEN("a", "read", HASH "0") "]}", "token 1: hash"},
    {"{\"tokens\":[{\"name\":\"a\",\"scope\":\"read\"}]}", "token 1: hash"},
};

static void broken_files_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        struct api_tokens tokens;
        struct reason why = {""};

        put(files[i].text);
        check_num(files[i].text, api_tokens_load(&tokens, path, &why), files[i].why == NULL);
        if (files[i].why && !strstr(why.text, files[i].why))
            fail_msg("%s: \"%s\" lacks \"%s\"", files[i].text, why.text, files[i].why);
        api_tokens_clear(&tokens);
    }
}

/* Nothing may take the place of a file that cannot be read. */
static void a_broken_file_is_not_overwritten(void **state)
{
    char made[API_TOKEN_TEXT_MAX], text[16] = "";
    struct api_tokens tokens = {NULL, 0};
    struct reason why;
    FILE *file;

    (void)state;
    put("{");
    assert_int_equal(api_tokens_add(&tokens, path, "a", true, made, &why), API_TOKENS_FAILED);
    api_tokens_clear(&tokens);
    file = fopen(path, "re");
    assert_non_null(file);
    assert_int_equal(fread(text, 1, sizeof(text) - 1, file), 1);
    fclose(file);
}

static void their_number_is_bounded(void **state)
{
    struct api_tokens tokens = {NULL, 0};
    char made[API_TOKEN_TEXT_MAX];
    struct reason why;
    FILE *file = fopen(path, "we");

    (void)state;
    assert_non_null(file);
    fputs("{\"tokens\":[", file);
    for (int i = 0; i < API_TOKENS_MAX; i++)
        fprintf(file, "%s{\"name\":\"n%d\",\"scope\":\"read\",\"hash\":\"" HASH "\"}", i ? "," : "",
                i);
    fputs("]}", file);
    fclose(file);
    assert_true(api_tokens_load(&tokens, path, &why));
    assert_int_equal(tokens.count, API_TOKENS_MAX);
    api_tokens_clear(&tokens);
    assert_int_equal(api_tokens_add(&tokens, path, "more", true, made, &why), API_TOKENS_FAILED);
    assert_non_null(strstr(why.text, "1000"));
    api_tokens_clear(&tokens);
}

static void names(void **state)
{
    char longest[API_TOKEN_NAME_MAX + 2];

    (void)state;
    memset(longest, 'x', sizeof(longest));
    longest[API_TOKEN_NAME_MAX + 1] = '\0';
    assert_false(api_token_name_ok(longest));
    longest[API_TOKEN_NAME_MAX] = '\0';
    assert_true(api_token_name_ok(longest));
    assert_true(api_token_name_ok("A-z_0.9@x"));
    assert_false(api_token_name_ok(""));
    assert_false(api_token_name_ok("a/b"));
    assert_false(api_token_name_ok("a\"b"));
    assert_false(api_token_name_ok("\xc3\xa4"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(tokens_are_found_by_their_text, clear),
        cmocka_unit_test_teardown(the_file_holds_no_token, clear),
        cmocka_unit_test_teardown(names_are_unique, clear),
        cmocka_unit_test_teardown(removing_keeps_the_others, clear),
        cmocka_unit_test_teardown(uses_survive_a_reload, clear),
        cmocka_unit_test_teardown(broken_files_are_refused, clear),
        cmocka_unit_test_teardown(a_broken_file_is_not_overwritten, clear),
        cmocka_unit_test_teardown(their_number_is_bounded, clear),
        cmocka_unit_test(names),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
