/* Which accounts a request is about: the query's state, provider, domain, q, email,
 * limit and after; or the same keys of a JSON body. */
#pragma once

#include <jansson.h>

#include "broker/account.h"

struct admin_request;

struct filter {
    bool any;                                  /* something was asked for */
    int state;                                 /* -1: any */
    const char *provider, *domain, *q, *email; /* NULL: any; the request's */
    uint64_t limit, after;
};

/* False: something is wrong with it, and 400 was replied. */
bool filter_read(struct filter *filter, struct admin_request *request, uint64_t limit_default,
                 uint64_t limit_max);
bool filter_read_json(struct filter *filter, struct admin_request *request, const json_t *body);
bool filter_matches(const struct filter *filter, const struct account *account);
/* What a page calls its end. */
json_t *filter_cursor(uint64_t serial);
