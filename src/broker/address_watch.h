/* Keeps the table of local addresses as the kernel has it, by rtnetlink: its
 * notifications, and a full dump every minute and after any that were lost. */
#pragma once

#include "broker/addresses.h"
#include "net/loop.h"

struct address_watch;

/* The table is complete on return, as far as the kernel lets us. NULL and a
 * reason when it does not: then no address can be said to be absent. */
struct address_watch *address_watch_open(struct loop *loop, struct addresses *addresses,
                                         struct reason *why);
void address_watch_close(struct address_watch *watch); /* NULL is fine */
