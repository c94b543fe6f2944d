/* The long lists of the API, a page a time. */
#pragma once

#include "ctl/api.h"

/* Calls for each item of the member `list` of all pages of `path`, which may
 * have a query. False stops without a word: CTL_OK. `first`, if not NULL,
 * becomes the first page without its list: the counts that stand beside it. */
typedef bool pages_each(void *owner, const json_t *item);
int pages_walk(struct api *api, const char *path, const char *list, pages_each *each, void *owner,
               json_t **first);
/* All pages as one JSON document: what the API would have said at once. */
int pages_print(struct api *api, const char *path, const char *list);
