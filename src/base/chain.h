/* Chain of fixed-size chunks: message bodies and output queues.
 *
 *     chain: head -> [start|....data....|end] -> [....] -> tail
 *
 * Chunks come from a pool that belongs to one thread and keeps a bounded
 * number of spares, so that a busy worker never allocates and an idle one
 * holds little. A chain belongs to the thread of its pool; another thread may
 * read it while its owner leaves it alone (a job), never change it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHUNK_BYTES 16384

struct chunk {
    struct chunk *next;
    uint32_t start, end; /* the filled part of data[] */
    unsigned char data[CHUNK_BYTES];
};

struct chunk_pool {
    struct chunk *spare;
    size_t spares, max_spares;
    size_t in_use; /* chunks lent out; times sizeof(struct chunk) is memory */
};

struct chain {
    struct chunk *head, *tail;
    uint64_t size; /* octets in all chunks */
    bool secret;   /* chunks are wiped when given back; until it is empty again */
    struct chunk_pool *pool;
};

void chunk_pool_init(struct chunk_pool *pool, size_t max_spares);
void chunk_pool_clear(struct chunk_pool *pool); /* all chunks must be back */

void chain_init(struct chain *chain, struct chunk_pool *pool);
/* False when memory is out; the chain then holds what it held before. */
bool chain_add(struct chain *chain, const void *bytes, size_t len);
/* Writable room at the end, at least one octet, or NULL when memory is out;
 * chain_grow then says how much of it was filled. */
unsigned char *chain_room(struct chain *chain, size_t *room);
void chain_grow(struct chain *chain, size_t filled);
/* The first contiguous run of octets, NULL and 0 when empty. */
const unsigned char *chain_peek(const struct chain *chain, size_t *len);
void chain_consume(struct chain *chain, size_t len); /* len <= size */
void chain_clear(struct chain *chain);
/* Appends all of `from`, which becomes empty; both must share a pool. */
void chain_splice(struct chain *chain, struct chain *from);

/* Walks a chain that is not being changed. */
struct chain_reader {
    const struct chunk *chunk;
    size_t offset; /* into the filled part */
};

void chain_reader_init(struct chain_reader *reader, const struct chain *chain);
/* The next run of at most `max` octets; 0 at the end. */
size_t chain_read(struct chain_reader *reader, const unsigned char **run, size_t max);
