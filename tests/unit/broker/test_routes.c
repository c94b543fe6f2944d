/* Which route a request means, and the table itself. */
#include "broker/admin/routes.h"
#include "check.h"

struct row {
    const char *method, *path;
    const char *route; /* NULL: none */
    const char *param, *allow;
};

static const struct row rows[] = {
    {"GET", "/health", "/health", "", "GET, HEAD"},
    {"HEAD", "/health", "/health", "", "GET, HEAD"},
    {"POST", "/health", NULL, "", "GET, HEAD"},
    {"get", "/health", NULL, "", "GET, HEAD"},
    {"GET", "/health/", NULL, "", ""},
    {"GET", "/healthy", NULL, "", ""},
    {"GET", "", NULL, "", ""},
    {"GET", "/admin/log", "/admin/log", "", "GET, HEAD, PUT"},
    {"DELETE", "/admin/accounts/a%40b", "/admin/accounts/{email}", "a@b",
     "GET, HEAD, PATCH, DELETE"},
    {"GET", "/admin/accounts/a%2Fb", "/admin/accounts/{email}", "a/b", "GET, HEAD, PATCH, DELETE"},
    {"GET", "/admin/accounts/a/b", NULL, "", ""},
    {"GET", "/admin/accounts/", NULL, "", ""},
    {"POST", "/admin/accounts/x/pause", "/admin/accounts/{email}/pause", "x", "POST"},
    {"POST", "/admin/accounts//pause", NULL, "", ""},
    {"POST", "/admin/accounts/x/pause/", NULL, "", ""},
    {"GET", "/admin/accounts/{email}", "/admin/accounts/{email}", "{email}",
     "GET, HEAD, PATCH, DELETE"},
};

static void requests_find_their_route(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct row *row = &rows[i];
        struct route_match match;

        route_find(row->method, row->path, &match);
        check_text(row->path, slice_of(match.route ? match.route->path : "none"),
                   row->route ? row->route : "none");
        check_text(row->path, slice_of(match.param), row->param);
        for (const char *word = row->allow; *word; word += strspn(word, ", ")) {
            char method[16];

            slice_copy((struct slice){word, strcspn(word, ",")}, method, sizeof(method));
            if (!strstr(match.allow, method))
                fail_msg("%s: Allow: %s lacks %s", row->path, match.allow, method);
            word += strlen(method);
        }
        check_num(row->path, strlen(match.allow), strlen(row->allow));
    }
}

/* A literal path goes before one with a name, whichever comes first. */
static void literal_paths_win(void **state)
{
    struct route_match match;

    (void)state;
    route_find("DELETE", "/admin/accounts/invalid", &match);
    assert_string_equal(match.route->path, "/admin/accounts/invalid");
    assert_string_equal(match.param, "");
    route_find("GET", "/admin/accounts/invalid", &match); /* somebody of this name */
    assert_string_equal(match.route->path, "/admin/accounts/{email}");
    assert_string_equal(match.param, "invalid");
    route_find("GET", "/admin/accounts/export", &match);
    assert_string_equal(match.route->path, "/admin/accounts/export");
}

static void names_that_are_not_encoded_well(void **state)
{
    char path[2 * ROUTE_PARAM_MAX] = "/admin/accounts/";
    struct route_match match;

    (void)state;
    route_find("GET", "/admin/accounts/a%zz", &match);
    assert_true(match.route && match.bad_param);
    memset(path + strlen(path), 'x', ROUTE_PARAM_MAX);
    route_find("GET", path, &match);
    assert_true(match.route && match.bad_param);
}

static void check_route(const struct admin_route *route, void *arg)
{
    bool changes = strcmp(route->method, "GET") != 0;
    const char *brace = strchr(route->path, '{');

    (void)arg;
    if (!route->handle || !*route->summary || route->path[0] != '/')
        fail_msg("%s %s: handler, summary or path", route->method, route->path);
    if (changes && route->scope < ADMIN_WRITE)
        fail_msg("%s %s changes something, and everybody may", route->method, route->path);
    if (strncmp(route->path, "/admin/", 7) == 0 && route->scope == ADMIN_OPEN)
        fail_msg("%s %s is open", route->method, route->path);
    if (!changes && route->body_max)
        fail_msg("%s %s has a body", route->method, route->path);
    if (brace && strchr(brace + 1, '{'))
        fail_msg("%s has two names", route->path);
}

static void the_table_is_sound(void **state)
{
    (void)state;
    route_each(check_route, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_find_their_route),
        cmocka_unit_test(literal_paths_win),
        cmocka_unit_test(names_that_are_not_encoded_well),
        cmocka_unit_test(the_table_is_sound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
