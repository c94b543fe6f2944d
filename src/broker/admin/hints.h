/* Why an account cannot send and what helps, in words to act on: PROVIDERS.md sections
 * 1 to 6, as the one table that account states, checks and doc/TROUBLESHOOTING.md
 * speak from. The rows are in hint_rows.c. */
#pragma once

#include "broker/account.h"
#include "broker/oauth/response.h"

/* Who said it. */
enum hint_source {
    HINT_OPERATOR = 1 << 0,
    HINT_ADDRESS = 1 << 1,  /* this host, of the address that the account sends from */
    HINT_CONNECT = 1 << 2,  /* DNS, TCP or TLS, of a mail server or a token endpoint */
    HINT_ENDPOINT = 1 << 3, /* the token endpoint */
    HINT_TOKEN = 1 << 4,    /* what the access token says of itself */
    HINT_SERVER = 1 << 5    /* the mail server */
};

#define HINT_ANY_STATE ACCOUNT_STATES

struct hint {
    unsigned sources;         /* of enum hint_source */
    enum account_state state; /* that it led to, or HINT_ANY_STATE */
    const char *provider;     /* "outlook": its name begins so; NULL: any */
    const char *pattern; /* "a|b": one occurs in the text, in any case of the letters, and a number
                            as a whole; NULL: any text */
    const char *cause;   /* a word for programs */
    const char *text;    /* what to do; sentences */
};

/* Tried top down; the last one, whose cause is "unknown", fits always. */
extern const struct hint hint_rows[];
extern const size_t hint_row_count;

/* Never NULL. One whose pattern is NULL says nothing of the words. */
const struct hint *hint_for(enum hint_source source, enum account_state state, const char *provider,
                            const char *text);
/* Of what the account's token endpoint answered. */
const struct hint *hint_of_answer(const struct account *account, enum oauth_class class_,
                                  const char *text);
/* Of a login that failed, as relay_view_probe tells it: "auth: 535 5.7.3 ...". */
const struct hint *hint_of_login(const struct account *account, const char *text);
/* Of the hold that makes the account's state; never NULL for one that is not
 * active. */
const struct hint *hint_find(const struct account *account);
