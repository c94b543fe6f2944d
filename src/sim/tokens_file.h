/* Accounts and their tokens across a restart: DIR/tokens.json, with --resume. */
#pragma once

#include "sim/accounts.h"

/* A missing file is no failure: there is nothing to take up again. */
bool tokens_load(struct accounts *accounts, const char *dir, struct reason *why);
bool tokens_save(struct accounts *accounts, const char *dir, struct reason *why);
