/* What is sent to a token endpoint to get an access token. */
#pragma once

#include "broker/form.h"
#include "broker/store/record.h"

/* The body of the request. `refresh_token` is the newest one, which may be
 * newer than the record's; `wall_ms` is the endpoint's time, for what is signed. False:
 * memory is out, or the key does not sign. */
bool grant_write(struct form *form, const struct account_record *record, const char *refresh_token,
                 uint64_t wall_ms);

/* The same for somebody who has just signed in: his code is exchanged for the first
 * refresh token, with the scope that he agreed to. */
bool grant_write_code(struct form *form, const struct account_record *record, const char *code,
                      const char *verifier, const char *redirect_uri, uint64_t wall_ms);
/* ... or asked for, while he types the code of the device flow (RFC 8628 section 3.4). */
bool grant_write_device(struct form *form, const struct account_record *record,
                        const char *device_code, uint64_t wall_ms);
/* What begins that flow (section 3.1). */
bool grant_write_device_begin(struct form *form, const struct account_record *record,
                              const char *scope, uint64_t wall_ms);

/* Whether a person stands behind it, who can consent anew when it is refused. */
static inline bool grant_has_person(const struct account_record *record)
{
    return record->grant == GRANT_REFRESH_TOKEN;
}
