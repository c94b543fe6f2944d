#include "broker/store/file_pages.h"

#include <stdlib.h>

#include "base/clock.h"

#define KEEP_MS 10000

struct page_name {
    char *id;
    size_t record;
};

static int by_name(const void *a, const void *b)
{
    const struct page_name *left = a, *right = b;
    int order = strcmp(left->id, right->id);

    if (order)
        return order;
    return left->record < right->record ? -1 : left->record > right->record;
}

/* The first record of an id counts, as in loading. */
static void drop_doubles(struct file_pages *pages)
{
    size_t kept = 0;

    for (size_t i = 0; i < pages->count; i++) {
        if (kept && strcmp(pages->names[kept - 1].id, pages->names[i].id) == 0)
            free(pages->names[i].id);
        else
            pages->names[kept++] = pages->names[i];
    }
    pages->count = kept;
}

static bool list_names(struct file_pages *pages)
{
    const struct document *document = &pages->document;
    char id[IPC_ID_MAX + 1];

    pages->names = calloc(document->count + 1, sizeof(*pages->names));
    for (size_t i = 0; pages->names && i < document->count; i++) {
        if (!record_id(json_array_get(document->records, i), id, sizeof(id)))
            continue;
        pages->names[pages->count] = (struct page_name){slice_dup(slice_of(id)), i};
        if (!pages->names[pages->count].id)
            return false;
        pages->count++;
    }
    if (!pages->names)
        return false;
    qsort(pages->names, pages->count, sizeof(*pages->names), by_name);
    drop_doubles(pages);
    return true;
}

bool file_pages_fit(const struct file_pages *pages, const struct file_id *id)
{
    return pages->document.text && file_id_same(&pages->id, id);
}

bool file_pages_take(struct file_pages *pages, struct document *document, const struct file_id *id)
{
    file_pages_clear(pages);
    pages->document = *document;
    pages->id = *id;
    if (list_names(pages))
        return true;
    file_pages_clear(pages);
    return false;
}

static size_t first_behind(const struct file_pages *pages, const char *after)
{
    size_t low = 0, high = pages->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (after[0] && strcmp(pages->names[middle].id, after) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void file_pages_read(struct file_pages *pages, struct store_page *page)
{
    size_t at;

    page->more = false;
    page->records = pages->document.text ? json_array() : NULL;
    if (!page->records)
        return;
    at = first_behind(pages, page->after);
    for (size_t n = 0; n < page->limit && at < pages->count; n++, at++) {
        json_t *record = json_array_get(pages->document.records, pages->names[at].record);

        /* A copy: the reader's thread is another one. */
        json_array_append_new(page->records, json_deep_copy(record));
        slice_copy(slice_of(pages->names[at].id), page->after, sizeof(page->after));
    }
    page->more = at < pages->count;
    pages->used_ms = clock_ms();
    if (!page->more)
        file_pages_clear(pages);
}

void file_pages_age(struct file_pages *pages, uint64_t now_ms)
{
    if (pages->document.text && now_ms >= pages->used_ms + KEEP_MS)
        file_pages_clear(pages);
}

void file_pages_clear(struct file_pages *pages)
{
    for (size_t i = 0; i < pages->count; i++)
        free(pages->names[i].id);
    free(pages->names);
    document_clear(&pages->document);
    *pages = (struct file_pages){.count = 0};
}
