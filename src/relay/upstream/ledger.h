/* What accounts have sent, told to the broker, which keeps it across restarts: for
 * each account at most once a second, or when much was sent at once; so that little
 * is missing whenever this process ends. */
#pragma once

#include "relay/upstream/account.h"

/* It has sent so much more. */
void ledger_sent(struct account *account, uint64_t messages, uint64_t recipients);
/* What it has sent ended only now, or was given back. */
void ledger_moved(struct account *account);
/* Now, if there is something to tell. */
void ledger_tell(struct account *account);
void ledger_tell_all(struct account_table *table);
