/* Prints the routes of the admin API for tools/api-docs: method, path, scope,
 * largest body, parameters of the query ("*": any), summary. */
#include <stdio.h>

#include "broker/admin/routes.h"

static void print_route(const struct admin_route *route, void *arg)
{
    static const char *const scopes[] = {[ADMIN_OPEN] = "open",
                                         [ADMIN_READ] = "read",
                                         [ADMIN_WRITE] = "write",
                                         [ADMIN_OWNER] = "owner"};

    (void)arg;
    printf("%s\t%s\t%s\t%zu\t%s\t%s\n", route->method, route->path, scopes[route->scope],
           route->body_max, route->query ? route->query : "*", route->summary);
}

int main(void)
{
    route_each(print_route, NULL);
    return 0;
}
