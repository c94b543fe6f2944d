#include "base/chain.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void chunk_pool_init(struct chunk_pool *pool, size_t max_spares)
{
    *pool = (struct chunk_pool){.max_spares = max_spares};
}

void chunk_pool_clear(struct chunk_pool *pool)
{
    assert(pool->in_use == 0);
    while (pool->spare) {
        struct chunk *next = pool->spare->next;

        free(pool->spare);
        pool->spare = next;
    }
    pool->spares = 0;
}

static struct chunk *chunk_take(struct chunk_pool *pool)
{
    struct chunk *chunk = pool->spare;

    if (chunk) {
        pool->spare = chunk->next;
        pool->spares--;
    } else {
        chunk = malloc(sizeof(*chunk));
        if (!chunk)
            return NULL;
    }
    chunk->next = NULL;
    chunk->start = chunk->end = 0;
    pool->in_use++;
    return chunk;
}

static void chunk_give(struct chunk_pool *pool, struct chunk *chunk)
{
    assert(pool->in_use > 0);
    pool->in_use--;
    if (pool->spares >= pool->max_spares) {
        free(chunk);
        return;
    }
    chunk->next = pool->spare;
    pool->spare = chunk;
    pool->spares++;
}

/* From a chain's head. */
static void chain_drop(struct chain *chain)
{
    struct chunk *chunk = chain->head;

    if (chain->secret)
        explicit_bzero(chunk->data, chunk->end);
    chain->head = chunk->next;
    if (!chain->head) {
        chain->tail = NULL;
        chain->secret = false;
    }
    chunk_give(chain->pool, chunk);
}

void chain_init(struct chain *chain, struct chunk_pool *pool)
{
    *chain = (struct chain){.pool = pool};
}

unsigned char *chain_room(struct chain *chain, size_t *room)
{
    if (!chain->tail || chain->tail->end == CHUNK_BYTES) {
        struct chunk *chunk = chunk_take(chain->pool);

        if (!chunk)
            return NULL;
        if (chain->tail)
            chain->tail->next = chunk;
        else
            chain->head = chunk;
        chain->tail = chunk;
    }
    *room = CHUNK_BYTES - chain->tail->end;
    return chain->tail->data + chain->tail->end;
}

void chain_grow(struct chain *chain, size_t filled)
{
    assert(filled <= CHUNK_BYTES - chain->tail->end);
    chain->tail->end += (uint32_t)filled;
    chain->size += filled;
}

bool chain_add(struct chain *chain, const void *bytes, size_t len)
{
    const unsigned char *from = bytes;
    uint64_t before = chain->size;

    while (len) {
        size_t room;
        unsigned char *to = chain_room(chain, &room);

        if (!to) {
            /* Take back what was added; an empty tail chunk may stay. */
            size_t added = (size_t)(chain->size - before);

            while (added) {
                struct chunk *last = chain->head;
                size_t part = chain->tail->end - chain->tail->start;

                if (part > added)
                    part = added;
                chain->tail->end -= (uint32_t)part;
                chain->size -= part;
                added -= part;
                if (!added || chain->tail == chain->head)
                    break;
                while (last->next != chain->tail)
                    last = last->next;
                chunk_give(chain->pool, chain->tail);
                last->next = NULL;
                chain->tail = last;
            }
            return false;
        }
        if (room > len)
            room = len;
        memcpy(to, from, room);
        chain_grow(chain, room);
        from += room;
        len -= room;
    }
    return true;
}

const unsigned char *chain_peek(const struct chain *chain, size_t *len)
{
    const struct chunk *chunk = chain->head;

    if (!chain->size) {
        *len = 0;
        return NULL;
    }
    *len = chunk->end - chunk->start;
    return chunk->data + chunk->start;
}

void chain_consume(struct chain *chain, size_t len)
{
    assert(len <= chain->size);
    chain->size -= len;
    while (chain->head) {
        struct chunk *chunk = chain->head;
        size_t part = chunk->end - chunk->start;

        if (len < part) {
            chunk->start += (uint32_t)len;
            return;
        }
        len -= part;
        chain_drop(chain);
    }
}

void chain_clear(struct chain *chain)
{
    while (chain->head)
        chain_drop(chain);
    chain->size = 0;
}

void chain_splice(struct chain *chain, struct chain *from)
{
    assert(chain->pool == from->pool);
    if (!from->head)
        return;
    if (!chain->size)
        chain_clear(chain); /* unused room must not stand before the octets */
    if (chain->tail)
        chain->tail->next = from->head;
    else
        chain->head = from->head;
    chain->tail = from->tail;
    chain->size += from->size;
    from->head = from->tail = NULL;
    from->size = 0;
}

void chain_reader_init(struct chain_reader *reader, const struct chain *chain)
{
    reader->chunk = chain->head;
    reader->offset = 0;
}

size_t chain_read(struct chain_reader *reader, const unsigned char **run, size_t max)
{
    while (reader->chunk) {
        size_t filled = reader->chunk->end - reader->chunk->start;

        if (reader->offset < filled) {
            size_t len = filled - reader->offset;

            if (len > max)
                len = max;
            *run = reader->chunk->data + reader->chunk->start + reader->offset;
            reader->offset += len;
            return len;
        }
        reader->chunk = reader->chunk->next;
        reader->offset = 0;
    }
    return 0;
}
