/* Who signed in, and what he allowed, as far as the token endpoint's answer tells. Pure.
 *
 * The signature of an identity token is not looked at: it came from the token endpoint
 * itself, over verified TLS (OpenID Connect Core 1.0 section 3.1.3.7, item 6), and decides
 * only whether the person is told that he signed in as somebody else. */
#pragma once

#include "base/str.h"

#define IDENTITY_NAMES 3 /* email, preferred_username, upn */
#define IDENTITY_NAME_MAX 256

struct identity {
    char names[IDENTITY_NAMES][IDENTITY_NAME_MAX]; /* addresses; "" none */
    /* The name is the provider's word. An "email" that it has not verified is what the user, or
     * his own directory's administrator, has written there. */
    bool vouched[IDENTITY_NAMES];
    char scope[1024]; /* what was allowed; "" not told */
};

/* Of a successful answer's body. A token for another client is none, nor one that was over at
 * `wall_ms`, by the provider's clock. */
void identity_read(struct identity *identity, struct slice body, const char *client_id,
                   uint64_t wall_ms);
/* The first name, "" when nobody tells. */
const char *identity_name(const struct identity *identity);
bool identity_is(const struct identity *identity, const char *email);
/* The same, perhaps by a name that nobody vouches for. */
bool identity_claims(const struct identity *identity, const char *email);

/* The first permission of those that were asked for (words that are URLs) that was not
 * given; false: none, or the answer does not tell. */
bool identity_lacks(const struct identity *identity, const char *asked, char *out, size_t cap);
