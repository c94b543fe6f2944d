/* Pages of a file's records, in the order of their ids. The parsed file is kept
 * for a while: who exports 100,000 accounts asks for many pages.
 */
#pragma once

#include "broker/store/document.h"
#include "broker/store/store.h"
#include "broker/store/watch.h"

struct file_pages {
    struct document document; /* text NULL: none */
    struct file_id id;        /* of its content */
    struct page_name *names;  /* sorted */
    size_t count;
    uint64_t used_ms; /* monotonic */
};

/* Whether the pages are those of this content. */
bool file_pages_fit(const struct file_pages *pages, const struct file_id *id);
/* Takes the document over, whatever it returns; false: memory is out. */
bool file_pages_take(struct file_pages *pages, struct document *document, const struct file_id *id);
/* Fills in the page; without a document, as a failure whose reason is set. */
void file_pages_read(struct file_pages *pages, struct store_page *page);
/* Forgets what nobody has asked for lately. */
void file_pages_age(struct file_pages *pages, uint64_t now_ms);
void file_pages_clear(struct file_pages *pages);
