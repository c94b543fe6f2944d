/* Applications, accounts and their tokens across a restart: DIR/tokens.json,
 * with --resume. */
#pragma once

#include "sim/sim.h"

/* A missing file is no failure: there is nothing to take up again. */
bool tokens_load(struct sim *sim, struct reason *why);
bool tokens_save(struct sim *sim, struct reason *why);
