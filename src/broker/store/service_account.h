/* The key of a Google service account, as the JSON that Google gives out. */
#pragma once

#include <jansson.h>

#include "base/str.h"

/* The object's own texts; none is NULL, an absent one is "". */
struct service_account {
    const char *email, *private_key, *key_id, *token_uri;
};

/* NULL, or what is wrong, as the end of a sentence: "must be ..." or "its ... must be ...".
 * The key itself is not looked at; what the object has beyond it is of no interest. */
const char *service_account_read(const json_t *object, struct service_account *out);
