#include "broker/store/shared_text.h"

#include <pthread.h>
#include <stdlib.h>
#include <uthash.h>

#include "base/list.h"

struct shared {
    UT_hash_handle hh;
    size_t users;
    char text[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct shared *table;

static struct shared *add(const char *text)
{
    size_t len = strlen(text);
    struct shared *shared = malloc(sizeof(*shared) + len + 1);

    if (!shared)
        return NULL;
    shared->users = 0;
    memcpy(shared->text, text, len + 1);
    HASH_ADD_KEYPTR(hh, table, shared->text, len, shared);
    return shared;
}

const char *shared_text(const char *text)
{
    struct shared *shared;

    if (!text[0])
        return "";
    pthread_mutex_lock(&lock);
    HASH_FIND_STR(table, text, shared);
    if (!shared)
        shared = add(text);
    if (shared)
        shared->users++;
    pthread_mutex_unlock(&lock);
    return shared ? shared->text : NULL;
}

void shared_text_drop(const char *text)
{
    struct shared *shared = (struct shared *)(uintptr_t)(text - offsetof(struct shared, text));

    if (!text[0])
        return;
    pthread_mutex_lock(&lock);
    if (--shared->users == 0) {
        HASH_DEL(table, shared);
        free(shared);
    }
    pthread_mutex_unlock(&lock);
}
