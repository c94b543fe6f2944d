/* The broker's end of the channel to the relay. What comes out of it is
 * hostile: frames are checked by ipc.c, their number per second is bounded
 * here, and a relay that does not read what it is sent is given up. */
#pragma once

#include "ipc/ipc.h"
#include "net/loop.h"

struct relay_link;

struct relay_link_events {
    /* `message` is valid during the call. */
    void (*message)(void *owner, const struct ipc_message *message);
    /* The channel cannot be used any more; close it. */
    void (*broken)(void *owner, const char *why);
};

/* Takes over the descriptor. NULL when memory is out. */
struct relay_link *relay_link_open(struct loop *loop, int fd,
                                   const struct relay_link_events *events, void *owner);
/* No event follows; from any event, too. */
void relay_link_close(struct relay_link **owned);

/* Queues a message. A message that cannot be queued breaks the link, later. */
void relay_link_send(struct relay_link *link, const struct ipc_message *message);
