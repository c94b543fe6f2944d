/* What a request's object would become as an account's record: the original's
 * defaults, and what an account that it replaces has already. */
#pragma once

#include <jansson.h>

#include "broker/store/record.h"

struct broker;

struct candidate {
    json_t *object; /* to be stored; the caller's */
    /* The same with what a replaced account keeps, checked; the caller's. */
    struct account_record *record;
    bool verify, overwrite;
    bool exists; /* the failure: there is such an account and overwrite is false */
};

/* False and a reason that names field, value and cure. */
bool candidate_make(struct candidate *candidate, struct broker *broker, const struct conf *conf,
                    const json_t *object, struct reason *why);

/* Why a refresh token that was replaced is refused: it would take the place of the newer one,
 * and to ask the endpoint with it may cost the grant. */
extern const char candidate_superseded[];

/* The field that a reason begins with, "" if it does with none. */
void candidate_field(const char *reason, char *out, size_t cap);
