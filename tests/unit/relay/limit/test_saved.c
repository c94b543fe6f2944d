/* What was sent, as text and back. */
#include "check.h"

#include "relay/limit/saved.h"

#define MINUTE 60000ull
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define START (48 * HOUR)

static const uint32_t all[LIMITS] = {30, 500, 2000, 10000};

static struct limits make(void)
{
    struct limits limits = {.flying = 0};

    assert_true(limits_set(&limits, all));
    return limits;
}

static void send_one(struct limits *limits, uint64_t now, uint64_t recipients)
{
    limits_begin(limits, recipients);
    limits_end(limits, now, recipients, true, recipients);
}

static void check_used(struct limits *limits, uint64_t now, const uint64_t used[LIMITS])
{
    for (size_t i = 0; i < LIMITS; i++)
        check_num(limit_names[i], (long long)limits_used(limits, now, (enum limit)i),
                  (long long)used[i]);
}

static char memory[SAVED_MAX];

static struct slice save(struct limits *limits, uint64_t now)
{
    struct text text;

    text_init(&text, memory, sizeof(memory));
    limits_save(limits, now, &text);
    assert_false(text.cut);
    return (struct slice){text.at, text.len};
}

static void test_there_and_back(void **state)
{
    struct limits from = make(), to = make();
    struct slice text;

    (void)state;
    check_num("nothing", (long long)save(&from, START).len, 0);
    send_one(&from, START, 3);
    send_one(&from, START + 5 * HOUR, 2);
    send_one(&from, START + 5 * HOUR + 40000, 1);
    send_one(&from, START + 5 * HOUR + 40000, 1);
    text = save(&from, START + 5 * HOUR + 45500);
    assert_true(limits_restore(&to, 777, text, 10000, SAVED_NOTHING));
    check_used(&to, 777, (const uint64_t[]){3, 3, 4, 7});
    check_used(&to, 777 + 7000, (const uint64_t[]){2, 3, 4, 7});
    check_used(&to, 777 + 2 * HOUR, (const uint64_t[]){0, 0, 4, 7});
    check_used(&to, 777 + 19 * HOUR + 30 * MINUTE, (const uint64_t[]){0, 0, 3, 4});
    limits_clear(&from);
    limits_clear(&to);
}

static void test_what_flies_ends_when_it_was_lost(void **state)
{
    struct limits from = make(), to = make(), clean = make();
    struct slice text;

    (void)state;
    limits_begin(&from, 4);
    text = save(&from, START);
    check_text("text", text, "f1,4");
    assert_true(limits_restore(&to, START, text, 2 * MINUTE, 30000));
    check_used(&to, START, (const uint64_t[]){1 + 3, 1 + 25, 1 + 20, 4 + 100});
    check_used(&to, START + 31000, (const uint64_t[]){0, 26, 21, 104});
    assert_true(limits_restore(&clean, START, text, 2 * MINUTE, SAVED_NOTHING));
    check_used(&clean, START, (const uint64_t[]){1, 1, 1, 4});
    limits_clear(&to);
    limits_clear(&clean);
    limits_clear(&from);
}

static void test_only_limits_that_there_are(void **state)
{
    const uint32_t minute[LIMITS] = {5, 0, 0, 0};
    struct limits from = make(), to = {.flying = 0};

    (void)state;
    send_one(&from, START, 1);
    assert_true(limits_set(&to, minute));
    assert_true(limits_restore(&to, START, save(&from, START), 0, 0));
    check_used(&to, START, (const uint64_t[]){2, 0, 0, 0}); /* and one that may be missing */
    check_num("a tenth", (long long)limits_unsaved_most(&from, LIMIT_MINUTE), 3);
    check_num("at least one", (long long)limits_unsaved_most(&to, LIMIT_MINUTE), 1);
    assert_true(limits_unsaved_most(&to, LIMIT_DAY) == UINT64_MAX);
    limits_clear(&from);
    limits_clear(&to);
}

static void test_longest_text_fits(void **state)
{
    struct limits limits = make();
    uint64_t now = START;

    (void)state;
    for (uint64_t t = now; t <= now + DAY + HOUR; t += 1000) {
        for (size_t i = 0; i < LIMITS; i++)
            window_add(limits.windows[i], t, 1000000);
    }
    limits.flying = limits.flying_recipients = UINT64_MAX;
    assert_true(save(&limits, now + DAY + HOUR).len > 2000);
    limits.flying = limits.flying_recipients = 0;
    limits_clear(&limits);
}

static void test_other_texts(void **state)
{
    static const char *const bad[] = {"x",
                                      "m",
                                      "m1",
                                      "m1:",
                                      "m:1",
                                      "m1:2,",
                                      "m1:2,x",
                                      "f",
                                      "f1",
                                      "f1,",
                                      "m1:2 h",
                                      "m-1:2",
                                      "m1:2m1:",
                                      "m1:2;d",
                                      "f1,2f3",
                                      "m1 :2",
                                      "M1:2",
                                      "m1:2\n",
                                      "m9999999999999:1",
                                      "m1:99999999999999999999999"};
    static const char *const good[] = {"", "m1:2", "m1:2,3:4h5:6f1,2", "d0:1d0:1", "m86400:1"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad) + COUNT_OF(good); i++) {
        struct slice text = slice_of(i < COUNT_OF(bad) ? bad[i] : good[i - COUNT_OF(bad)]);
        struct limits limits = make();
        char *copy = exact_copy(text);

        if (limits_restore(&limits, START, (struct slice){copy, text.len}, 0, SAVED_NOTHING) !=
            (i >= COUNT_OF(bad)))
            fail_msg("\"%s\"", text.ptr);
        free(copy);
        limits_clear(&limits);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_what_flies_ends_when_it_was_lost),
        cmocka_unit_test(test_only_limits_that_there_are),
        cmocka_unit_test(test_longest_text_fits),
        cmocka_unit_test(test_other_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
