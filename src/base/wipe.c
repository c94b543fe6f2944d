#include "base/wipe.h"

#include <stdlib.h>

/* The block's size stands in front of it; 16 octets keep the alignment. */
#define HEAD 16

static size_t *size_of(void *block)
{
    return (size_t *)(void *)((char *)block - HEAD);
}

void *wipe_malloc(size_t size)
{
    char *memory = size <= SIZE_MAX - HEAD ? malloc(size + HEAD) : NULL;

    if (!memory)
        return NULL;
    *size_of(memory + HEAD) = size;
    return memory + HEAD;
}

void *wipe_calloc(size_t count, size_t size)
{
    size_t total;
    void *block;

    if (__builtin_mul_overflow(count, size, &total))
        return NULL;
    block = wipe_malloc(total);
    if (block)
        memset(block, 0, total);
    return block;
}

void *wipe_realloc(void *block, size_t size)
{
    size_t old = block ? *size_of(block) : 0;
    void *grown;

    if (block && size <= old && size >= old / 2)
        return block; /* the recorded size stays: that much must be wiped */
    grown = wipe_malloc(size);
    if (!grown)
        return NULL;
    if (block)
        memcpy(grown, block, old < size ? old : size);
    wipe_free(block);
    return grown;
}

char *wipe_strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = wipe_malloc(size);

    if (copy)
        memcpy(copy, text, size);
    return copy;
}

void wipe_free(void *block)
{
    if (!block)
        return;
    explicit_bzero(block, *size_of(block));
    free((char *)block - HEAD);
}

void secret_free_len(void *bytes, size_t len)
{
    if (bytes)
        explicit_bzero(bytes, len);
    free(bytes);
}

void secret_free(char **text)
{
    if (*text)
        secret_free_len(*text, strlen(*text));
    *text = NULL;
}
