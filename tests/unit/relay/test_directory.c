/* Logins: finding, replacing, states, remembered passwords, live clients, and
 * all of it from several threads. */
#include "check.h"

#include <sodium.h>
#include <stdio.h>

#include "relay/directory.h"

static struct directory *directory;

static struct ipc_account account(const char *id, const char *login, uint64_t generation)
{
    return (struct ipc_account){.id = slice_of(id),
                                .login = slice_of(login),
                                .provider = SLICE("gmail"),
                                .generation = generation,
                                .has_password = 1};
}

static void put(const char *id, const char *login, uint64_t generation)
{
    struct ipc_account message = account(id, login, generation);

    directory_put(directory, &message);
}

static void set_state(const char *id, uint64_t generation, enum account_state state, uint64_t until)
{
    struct ipc_state message = {.id = slice_of(id),
                                .generation = generation,
                                .state = state,
                                .until_wall_ms = until,
                                .text = SLICE("because")};

    directory_state(directory, &message);
}

static void check_found(const char *name, const char *id)
{
    struct login *login = directory_find(directory, slice_of(name));

    if (!id)
        assert_null(login);
    else if (!login)
        fail_msg("%s is not found", name);
    else
        check_text(name, slice_of(login->id), id);
    login_unref(login);
}

static void test_find(void **state)
{
    (void)state;
    put("1", "One@Example.com", 1);
    put("2", "two@example.com", 1);
    check_found("one@example.com", "1");
    check_found("ONE@EXAMPLE.COM", "1");
    check_found("two@example.com", "2");
    check_found("three@example.com", NULL);
    check_found("", NULL);
    directory_remove(directory, SLICE("1"));
    directory_remove(directory, SLICE("1"));
    check_found("one@example.com", NULL);
}

static void test_replaced(void **state)
{
    struct login *old;

    (void)state;
    put("1", "old@x", 1);
    put("2", "two@x", 1);
    old = directory_find(directory, SLICE("old@x"));
    put("1", "new@x", 2); /* another login of the same account */
    assert_true(atomic_load(&old->removed));
    check_text("still whole", slice_of(old->name), "old@x");
    login_unref(old);
    check_found("old@x", NULL);
    check_found("new@x", "1");
    put("1", "two@x", 3); /* takes another account's login */
    check_found("two@x", "1");
    check_found("new@x", NULL);
    directory_remove(directory, SLICE("2"));
    check_found("two@x", "1");
}

/* Who has to be told is whoever holds a login that is no longer right. */
static void test_same_account_again(void **state)
{
    struct ipc_account same = account("1", "One@x", 1), other;
    struct login *held;

    (void)state;
    assert_false(directory_put(directory, &same));
    held = directory_find(directory, SLICE("one@x"));
    login_remember_password(directory, held, SLICE("p"));
    same.max_connections = 9; /* no matter of clients */
    assert_false(directory_put(directory, &same));
    assert_false(atomic_load(&held->removed));
    login_unref(held);
    held = directory_find(directory, SLICE("one@x"));
    assert_true(login_password_remembered(directory, held, SLICE("p")));
    other = same;
    other.has_password = 0;
    assert_true(directory_put(directory, &other));
    assert_true(atomic_load(&held->removed));
    assert_false(directory_put(directory, &same)); /* nobody holds the last one */
    login_unref(held);
    held = directory_find(directory, SLICE("one@x"));
    other = account("2", "ONE@x", 1);
    assert_true(directory_put(directory, &other)); /* the same name is another account's */
    assert_true(atomic_load(&held->removed));
    login_unref(held);
    held = directory_find(directory, SLICE("one@x"));
    assert_true(directory_remove(directory, SLICE("2")));
    assert_false(directory_remove(directory, SLICE("2")));
    login_unref(held);
}

static void test_long_name(void **state)
{
    char name[IPC_ID_MAX + 50];

    (void)state;
    memset(name, 'a', sizeof(name));
    assert_null(directory_find(directory, (struct slice){name, sizeof(name)}));
    assert_null(directory_find(directory, (struct slice){name, IPC_ID_MAX}));
}

static void test_states(void **state)
{
    struct login *login;
    char text[IPC_TEXT_MAX + 1] = "";

    (void)state;
    put("1", "one@x", 7);
    login = directory_find(directory, SLICE("one@x"));
    check_num("new", login_state(login, 1000, text, sizeof(text)), ACCOUNT_ACTIVE);
    set_state("1", 6, ACCOUNT_BLOCKED, 0); /* of an older one */
    check_num("old", login_state(login, 1000, text, sizeof(text)), ACCOUNT_ACTIVE);
    set_state("1", 7, ACCOUNT_PARKED, 2000);
    check_num("parked", login_state(login, 1000, text, sizeof(text)), ACCOUNT_PARKED);
    check_text("text", slice_of(text), "because");
    check_num("over", login_state(login, 2000, text, sizeof(text)), ACCOUNT_ACTIVE);
    set_state("1", 7, ACCOUNT_NEEDS_CONSENT, 0);
    check_num("for good", login_state(login, UINT64_MAX, text, sizeof(text)),
              ACCOUNT_NEEDS_CONSENT);
    set_state("nobody", 7, ACCOUNT_BLOCKED, 0);
    login_unref(login);
}

static void test_remembered_password(void **state)
{
    struct login *login;

    (void)state;
    put("1", "one@x", 1);
    login = directory_find(directory, SLICE("one@x"));
    assert_false(login_password_remembered(directory, login, SLICE("secret")));
    assert_false(login_password_remembered(directory, login, SLICE("")));
    login_remember_password(directory, login, SLICE("secret"));
    assert_true(login_password_remembered(directory, login, SLICE("secret")));
    assert_false(login_password_remembered(directory, login, SLICE("Secret")));
    assert_false(login_password_remembered(directory, login, SLICE("secre")));
    login_unref(login);
    put("1", "one@x", 2); /* changed: nothing is remembered */
    login = directory_find(directory, SLICE("one@x"));
    assert_false(login_password_remembered(directory, login, SLICE("secret")));
    login_unref(login);
}

static void test_live_clients(void **state)
{
    struct login *login;
    char client[32];

    (void)state;
    put("1", "one@x", 1);
    login = directory_find(directory, SLICE("one@x"));
    assert_false(login_is_live(login, "10.0.0.1", 100));
    login_set_live(login, "10.0.0.1", 100, 600);
    assert_true(login_is_live(login, "10.0.0.1", 699));
    assert_false(login_is_live(login, "10.0.0.2", 200));
    assert_false(login_is_live(login, "10.0.0.1", 700));
    assert_int_equal(atomic_load(&login->live_count), 0);
    /* More than there is room for: the newest are known. */
    for (unsigned i = 0; i < 3 * LOGIN_LIVE_MAX; i++) {
        snprintf(client, sizeof(client), "10.0.1.%u", i);
        login_set_live(login, client, 1000 + i, 600);
        assert_true(login_is_live(login, client, 1100));
    }
    assert_false(login_is_live(login, "10.0.1.0", 1100));
    login_unref(login);
}

static void *read_much(void *arg)
{
    char text[IPC_TEXT_MAX + 1];

    for (unsigned i = 0; i < 5000; i++) {
        struct login *login = directory_find(directory, SLICE("shared@x"));

        if (!login)
            continue;
        login_state(login, i, text, sizeof(text));
        login_set_live(login, arg, i, 10);
        login_is_live(login, arg, i);
        if (i % 50 == 0)
            login_remember_password(directory, login, SLICE("p"));
        login_unref(login);
    }
    return NULL;
}

static void test_from_several_threads(void **state)
{
    static char names[2][8] = {"one", "two"};
    pthread_t threads[2];

    (void)state;
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, read_much, names[i]);
    for (unsigned i = 0; i < 2000; i++) {
        put("s", "shared@x", i);
        set_state("s", i, ACCOUNT_PARKED, i);
        if (i % 7 == 0)
            directory_remove(directory, SLICE("s"));
    }
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
}

static int set_up(void **state)
{
    (void)state;
    assert_true(sodium_init() >= 0);
    directory = directory_new();
    return directory ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    directory_free(directory);
    return 0;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_find),
        TEST(test_replaced),
        TEST(test_same_account_again),
        TEST(test_long_name),
        TEST(test_states),
        TEST(test_remembered_password),
        TEST(test_live_clients),
        TEST(test_from_several_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
