/* Who is warned of secrets that end, and how often. */
#include "broker/token_world.h"

#include <stdio.h>

#include "base/date.h"
#include "broker/secret_expiry.h"

#define DAY 86400000ull

static struct secret_expiry expiry;
static uint64_t wall_ms;

struct list_of {
    size_t count, accounts;
    char ids[256];
};

static void see(const struct expiring *one, void *arg)
{
    struct list_of *list = arg;
    size_t len = strlen(list->ids);

    list->count++;
    list->accounts += one->accounts;
    snprintf(list->ids + len, sizeof(list->ids) - len, "%s ", one->client_id);
}

static struct list_of ending(uint64_t ahead_days)
{
    struct list_of list = {0, 0, ""};

    secret_expiry_each(&expiry, wall_ms, ahead_days * DAY, see, &list);
    return list;
}

/* So many days from the test's today, as a record has it. */
static void day_in(int days, char out[DATE_TEXT])
{
    date_format(wall_ms + (uint64_t)days * DAY, out);
    out[10] = '\0';
}

static void add_account(struct text *json, int number, const char *client, int days)
{
    char day[DATE_TEXT];

    day_in(days, day);
    text_addf(json,
              "%s{\"email\":\"u%d@x\",\"provider\":\"outlook\",\"client_id\":\"%s\","
              "\"client_secret\":\"s\",\"refresh_token\":\"rt\",\"client_secret_expires\":\"%s\"}",
              json->len > 1 ? "," : "", number, client, day);
}

static void apply_days(const int *days, const char *const *clients, size_t count)
{
    char memory[4096];
    struct text json;

    text_init(&json, memory, sizeof(memory));
    text_add_char(&json, '[');
    for (size_t i = 0; i < count; i++)
        add_account(&json, (int)i, clients[i], days[i]);
    text_add_char(&json, ']');
    apply(memory);
    secret_expiry_update(&expiry, wall_ms);
}

static int set_up(void **state)
{
    int failed = world_set_up(state);

    wall_ms = clock_wall_ms() - clock_wall_ms() % DAY; /* midnight */
    secret_expiry_init(&expiry, &world_loop, &registry);
    return failed;
}

static int tear_down(void **state)
{
    secret_expiry_clear(&expiry);
    return world_tear_down(state);
}

static void test_what_is_near_is_gathered(void **state)
{
    static const int days[] = {40, 20, 20, 5, 0, 20};
    static const char *const clients[] = {"far", "a", "a", "b", "over", "c"};
    struct list_of list;

    (void)state;
    apply_days(days, clients, COUNT_OF(days));
    list = ending(30);
    check_num("entries", (long long)list.count, 4);
    check_num("accounts", (long long)list.accounts, 5);
    assert_int_equal(strncmp(list.ids, "over b ", 7), 0); /* soonest first */
    check_num("within a week", (long long)ending(7).count, 2);
    check_num("over", (long long)ending(0).count, 1);
}

static unsigned stage_of(const char *client)
{
    for (const struct expiring *one = expiry.all; one; one = one->hh.next) {
        if (strcmp(one->client_id, client) == 0)
            return one->told;
    }
    return 0;
}

static void test_each_stage_once(void **state)
{
    static const int days[] = {40};
    static const char *const clients[] = {"a"};
    static const struct {
        int day;
        unsigned stage;
    } rows[] = {{0, 0}, {9, 0}, {10, 1}, {25, 1}, {33, 2}, {38, 2}, {39, 3}, {40, 4}, {90, 4}};
    uint64_t start;

    (void)state;
    start = wall_ms;
    apply_days(days, clients, 1);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        wall_ms = start + (uint64_t)rows[i].day * DAY;
        for (int hour = 0; hour < 3; hour++)
            secret_expiry_update(&expiry, wall_ms);
        check_num("stage", stage_of("a"), rows[i].stage);
    }
}

static void test_a_new_secret_ends_it(void **state)
{
    static const int soon[] = {3}, late[] = {300};
    static const char *const clients[] = {"a"};

    (void)state;
    apply_days(soon, clients, 1);
    check_num("warned", stage_of("a"), 2);
    apply_days(late, clients, 1);
    check_num("all is well", (long long)ending(30).count, 0);
    assert_null(expiry.all);
}

static void test_applications_without_accounts(void **state)
{
    char day[DATE_TEXT];

    (void)state;
    day_in(6, day);
    assert_true(conf_set(conf, "apps.idle.client_id", "idle-id", NULL));
    assert_true(conf_set(conf, "apps.idle.secret_expires", day, NULL));
    secret_expiry_update(&expiry, wall_ms);
    check_num("entries", (long long)ending(7).count, 1);
    assert_string_equal(expiry.all->app, "idle");
    check_num("accounts", (long long)expiry.all->accounts, 0);
}

#undef TEST
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_near_is_gathered),
        TEST(test_each_stage_once),
        TEST(test_a_new_secret_ends_it),
        TEST(test_applications_without_accounts),
    };

    return world_start() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
