/* What the relay is told of an account. Nothing is sent of an account that it
 * does not know, nor while there is no relay. */
#pragma once

#include "broker/account.h"

/* Makes the relay know the account: record, state, token. */
void tell_introduce(struct account *account);
void tell_put(const struct account *account);
void tell_state(const struct account *account);
void tell_token(const struct account *account); /* if it has a valid one */
void tell_remove(struct account *account);
