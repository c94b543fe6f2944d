/* Accounts as the admin API shows them. No secret is among it, nor a token. */
#pragma once

#include <jansson.h>

#include "broker/account.h"

/* What the original's API gave of an account, and its state. NULL: memory is out. */
json_t *account_item_json(const struct account *account);
/* With settings, the state in full and the token; the pool is the caller's to add. */
json_t *account_detail_json(const struct account *account);
json_t *account_token_json(const struct account *account);
