/* What an access token says of itself, where it is a JWT (RFC 7519) that can be read:
 * Microsoft's for Exchange Online are, Google's are opaque. For people who look for a
 * fault: nothing is verified, and nothing depends on it. Pure; the token is not kept. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/* Texts are printable ASCII, cut to their room; "": not said. */
struct claims {
    char audience[160];   /* aud, several joined by blanks */
    char application[64]; /* appid, azp or client_id */
    char tenant[64];      /* tid */
    char scopes[400];     /* scp or scope */
    char roles[400];      /* joined by blanks */
    char user[160];       /* upn, preferred_username, unique_name or email */
    char object[64];      /* oid */
    int64_t issued_s;     /* iat; 0: not said, as the next two */
    int64_t not_before_s; /* nbf */
    int64_t expires_s;    /* exp */
};

/* False: the token is opaque, or memory is out. */
bool claims_read(struct slice token, struct claims *out);

/* "aud https://outlook.office.com, scp SMTP.Send, ..., exp 2026-..."; adds to what is there. */
void claims_describe(const struct claims *claims, struct text *out);

enum claims_verdict { CLAIMS_GOOD, CLAIMS_DOUBTFUL, CLAIMS_BAD };

/* What is wrong with it at this provider and time (the endpoint's), in words for the table of
 * hints; `why` is left alone when nothing is. */
enum claims_verdict claims_judge(const struct claims *claims, const char *provider,
                                 uint64_t wall_ms, struct reason *why);
