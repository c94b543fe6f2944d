/* Why an account cannot send and what helps, in words to act on: PROVIDERS.md
 * sections 3, 4 and 6, as one table. */
#pragma once

#include "broker/account.h"

struct hint {
    enum hold_by by;
    enum account_state state;
    const char *pattern; /* occurs in the hold's text, any case; NULL: any text */
    const char *cause;   /* a word for programs */
    const char *text;    /* what to do; a sentence */
};

/* Of the hold that makes the account's state; never NULL for one that is not
 * active. */
const struct hint *hint_find(const struct account *account);
/* Of any party's words; never NULL. One whose pattern is NULL says nothing of the words. */
const struct hint *hint_of(enum hold_by by, enum account_state state, const char *text);
