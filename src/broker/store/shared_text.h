/* What many records have in common, kept once and counted. It is no secret. For all
 * threads. */
#pragma once

#include <stddef.h>

/* A copy of the text that lasts until it was dropped as often as it was asked for.
 * NULL: memory is out. */
const char *shared_text(const char *text);
void shared_text_drop(const char *text);

/* The same of `size` octets, 1 or more. They are compared as octets: equal structs
 * whose padding differs are two blocks. */
const void *shared_block(const void *block, size_t size);
void shared_block_drop(const void *block); /* NULL: nothing */
