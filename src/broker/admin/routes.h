/* All routes of the admin API, and which one a request means. */
#pragma once

#include "broker/admin/request.h"

/* Each ends with a row whose method is NULL. */
extern const struct admin_route admin_routes[];         /* routes.c */
extern const struct admin_route admin_account_routes[]; /* accounts.c */

#define ROUTE_PARAM_MAX 768 /* encoded: three octets for each of an e-mail's */
#define ROUTE_ALLOW_MAX 96

struct route_match {
    const struct admin_route *route; /* NULL: none has path and method */
    char param[ROUTE_PARAM_MAX];     /* {name}, decoded */
    char allow[ROUTE_ALLOW_MAX];     /* methods that the path has; "" an unknown path */
    bool bad_param;                  /* {name} is not encoded well */
};

/* A path without {name} goes before one with it. HEAD is GET. */
void route_find(const char *method, const char *path, struct route_match *match);
/* Calls once per route. */
void route_each(void (*each)(const struct admin_route *route, void *arg), void *arg);
