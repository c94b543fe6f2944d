/* Memory that leaves no secret behind.
 *
 * jansson and curl hold refresh tokens and client secrets in blocks of their
 * own; with these functions as their allocator, such a block is overwritten
 * before it returns to the heap.
 */
#pragma once

#include <stddef.h>

#include "base/str.h"

/* For curl_global_init_mem and json_set_alloc_funcs. */
void *wipe_malloc(size_t size);
void *wipe_calloc(size_t count, size_t size);
void *wipe_realloc(void *block, size_t size);
char *wipe_strdup(const char *text);
void wipe_free(void *block);

/* For ordinary strings (malloc, slice_dup): overwrites, frees and nulls. */
void secret_free(char **text);
void secret_free_len(void *bytes, size_t len);
