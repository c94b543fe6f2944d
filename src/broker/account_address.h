/* The address that an account sends from: where it may not be used, the account
 * is held back. Mail never leaves from another address instead. */
#pragma once

#include "broker/account.h"

struct address_rules address_rules_of(const struct conf *conf);

/* The account is new, or its record is. */
void account_address_set(struct account *account);
/* For struct addresses: of all accounts that send from there. */
void account_address_judged(void *owner, struct address *address);
