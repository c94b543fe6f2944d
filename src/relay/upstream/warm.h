/* Connections that are ready before the mail: as many as the account's own mail of
 * the last minutes, or of this time an hour ago, had at work at once. An account
 * without such mail gets none, and those that mail does not use end as idle ones. */
#pragma once

#include "relay/upstream/account.h"

void warm_init(struct account *account);
/* From the broker's word. */
void warm_set(struct account *account, const struct ipc_account *from);
void warm_clear(struct account *account);

/* A message has come, and is counted among those that wait or run. */
void warm_note(struct account *account);
/* Dials what is missing, when nothing waits that would have a better claim. */
void warm_up(struct account *account);
