/* Messages into another thread's loop: a lock for a pointer swap, one wake-up
 * for many messages, no lock while they are handled. */
#pragma once

#include <pthread.h>
#include <uv.h>

#include "net/loop.h"

/* Embedded in what is sent; it belongs to the receiver until delivered. */
struct mail {
    struct mail *next;
    void (*deliver)(struct mail *mail);
};

struct mailbox {
    pthread_mutex_t lock;
    uv_async_t wake;
    struct mail *first, **last;
    bool open;
};

bool mailbox_init(struct mailbox *mailbox, struct loop *loop, struct reason *why);
/* From any thread. False: the mailbox is closed and the mail stays the
 * sender's. Order of one sender is kept. */
bool mailbox_post(struct mailbox *mailbox, struct mail *mail, void (*deliver)(struct mail *mail));
/* On the loop's thread; what is still inside is delivered first. */
void mailbox_close(struct mailbox *mailbox);
