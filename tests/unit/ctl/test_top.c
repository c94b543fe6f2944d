/* The screen of `bearerctl top`, from samples. */
#include <locale.h>

#include "check.h"
#include "ctl/safe.h"
#include "ctl/top.h"

static json_t *parse(const char *text)
{
    json_t *value = json_loads(text, 0, NULL);

    assert_non_null(value);
    return value;
}

static void give_status(struct top *top, long long delivered)
{
    json_t *status =
        json_pack("{s:s, s:i, s:{s:i, s:i, s:i}, s:{s:I}}", "version", "1.2.3", "uptime_seconds",
                  3700, "accounts", "total", 3, "active", 2, "blocked", 1, "counters",
                  "messages_delivered_total", (json_int_t)delivered);

    top_status(top, status);
    json_decref(status);
}

static void give_pool(struct top *top, const char *id, long long delivered, int running)
{
    json_t *pool = json_pack("{s:s, s:s, s:i, s:i, s:i, s:i, s:{s:I}}", "account_id", id, "email",
                             id, "busy", running, "idle", 1, "running", running, "waiting", 0,
                             "messages", "delivered", (json_int_t)delivered);

    top_pool(top, pool);
    json_decref(pool);
}

/* Where a text stands in the drawn screen, -1: nowhere. */
static ptrdiff_t find(const char *screen, const char *text)
{
    const char *at = strstr(screen, text);

    return at ? at - screen : -1;
}

static void shows_rates_and_sorts(void **state)
{
    struct top *top = top_new("unix:/x");
    char *screen;

    (void)state;
    give_status(top, 100);
    give_pool(top, "quiet@x", 1000000, 0);
    give_pool(top, "busy@x", 10, 0);
    give_pool(top, "running@x", 0, 2);
    top_sampled(top, 1000);
    screen = top_draw(top, 80, 24, false, 0);
    assert_true(find(screen, "running@x") < find(screen, "quiet@x"));
    free(screen);
    give_status(top, 150);
    give_pool(top, "quiet@x", 1000000, 0);
    give_pool(top, "busy@x", 60, 0);
    give_pool(top, "running@x", 0, 2);
    top_sampled(top, 3000);
    screen = top_draw(top, 80, 24, false, 0);
    assert_true(find(screen, "bearerd 1.2.3, up 1h 1m, unix:/x") >= 0);
    assert_true(find(screen, "accounts: 3, 2 active, 1 blocked") >= 0);
    assert_true(find(screen, "messages: 25.0/s, 150 delivered") >= 0);
    assert_true(find(screen, "connections: 2 busy, 3 idle") >= 0);
    assert_true(find(screen, "busy@x") >= 0);
    assert_true(find(screen, "busy@x") < find(screen, "running@x"));
    assert_true(find(screen, "running@x") < find(screen, "quiet@x"));
    assert_true(find(screen, "1,000,000") >= 0);
    free(screen);
    top_free(top);
}

static void counters_that_start_anew_are_no_rate(void **state)
{
    struct top *top = top_new("x");
    char *screen;

    (void)state;
    give_status(top, 100);
    give_pool(top, "a@x", 100, 0);
    top_sampled(top, 1000);
    give_status(top, 3);
    give_pool(top, "a@x", 3, 0);
    top_sampled(top, 2000);
    screen = top_draw(top, 80, 24, false, 0);
    assert_true(find(screen, "messages: 0.0/s") >= 0);
    free(screen);
    top_free(top);
}

static void forgets_who_is_gone(void **state)
{
    struct top *top = top_new("x");
    char *screen;

    (void)state;
    give_status(top, 0);
    give_pool(top, "gone@x", 1, 0);
    give_pool(top, "here@x", 1, 0);
    top_sampled(top, 1000);
    give_status(top, 0);
    give_pool(top, "here@x", 1, 0);
    give_pool(top, "here@x", 1, 0);
    top_sampled(top, 2000);
    screen = top_draw(top, 80, 24, false, 0);
    assert_true(find(screen, "gone@x") < 0);
    assert_true(find(screen, "here@x") >= 0);
    assert_int_equal(find(strstr(screen, "here@x") + 1, "here@x"), -1);
    free(screen);
    top_free(top);
}

/* Whatever the API says: the lines fit, and nothing in them is an order to the
 * terminal but our own. */
static void fits_any_screen(void **state)
{
    struct top *top = top_new("\x1b[2J");
    json_t *status = parse("{\"version\":\"\\u001b]0;x\\u0007\",\"accounts\":7,\"counters\":[]}");
    json_t *pool = parse("{\"account_id\":\"\\u001b[1m\",\"email\":\"\\u009b2J\\u4e2d\\u6587"
                         "\\u4e2d\\u6587\\u4e2d\\u6587\\u4e2d\\u6587\\u4e2d\\u6587\","
                         "\"busy\":1e300,\"messages\":{\"delivered\":9223372036854775807}}");

    (void)state;
    top_status(top, status);
    top_pool(top, pool);
    top_pool(top, status);
    top_sampled(top, 1000);
    top_trouble(top, "\x1b[31m cannot reach it");
    for (unsigned width = 1; width < 140; width += 3) {
        for (unsigned height = 1; height < 30; height++) {
            char *screen = top_draw(top, width, height, false, 0);
            unsigned lines = 1;

            assert_int_equal(find(screen, "\033[H"), 0);
            for (char *line = screen + 3, *end; *line; line = end + 2, lines++) {
                end = strstr(line, "\033[K");
                assert_non_null(end);
                assert_null(memchr(line, '\033', (size_t)(end - line)));
                assert_true(safe_width((struct slice){line, (size_t)(end - line)}) <= width);
                end += 3;
                if (strcmp(end, "\033[J") == 0)
                    break;
                assert_memory_equal(end, "\r\n", 2);
            }
            assert_int_equal(lines, height);
            free(screen);
        }
    }
    json_decref(status);
    json_decref(pool);
    top_free(top);
}

static void no_sample_yet(void **state)
{
    struct top *top = top_new("x");
    char *screen;

    (void)state;
    top_trouble(top, "cannot reach it");
    screen = top_draw(top, 80, 24, true, 0);
    assert_true(find(screen, "cannot reach it") >= 0);
    free(screen);
    top_free(top);
}

static void bounded(void **state)
{
    struct top *top = top_new("x");
    char id[32], *screen;

    (void)state;
    give_status(top, 0);
    for (int i = 0; i < TOP_ROWS_MAX + 5; i++) {
        snprintf(id, sizeof(id), "a%d@x", i);
        give_pool(top, id, 0, 0);
    }
    top_sampled(top, 1000);
    screen = top_draw(top, 80, 24, false, 0);
    assert_true(find(screen, "10000 of 10005 pools") >= 0);
    free(screen);
    top_free(top);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shows_rates_and_sorts),
        cmocka_unit_test(counters_that_start_anew_are_no_rate),
        cmocka_unit_test(forgets_who_is_gone),
        cmocka_unit_test(fits_any_screen),
        cmocka_unit_test(no_sample_yet),
        cmocka_unit_test(bounded),
    };

    setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
