/* What is sent to a token endpoint to get an access token. */
#pragma once

#include "broker/form.h"
#include "broker/store/record.h"

/* The body of the request. `refresh_token` is the newest one, which may be
 * newer than the record's. False: memory is out. */
bool grant_refresh(struct form *form, const struct account_record *record,
                   const char *refresh_token);
