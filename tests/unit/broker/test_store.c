/* What every back end does with accounts, the same for each of them. */
#include "broker/store_world.h"

#include <sodium.h>
#include <stdio.h>

#include "broker/store/edit.h"
#include "broker/wipe.h"

/* The back end under test, by its file's name. */
static const char *file_name;
static char location[512];

#define REST "\"provider\":\"outlook\",\"client_id\":\"c\",\"client_secret\":\"s\""
#define RECORD(name, token)                                                                        \
    "{\"email\":\"" name "@x.org\",\"account_id\":\"" name "\"," REST                              \
    ",\"refresh_token\":\"" token "\"}"

static struct account_record *record_of(struct account_set *set, const char *id)
{
    for (size_t i = 0; i < set->count; i++) {
        if (strcmp(set->records[i]->id, id) == 0)
            return set->records[i];
    }
    return NULL;
}

/* The ids that a load finds, as "a b c" in their order. */
static void check_ids(struct world *world, const char *wants)
{
    json_t *all = world_export(world, 2);
    char shown[1024], id[512];
    struct text text;
    struct account_set *set;
    struct reason why;

    text_init(&text, shown, sizeof(shown));
    for (size_t i = 0; i < json_array_size(all); i++) {
        assert_true(record_id(json_array_get(all, i), id, sizeof(id)));
        text_addf(&text, "%s%s", i ? " " : "", id);
    }
    check_text("ids", slice_of(shown), wants);
    set = world_load(world, &why);
    assert_non_null(set);
    check_num("loaded", (long long)set->count, (long long)json_array_size(all));
    for (size_t i = 0; i < json_array_size(all); i++) {
        record_id(json_array_get(all, i), id, sizeof(id));
        assert_non_null(record_of(set, id));
    }
    account_set_free(set);
    json_decref(all);
}

static void check_change(struct world *world, enum store_edit_kind kind, const char *id,
                         const char *object, enum store_status wants, const char *words)
{
    struct reason why;
    enum store_status got = world_change(world, kind, id, object, &why);

    if (got != wants || !strstr(why.text, words))
        fail_msg("%s %s: got %d \"%s\", wanted %d \"%s\"", id ? id : "", object ? object : "", got,
                 why.text, wants, words);
}

static void test_adding(void **state)
{
    struct world world;
    struct store_edit edit;

    (void)state;
    world_open(&world, location, "", false);
    edit = world_edit(STORE_ADD, NULL, RECORD("a", "1"));
    world_write(&world, &edit, 1);
    check_num("status", edit.status, STORE_OK);
    assert_non_null(edit.record);
    assert_string_equal(edit.record->refresh_token, "1");
    assert_null(edit.replaced);
    world_clear(&edit, 1);
    check_change(&world, STORE_ADD, NULL, RECORD("a", "1"), STORE_EXISTS, "email");
    check_change(&world, STORE_ADD, NULL,
                 "{\"email\":\"A@X.org\"," REST ",\"refresh_token\":\"t\"}", STORE_EXISTS, "email");
    check_change(&world, STORE_ADD, NULL,
                 "{\"email\":\"b@x.org\",\"account_id\":\"a\"," REST ",\"refresh_token\":\"t\"}",
                 STORE_EXISTS, "account_id");
    check_change(&world, STORE_ADD, NULL, "{\"email\":\"b@x.org\"," REST "}", STORE_INVALID,
                 "refresh_token");
    check_change(&world, STORE_ADD, NULL, "[]", STORE_INVALID, "object");
    check_change(&world, STORE_ADD, NULL,
                 "{\"email\":\"b@x.org\"," REST ",\"refresh_token\":\"t\",\"tls\":\"no\"}",
                 STORE_INVALID, "tls");
    check_ids(&world, "a");
    /* A key that nobody knows is a note. */
    check_change(&world, STORE_ADD, NULL,
                 "{\"email\":\"b@x.org\",\"account_id\":\"b\"," REST
                 ",\"refresh_token\":\"t\",\"colour\":1}",
                 STORE_OK, "colour");
    check_ids(&world, "a b");
    world_close(&world);
}

static void test_ids_that_are_made(void **state)
{
    struct world world;
    struct store_edit edit;

    (void)state;
    world_open(&world, location, "", false);
    edit = world_edit(STORE_ADD, NULL, "{\"email\":\"a.b@x\"," REST ",\"refresh_token\":\"t\"}");
    world_write(&world, &edit, 1);
    assert_string_equal(edit.record->id, "outlook_a_b_x");
    world_clear(&edit, 1);
    /* The same id by default, but another mailbox. */
    edit = world_edit(STORE_ADD, NULL, "{\"email\":\"a_b@x\"," REST ",\"refresh_token\":\"t\"}");
    world_write(&world, &edit, 1);
    assert_string_equal(edit.record->id, "outlook_a_b_x_2");
    world_clear(&edit, 1);
    /* A new address is no new account. */
    edit = world_edit(STORE_PATCH, "outlook_a_b_x", "{\"email\":\"new@x\",\"account_id\":null}");
    world_write(&world, &edit, 1);
    assert_string_equal(edit.record->id, "outlook_a_b_x");
    assert_string_equal(edit.record->login, "new@x");
    world_clear(&edit, 1);
    check_ids(&world, "outlook_a_b_x outlook_a_b_x_2");
    world_close(&world);
}

static void test_patching(void **state)
{
    struct world world;
    struct account_set *set;
    struct reason why;
    json_t *all;

    (void)state;
    world_open(&world, location, "", false);
    check_change(
        &world, STORE_ADD, NULL,
        "{\"email\":\"a@x.org\",\"account_id\":\"a\"," REST
        ",\"refresh_token\":\"1\",\"_note\":[1],\"scope\":\"s\",\"retry\":{\"max_attempts\":3,"
        "\"_n\":1}}",
        STORE_OK, "");
    check_change(&world, STORE_ADD, NULL, RECORD("b", "1"), STORE_OK, "");
    check_change(&world, STORE_PATCH, "a",
                 "{\"scope\":null,\"disabled\":true,\"client_secret\":\"other\","
                 "\"retry\":{\"max_attempts\":4},\"nothing\":null}",
                 STORE_OK, "");
    check_change(&world, STORE_PATCH, "c", "{}", STORE_GONE, "id");
    check_change(&world, STORE_PATCH, "A", "{}", STORE_GONE, "id");
    check_change(&world, STORE_PATCH, "a", "{\"email\":\"B@x.org\"}", STORE_EXISTS, "email");
    check_change(&world, STORE_PATCH, "a", "{\"account_id\":\"b\"}", STORE_EXISTS, "account_id");
    check_change(&world, STORE_PATCH, "a", "{\"refresh_token\":null}", STORE_INVALID,
                 "refresh_token");
    check_change(&world, STORE_PATCH, "a", "3", STORE_INVALID, "object");
    all = world_export(&world, 10);
    check_num("note", json_array_size(json_object_get(json_array_get(all, 0), "_note")), 1);
    assert_null(json_object_get(json_array_get(all, 0), "scope"));
    check_num(
        "inner note",
        json_integer_value(json_object_get(json_object_get(json_array_get(all, 0), "retry"), "_n")),
        1);
    json_decref(all);
    set = world_load(&world, &why);
    assert_string_equal(record_of(set, "a")->refresh_token, "1");
    assert_string_equal(record_of(set, "a")->client_secret, "other");
    assert_true(record_of(set, "a")->disabled);
    check_num("attempts", record_of(set, "a")->terms->retry_max_attempts, 4);
    account_set_free(set);
    /* Names may be given away. */
    check_change(&world, STORE_PATCH, "a", "{\"account_id\":\"z\",\"email\":\"z@x.org\"}", STORE_OK,
                 "");
    check_change(&world, STORE_ADD, NULL, RECORD("a", "2"), STORE_OK, "");
    check_ids(&world, "a b z");
    world_close(&world);
}

/* Secrets for one place are not put into a record that names another one meanwhile. */
static void test_a_place_that_changed(void **state)
{
    static char id[] = "c", secret[] = "s", url[] = "https://t.example/", smtp[] = "m.example:465";
    static const struct {
        const char *key, *value;
    } rows[] = {{"client_id", "\"other\""},
                {"client_secret", "\"other\""},
                {"client_secret", "\"\""},
                {"oauth_token_url", "\"https://other.example/\""},
                {"oauth_endpoint", "\"other.example:465\""}};
    const struct store_place place = {id, secret, url, smtp};
    struct world world;
    char patch[200];

    (void)state;
    world_open(&world, location, "", false);
    for (size_t i = 0; i <= COUNT_OF(rows); i++) {
        enum store_edit_kind kind = i % 2 ? STORE_PATCH : STORE_REPLACE;
        struct store_edit edit;

        check_change(&world, STORE_REPLACE, NULL,
                     "{\"email\":\"a@x.org\",\"account_id\":\"a\",\"provider\":\"gmail\","
                     "\"client_id\":\"c\",\"client_secret\":\"s\",\"refresh_token\":\"1\","
                     "\"oauth_token_url\":\"https://t.example/\","
                     "\"oauth_endpoint\":\"m.example:465\"}",
                     STORE_OK, "");
        if (i < COUNT_OF(rows)) {
            snprintf(patch, sizeof(patch), "{\"%s\":%s}", rows[i].key, rows[i].value);
            check_change(&world, STORE_PATCH, "a", patch, STORE_OK, "");
        }
        edit = world_edit(kind, kind == STORE_PATCH ? "a" : NULL,
                          "{\"email\":\"a@x.org\",\"refresh_token\":\"2\"}");
        edit.place = &place;
        world_write(&world, &edit, 1);
        check_num(patch, edit.status, i < COUNT_OF(rows) ? STORE_CHANGED : STORE_OK);
        world_clear(&edit, 1);
    }
    world_close(&world);
}

static void check_replaced(struct world *world, const char *object, const char *id,
                           const char *replaced)
{
    struct store_edit edit = world_edit(STORE_REPLACE, NULL, object);

    world_write(world, &edit, 1);
    if (edit.status != STORE_OK)
        fail_msg("%s: %s", object, edit.why.text);
    assert_string_equal(edit.record->id, id);
    check_text(object, slice_of(edit.replaced), replaced);
    world_clear(&edit, 1);
}

static void test_replacing(void **state)
{
    struct world world;
    struct account_set *set;
    struct reason why;

    (void)state;
    world_open(&world, location, "", false);
    check_replaced(&world, RECORD("a", "1"), "a", NULL);
    check_replaced(&world, RECORD("b", "1"), "b", NULL);
    check_change(&world, STORE_PATCH, "a", "{\"disabled\":true}", STORE_OK, "");
    /* By the login: it keeps what it is not told, its id too. */
    check_replaced(&world, "{\"email\":\"A@x.org\"," REST ",\"refresh_token\":\"2\"}", "a", "a");
    set = world_load(&world, &why);
    assert_string_equal(record_of(set, "a")->refresh_token, "2");
    assert_true(record_of(set, "a")->disabled);
    account_set_free(set);
    /* By the id, and another id by the login. */
    check_replaced(&world,
                   "{\"email\":\"c@x.org\",\"account_id\":\"a\"," REST ",\"refresh_token\":\"3\"}",
                   "a", "a");
    check_replaced(&world,
                   "{\"email\":\"c@x.org\",\"account_id\":\"c\"," REST ",\"refresh_token\":\"3\"}",
                   "c", "a");
    check_change(&world, STORE_REPLACE, NULL,
                 "{\"email\":\"c@x.org\",\"account_id\":\"b\"," REST ",\"refresh_token\":\"3\"}",
                 STORE_EXISTS, "another");
    check_ids(&world, "b c");
    world_close(&world);
}

static void test_removing(void **state)
{
    struct world world;

    (void)state;
    world_open(&world, location, "", false);
    check_change(&world, STORE_REMOVE, "a", NULL, STORE_GONE, "id");
    check_change(&world, STORE_ADD, NULL, RECORD("a", "1"), STORE_OK, "");
    check_change(&world, STORE_ADD, NULL, RECORD("b", "1"), STORE_OK, "");
    check_change(&world, STORE_REMOVE, "a", NULL, STORE_OK, "");
    check_change(&world, STORE_REMOVE, "a", NULL, STORE_GONE, "id");
    check_ids(&world, "b");
    check_change(&world, STORE_REMOVE, "b", NULL, STORE_OK, "");
    check_ids(&world, "");
    world_close(&world);
}

static enum store_status remove_expected(struct world *world, const char *id, const char *token)
{
    struct store_edit edit = world_edit(STORE_REMOVE, id, NULL);

    edit.expected = slice_dup(slice_of(token));
    world_write(world, &edit, 1);
    world_clear(&edit, 1);
    return edit.status;
}

/* Only what was meant: the refresh token that somebody found dead. */
static void test_removing_what_has_a_token(void **state)
{
    struct world world;

    (void)state;
    world_open(&world, location, "", false);
    check_change(&world, STORE_ADD, NULL, RECORD("a", "1"), STORE_OK, "");
    check_num("other", remove_expected(&world, "a", "2"), STORE_CHANGED);
    check_ids(&world, "a");
    check_num("gone", remove_expected(&world, "b", "1"), STORE_GONE);
    check_num("same", remove_expected(&world, "a", "1"), STORE_OK);
    check_ids(&world, "");
    world_close(&world);
}

static void test_nulls_are_no_values(void **state)
{
    struct world world;
    json_t *all, *record;

    (void)state;
    world_open(&world, location, "", false);
    check_change(&world, STORE_ADD, NULL,
                 "{\"email\":\"a@x.org\",\"account_id\":\"a\"," REST
                 ",\"refresh_token\":\"t\",\"scope\":null,\"tenant\":\"x\",\"_n\":null}",
                 STORE_OK, "");
    check_change(&world, STORE_REPLACE, NULL,
                 "{\"email\":\"a@x.org\"," REST ",\"refresh_token\":\"t\",\"tenant\":null}",
                 STORE_OK, "");
    all = world_export(&world, 2);
    record = json_array_get(all, 0);
    assert_null(json_object_get(record, "scope"));
    assert_null(json_object_get(record, "tenant"));
    assert_true(json_is_null(json_object_get(record, "_n")));
    json_decref(all);
    world_close(&world);
}

/* Later ones see earlier ones; one that is refused stops no other. */
static void test_one_write_of_many_edits(void **state)
{
    struct store_edit edits[] = {
        world_edit(STORE_ADD, NULL, RECORD("a", "1")),
        world_edit(STORE_ADD, NULL, RECORD("a", "2")),
        world_edit(STORE_PATCH, "a", "{\"refresh_token\":\"3\"}"),
        world_edit(STORE_ADD, NULL, "{\"email\":\"bad\"}"),
        world_edit(STORE_ADD, NULL, RECORD("b", "1")),
        world_edit(STORE_REMOVE, "b", NULL),
        world_edit(STORE_PATCH, "b", "{}"),
        world_edit(STORE_REPLACE, NULL, RECORD("a", "4")),
        world_edit(STORE_ADD, NULL, RECORD("c", "1")),
    };
    static const enum store_status wants[] = {STORE_OK,      STORE_EXISTS, STORE_OK,
                                              STORE_INVALID, STORE_OK,     STORE_OK,
                                              STORE_GONE,    STORE_OK,     STORE_OK};
    struct account_set *set;
    struct reason why;
    struct world world;

    (void)state;
    world_open(&world, location, "", false);
    world_write(&world, edits, COUNT_OF(edits));
    for (size_t i = 0; i < COUNT_OF(edits); i++) {
        if (edits[i].status != wants[i])
            fail_msg("edit %zu: %d \"%s\"", i, edits[i].status, edits[i].why.text);
        if (wants[i] == STORE_OK && edits[i].kind != STORE_REMOVE)
            assert_non_null(edits[i].record);
        else
            assert_null(edits[i].record);
    }
    world_clear(edits, COUNT_OF(edits));
    set = world_load(&world, &why);
    check_num("records", (long long)set->count, 2);
    assert_string_equal(record_of(set, "a")->refresh_token, "4");
    account_set_free(set);
    world_close(&world);
}

static void test_tokens(void **state)
{
    struct world world;
    struct account_set *set;
    struct reason why;

    (void)state;
    world_open(&world, location, "", false);
    check_change(&world, STORE_ADD, NULL, RECORD("a", "1"), STORE_OK, "");
    check_num("saved", world_save(&world, "a", "1", "2", &why), STORE_OK);
    check_num("again", world_save(&world, "a", "1", "2", &why), STORE_OK);
    check_num("changed", world_save(&world, "a", "1", "3", &why), STORE_CHANGED);
    check_num("gone", world_save(&world, "b", "1", "3", &why), STORE_GONE);
    world_close(&world);
    world_open(&world, location, "", false);
    set = world_load(&world, &why);
    assert_string_equal(record_of(set, "a")->refresh_token, "2");
    account_set_free(set);
    world_close(&world);
}

/* Another process, here another store on the same data. */
static void test_changes_of_others_are_told(void **state)
{
    struct world one, two;
    struct account_set *set;
    struct reason why;

    (void)state;
    world_open(&two, location, "", false);
    check_change(&two, STORE_ADD, NULL, RECORD("a", "1"), STORE_OK, "");
    world_open(&one, location, "", true);
    account_set_free(world_load(&one, &why));
    /* Our own are not told. */
    check_change(&one, STORE_ADD, NULL, RECORD("b", "1"), STORE_OK, "");
    check_num("saved", world_save(&one, "a", "1", "2", &why), STORE_OK);
    check_num("own changes", world_rest(&one, 1500), false);
    check_change(&two, STORE_ADD, NULL, RECORD("c", "1"), STORE_OK, "");
    world_wait_changed(&one);
    set = world_load(&one, &why);
    check_num("records", (long long)set->count, 3);
    account_set_free(set);
    /* One that our own change comes upon is told too. */
    check_change(&two, STORE_ADD, NULL, RECORD("d", "1"), STORE_OK, "");
    check_change(&one, STORE_ADD, NULL, RECORD("e", "1"), STORE_OK, "");
    world_wait_changed(&one);
    world_close(&one);
    world_close(&two);
}

static void test_pages(void **state)
{
    struct world world;
    struct store_edit edits[25];
    char name[16], object[256];
    json_t *all;

    (void)state;
    world_open(&world, location, "", false);
    for (int i = 24; i >= 0; i--) {
        snprintf(name, sizeof(name), "n%02d", i);
        snprintf(object, sizeof(object),
                 "{\"email\":\"%s@x\",\"account_id\":\"%s\"," REST ",\"refresh_token\":\"t%d\"}",
                 name, name, i);
        edits[24 - i] = world_edit(STORE_ADD, NULL, object);
    }
    world_write(&world, edits, COUNT_OF(edits));
    world_clear(edits, COUNT_OF(edits));
    for (size_t limit = 1; limit < 30; limit += 4) {
        all = world_export(&world, limit);
        check_num("records", (long long)json_array_size(all), 25);
        for (int i = 0; i < 25; i++) {
            snprintf(name, sizeof(name), "t%d", i);
            assert_string_equal(
                json_string_value(json_object_get(json_array_get(all, (size_t)i), "refresh_token")),
                name);
        }
        json_decref(all);
    }
    world_close(&world);
}

static void test_merging(void **state)
{
    /* The examples of RFC 7396, appendix A, that have objects. */
    static const struct {
        const char *target, *patch, *wants;
    } rows[] = {
        {"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"a\":null}", "{}"},
        {"{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}"},
        {"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}"},
        {"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}"},
        {"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}"},
        {"{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}"},
        {"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        json_t *target = json_loads(rows[i].target, 0, NULL);
        json_t *patch = json_loads(rows[i].patch, 0, NULL);
        json_t *wants = json_loads(rows[i].wants, 0, NULL);

        edit_merge(target, patch);
        if (!json_equal(target, wants))
            fail_msg("%s + %s", rows[i].target, rows[i].patch);
        json_decref(target);
        json_decref(patch);
        json_decref(wants);
    }
}

static int set_up(void **state)
{
    (void)state;
    world_folder_begin();
    snprintf(location, sizeof(location), "%s", world_path(file_name));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return world_folder_end();
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

static int run(const char *name, const char *file)
{
    const struct CMUnitTest tests[] = {
        TEST(test_adding),
        TEST(test_ids_that_are_made),
        TEST(test_patching),
        TEST(test_a_place_that_changed),
        TEST(test_replacing),
        TEST(test_removing),
        TEST(test_removing_what_has_a_token),
        TEST(test_nulls_are_no_values),
        TEST(test_one_write_of_many_edits),
        TEST(test_tokens),
        TEST(test_changes_of_others_are_told),
        TEST(test_pages),
        TEST(test_merging),
    };

    file_name = file;
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
    json_set_alloc_funcs(wipe_malloc, wipe_free);
    assert_true(sodium_init() >= 0);
    return run("broker/store (file)", "accounts.json") +
           run("broker/store (sqlite)", "accounts.db");
}
