/* Tokens in the database: refresh tokens that are replaced, which ones were, and access tokens
 * for the next start. All within the caller's transaction. False: it has failed,
 * and `failure` is set. */
#pragma once

#include "broker/store/rows.h"
#include "broker/store/stale.h"
#include "broker/store/store.h"

/* Fills in status and why, too. */
bool access_save(struct rows *rows, struct store_save *save, struct reason *failure);
bool access_keep(struct rows *rows, const struct store_access *access, struct reason *failure);
/* Seals all of them under the first key; what cannot be opened goes. */
bool access_reseal(struct rows *rows, struct reason *failure);
bool access_supersede(struct rows *rows, const char *login, const char *token,
                      struct reason *failure);
/* Fills in value, binding and why. */
void access_fetch(struct rows *rows, struct store_fetch *fetch);
