/* Where the API is: URLs, and whether they are this machine. */
#include "check.h"
#include "ctl/place.h"

static void urls(void **state)
{
    static const struct {
        const char *text, *url, *socket;
        bool https, loopback;
    } rows[] = {
        {"http://127.0.0.1:9090", "http://127.0.0.1:9090", NULL, false, true},
        {"http://127.0.0.1:9090/", "http://127.0.0.1:9090", NULL, false, true},
        {"http://localhost", "http://localhost", NULL, false, true},
        {"HTTP://LOCALHOST:1", "http://LOCALHOST:1", NULL, false, true},
        {"http://[::1]:9090", "http://[::1]:9090", NULL, false, true},
        {"http://127.9.9.9", "http://127.9.9.9", NULL, false, true},
        {"http://2130706433:9", "http://127.0.0.1:9", NULL, false, true},
        {"http://10.0.0.1:9090", "http://10.0.0.1:9090", NULL, false, false},
        {"http://[::2]:9090", "http://[::2]:9090", NULL, false, false},
        {"http://localhost.example.com", "http://localhost.example.com", NULL, false, false},
        {"http://127.0.0.1.example.com", "http://127.0.0.1.example.com", NULL, false, false},
        {"https://relay.example.com", "https://relay.example.com", NULL, true, false},
        {"https://relay.example.com/bearerd/", "https://relay.example.com/bearerd", NULL, true,
         false},
        {"unix:/run/b.sock", "http://localhost", "/run/b.sock", false, true},
        {"unix:///run/b.sock", "http://localhost", "/run/b.sock", false, true},
        {"unix:b.sock", "http://localhost", "b.sock", false, true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct place place = {NULL};
        struct reason why;

        if (!place_parse(&place, rows[i].text, &why))
            fail_msg("%s: %s", rows[i].text, why.text);
        check_text(rows[i].text, slice_of(place.url), rows[i].url);
        check_text(rows[i].text, slice_of(place.socket), rows[i].socket);
        check_num(rows[i].text, place.https, rows[i].https);
        check_num(rows[i].text, place.loopback, rows[i].loopback);
        place_clear(&place);
    }
}

static void no_urls(void **state)
{
    static const char *const rows[] = {
        "",
        "localhost:9090",
        "127.0.0.1",
        "ftp://localhost",
        "http://",
        "http://u@localhost",
        "http://u:p@localhost",
        "http://localhost?x=1",
        "unix:",
        "http://localhost#x",
        "file:///etc/passwd",
        "http://local host",
        "unix:/"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaa",
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct place place = {NULL};
        struct reason why = {""};

        if (place_parse(&place, rows[i], &why))
            fail_msg("%s: was accepted as %s", rows[i], place.url);
        if (!why.text[0])
            fail_msg("%s: no reason", rows[i]);
        place_clear(&place);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls),
        cmocka_unit_test(no_urls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
