/* Single changes of accounts, as the store reports them: what keeps its token and
 * what starts anew. */
#include "broker/token_world.h"

#define REST "\"provider\":\"outlook\",\"client_id\":\"c\",\"refresh_token\":\"rt\""

static struct account_record *record_of(const char *text)
{
    struct problems problems = {NULL, 0, 0, 0, 0};
    json_t *object = json_loads(text, 0, NULL);
    struct account_record *record;
    struct reason why;

    assert_non_null(object);
    record = record_parse(object, conf, "test", &problems, &why);
    if (!record)
        fail_msg("%s: %s", text, why.text);
    json_decref(object);
    return record;
}

static struct account *apply_edit(enum store_edit_kind kind, const char *id, const char *replaced,
                                  const char *record)
{
    struct store_edit edit = {.kind = kind, .status = STORE_OK};
    struct account *account;

    edit.id = id ? slice_dup(slice_of(id)) : NULL;
    edit.replaced = replaced ? slice_dup(slice_of(replaced)) : NULL;
    edit.record = record ? record_of(record) : NULL;
    account = registry_apply_edit(&registry, &edit);
    assert_null(edit.record);
    free(edit.id);
    free(edit.replaced);
    return account;
}

static size_t count(void)
{
    return registry_count(&registry);
}

static void test_adding(void **state)
{
    struct account *account;

    (void)state;
    account =
        apply_edit(STORE_ADD, NULL, NULL, "{\"email\":\"A@x\",\"account_id\":\"a\"," REST "}");
    assert_ptr_equal(account, account_named("a"));
    assert_ptr_equal(account, registry_by_login(&registry, SLICE("a@X")));
    respond(200, GOOD); /* it asks for its token at once */
    assert_true(token_valid(account));
}

static void test_refused_edits_change_nothing(void **state)
{
    struct store_edit edit = {.kind = STORE_REMOVE, .id = (char[]){"u0"}, .status = STORE_GONE};

    (void)state;
    apply_accounts(1, "");
    assert_null(registry_apply_edit(&registry, &edit));
    check_num("accounts", (long long)count(), 1);
}

static void test_patching(void **state)
{
    struct account *account;
    uint64_t generation;

    (void)state;
    apply_accounts(2, "");
    respond_all(200, GOOD);
    account = account_named("u0");
    generation = account->generation;
    /* Nothing that concerns the token or the connections. */
    assert_ptr_equal(apply_edit(STORE_PATCH, "u0", NULL,
                                "{\"email\":\"u0@x\",\"account_id\":\"u0\",\"bdat\":\"off\"," REST
                                "}"),
                     account);
    assert_true(token_valid(account));
    check_num("generation", (long long)account->generation, (long long)generation);
    apply_edit(STORE_PATCH, "u0", NULL,
               "{\"email\":\"u0@x\",\"account_id\":\"u0\",\"disabled\":true," REST "}");
    check_num("state", account_state(account), ACCOUNT_DISABLED);
    /* Other credentials. */
    apply_edit(STORE_PATCH, "u0", NULL,
               "{\"email\":\"u0@x\",\"account_id\":\"u0\",\"provider\":\"outlook\","
               "\"client_id\":\"c\",\"refresh_token\":\"other\"}");
    assert_false(token_valid(account));
    assert_true(account->generation > generation);
    assert_true(token_valid(account_named("u1")));
}

static void test_another_id(void **state)
{
    (void)state;
    apply_accounts(1, "");
    assert_non_null(apply_edit(STORE_PATCH, "u0", NULL,
                               "{\"email\":\"u0@x\",\"account_id\":\"new\"," REST "}"));
    check_num("accounts", (long long)count(), 1);
    assert_null(registry_by_id(&registry, SLICE("u0")));
    assert_non_null(apply_edit(STORE_REPLACE, NULL, "new",
                               "{\"email\":\"other@x\",\"account_id\":\"newer\"," REST "}"));
    check_num("accounts", (long long)count(), 1);
    assert_null(registry_by_login(&registry, SLICE("u0@x")));
}

/* The mailbox is another one: nothing of the old one's stays. */
static void test_another_login(void **state)
{
    (void)state;
    apply_accounts(1, "");
    respond_all(200, GOOD);
    assert_false(token_valid(
        apply_edit(STORE_PATCH, "u0", NULL, "{\"email\":\"z@x\",\"account_id\":\"u0\"," REST "}")));
    check_num("accounts", (long long)count(), 1);
    assert_non_null(registry_by_login(&registry, SLICE("z@x")));
}

static void test_removing(void **state)
{
    (void)state;
    apply_accounts(2, "");
    assert_null(apply_edit(STORE_REMOVE, "u0", NULL, NULL));
    check_num("accounts", (long long)count(), 1);
    assert_null(apply_edit(STORE_REMOVE, "u0", NULL, NULL)); /* a reload was faster */
    check_num("accounts", (long long)count(), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_adding),        TEST(test_refused_edits_change_nothing),
        TEST(test_patching),      TEST(test_another_id),
        TEST(test_another_login), TEST(test_removing),
    };

    if (!world_start())
        return 1;
    return cmocka_run_group_tests_name("broker/registry", tests, NULL, NULL);
}
