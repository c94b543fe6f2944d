/* Requests to the loopback address of bearerctl login. */
#include "check.h"

#include "ctl/callback.h"

#define END " HTTP/1.1\r\nHost: localhost:1\r\n\r\n"

static void test_requests(void **state)
{
    static const struct {
        const char *head;
        enum callback wants;
        const char *target;
    } rows[] = {
        {"GET /?code=a&state=s" END, CALLBACK_OURS, "/?code=a&state=s"},
        {"GET /?state=s&error=access_denied" END, CALLBACK_OURS, "/?state=s&error=access_denied"},
        {"GET /?code=a&state=s HTTP/1.0\n\n", CALLBACK_OURS, "/?code=a&state=s"},
        {"GET /?code=a&state=x" END, CALLBACK_STATE, NULL},
        {"GET /?code=a&state=ss" END, CALLBACK_STATE, NULL},
        {"GET /?code=a&state=" END, CALLBACK_STATE, NULL},
        {"GET /?code=a&xstate=s" END, CALLBACK_STATE, NULL},
        {"GET /?code=a&state=x&state=s" END, CALLBACK_STATE, NULL},
        {"GET /?code=a" END, CALLBACK_STATE, NULL},
        {"GET /" END, CALLBACK_OTHER, NULL},
        {"GET /?" END, CALLBACK_OTHER, NULL},
        {"GET /favicon.ico" END, CALLBACK_OTHER, NULL},
        {"GET /x?code=a&state=s" END, CALLBACK_OTHER, NULL},
        {"POST /?code=a&state=s" END, CALLBACK_INVALID, NULL},
        {"HEAD /?code=a&state=s" END, CALLBACK_INVALID, NULL},
        {"GET http://localhost/?code=a&state=s" END, CALLBACK_INVALID, NULL},
        {"GET /?code=a&state=s\r\n\r\n", CALLBACK_INVALID, NULL},
        {"GET /?code=a&state=s FTP/1.1\r\n\r\n", CALLBACK_INVALID, NULL},
        {"GET /?code=\x1b&state=s" END, CALLBACK_INVALID, NULL},
        {"\r\n\r\n", CALLBACK_INVALID, NULL},
        {"", CALLBACK_MORE, NULL},
        {"GET /?code=a&state=s HTTP/1.1\r\n", CALLBACK_MORE, NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char *copy = exact_copy(slice_of(rows[i].head));
        struct slice target = SLICE_NONE;

        check_num(rows[i].head,
                  callback_read((struct slice){copy, strlen(rows[i].head)}, "/", "s", &target),
                  rows[i].wants);
        if (rows[i].target)
            check_slice(rows[i].head, target, slice_of(rows[i].target));
        free(copy);
    }
}

static void test_a_head_without_end(void **state)
{
    char *head = malloc(CALLBACK_HEAD_MAX);
    struct slice target;

    (void)state;
    assert_non_null(head);
    memset(head, 'x', CALLBACK_HEAD_MAX);
    assert_int_equal(callback_read((struct slice){head, CALLBACK_HEAD_MAX - 1}, "/", "s", &target),
                     CALLBACK_MORE);
    assert_int_equal(callback_read((struct slice){head, CALLBACK_HEAD_MAX}, "/", "s", &target),
                     CALLBACK_INVALID);
    free(head);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_a_head_without_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
