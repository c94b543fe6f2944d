/* What accounts and groups have sent, told to the broker, which keeps it across
 * restarts: for each at most once a second, or when much was sent at once; so that
 * little is missing whenever this process ends. */
#pragma once

#include "relay/limit/limits.h"
#include "relay/worker.h"

/* Embedded in whoever has the limits, and a name to be known by. */
struct ledger {
    struct worker *worker;
    struct limits *limits;
    const char *name;
    bool group;
    struct list_node node; /* account_table.untold */
    uint64_t untold, untold_recipients;
    bool restored; /* what was sent before is in the limits */
};

/* It has sent so much more. */
void ledger_sent(struct ledger *ledger, uint64_t messages, uint64_t recipients);
/* What it has sent ended only now, or was given back. */
void ledger_moved(struct ledger *ledger);
/* Now, if there is something to tell. */
void ledger_tell(struct ledger *ledger);
void ledger_tell_all(struct account_table *table);
