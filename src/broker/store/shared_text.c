#include "broker/store/shared_text.h"

#include <pthread.h>
#include <stdlib.h>
#include <uthash.h>

#include "base/list.h"

struct shared {
    UT_hash_handle hh;
    size_t users;
    _Alignas(max_align_t) char octets[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct shared *table;

static struct shared *add(const void *block, size_t size)
{
    struct shared *shared = malloc(sizeof(*shared) + size);

    if (!shared)
        return NULL;
    shared->users = 0;
    memcpy(shared->octets, block, size);
    HASH_ADD_KEYPTR(hh, table, shared->octets, size, shared);
    return shared;
}

const void *shared_block(const void *block, size_t size)
{
    struct shared *shared;

    pthread_mutex_lock(&lock);
    HASH_FIND(hh, table, block, size, shared);
    if (!shared)
        shared = add(block, size);
    if (shared)
        shared->users++;
    pthread_mutex_unlock(&lock);
    return shared ? shared->octets : NULL;
}

void shared_block_drop(const void *block)
{
    struct shared *shared;

    if (!block)
        return;
    shared = (struct shared *)((uintptr_t)block - offsetof(struct shared, octets));
    pthread_mutex_lock(&lock);
    if (--shared->users == 0) {
        HASH_DEL(table, shared);
        free(shared);
    }
    pthread_mutex_unlock(&lock);
}

const char *shared_text(const char *text)
{
    return text[0] ? shared_block(text, strlen(text) + 1) : "";
}

void shared_text_drop(const char *text)
{
    if (text[0])
        shared_block_drop(text);
}
