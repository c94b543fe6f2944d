#include "ctl/pages.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/wipe.h"
#include "ctl/out.h"

#define PAGE "1000"
#define CURSOR_MAX 1024

static int get_page(struct api *api, const char *base, const char *cursor, const char *list,
                    json_t **page)
{
    char memory[API_PATH_MAX];
    struct text path;
    int rc;

    text_init(&path, memory, sizeof(memory));
    text_add_str(&path, base);
    path_query(&path, "limit", PAGE);
    path_query(&path, "after", *cursor ? cursor : NULL);
    rc = api_call(api, "GET", path.at, NULL, page);
    if (rc == CTL_OK && !json_is_array(json_object_get(*page, list))) {
        rc = ctl_fail("the answer of bearerd at %s has no list \"%s\"", api_shown(api), list);
        json_decref(*page);
        *page = NULL;
    }
    return rc;
}

/* Moves on; false behind the last page. A cursor that stays would never end. */
static bool next_page(const json_t *page, char *cursor)
{
    const char *next = get_text(page, "next");

    if (!*next || strcmp(next, cursor) == 0)
        return false;
    return slice_copy(slice_of(next), cursor, CURSOR_MAX);
}

static bool walk_page(const json_t *page, const char *list, pages_each *each, void *owner)
{
    const json_t *items = json_object_get(page, list), *item;
    size_t index;

    json_array_foreach(items, index, item)
    {
        if (!each(owner, item))
            return false;
    }
    return !ferror(stdout);
}

int pages_walk(struct api *api, const char *path, const char *list, pages_each *each, void *owner,
               json_t **first)
{
    char cursor[CURSOR_MAX] = "";
    bool more = true;
    json_t *page;

    while (more) {
        int rc = get_page(api, path, cursor, list, &page);

        if (rc != CTL_OK)
            return rc;
        more = walk_page(page, list, each, owner) && next_page(page, cursor);
        if (first && !*first) {
            json_object_del(page, list);
            *first = json_incref(page);
        }
        json_decref(page);
    }
    return CTL_OK;
}

struct printing {
    const char *list;
    size_t items;
};

static size_t item_flags(void)
{
    return JSON_COMPACT | (isatty(STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0);
}

static bool print_item(void *owner, const json_t *item)
{
    struct printing *printing = owner;

    if (!printing->items++)
        printf("{\n  \"%s\": [", printing->list);
    else
        putchar(',');
    fputs("\n    ", stdout);
    json_dumpf(item, stdout, item_flags() | JSON_ENCODE_ANY);
    return true;
}

int pages_print(struct api *api, const char *path, const char *list)
{
    struct printing printing = {list, 0};
    json_t *first = NULL, *value;
    const char *key;
    int rc = pages_walk(api, path, list, print_item, &printing, &first);

    if (rc != CTL_OK) {
        json_decref(first);
        return rc;
    }
    if (!printing.items)
        printf("{\n  \"%s\": [", list);
    fputs(printing.items ? "\n  ]" : "]", stdout);
    json_object_foreach(first, key, value)
    {
        if (strcmp(key, "next") == 0)
            continue;
        printf(",\n  ");
        json_t *name = json_string(key);

        json_dumpf(name, stdout, item_flags() | JSON_ENCODE_ANY);
        printf(": ");
        json_dumpf(value, stdout, item_flags() | JSON_ENCODE_ANY);
        json_decref(name);
    }
    puts("\n}");
    json_decref(first);
    return out_flush();
}
