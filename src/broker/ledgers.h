/* What accounts have sent, as the relay tells it: kept across restarts of the relay
 * and of ourselves, so that no day (or minute) holds more than an account's limit.
 * What the texts say is the relay's affair.
 *
 * The file limits.state beside the accounts is a line for each text, written when it
 * comes; of an account the last line counts. When half of it is stale it is replaced
 * as a whole. So what we had been told is never lost when we are killed; a power
 * failure may take the last seconds. A last line "clean" says that nothing was untold
 * either; without it the relay reckons with what may be missing.
 */
#pragma once

#include <uthash.h>

#include "ipc/ipc.h"

#define LEDGERS_NEVER UINT64_MAX

struct ledger;

struct ledgers {
    char path[4096]; /* "" nothing is kept on disk */
    int fd;          /* -1: likewise */
    struct ledger *ledgers;
    size_t file_size, live_size; /* octets, of which so many are of lines that count */
    size_t groups;               /* that came since the start */
    uint64_t lost_wall_ms;       /* something may have been sent untold then; 0: never */
};

/* Reads the file. One that cannot be read is reported. `now`: by the wall clock, as
 * below. */
void ledgers_open(struct ledgers *ledgers, const char *folder, uint64_t now);
/* Begins to write it anew: not before it is clear that no other bearerd serves these
 * accounts. Where it cannot be written that is reported. */
void ledgers_begin(struct ledgers *ledgers);
/* `clean`: the relay has told all. */
void ledgers_close(struct ledgers *ledgers, bool clean, uint64_t now);

/* False: the text is not printable, as an honest relay's is. */
bool ledgers_take(struct ledgers *ledgers, const struct ipc_ledger *told, uint64_t now);
/* A relay has ended without having told all. */
void ledgers_lost(struct ledgers *ledgers, uint64_t now);
/* What a relay that meets the account now is told. False: nothing. */
bool ledgers_find(const struct ledgers *ledgers, bool group, struct slice id, uint64_t now,
                  struct ipc_ledger_put *out);
