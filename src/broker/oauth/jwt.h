/* JSON Web Tokens that we sign (RFC 7519, 7515): assertions with which an application
 * or a service account proves who it is. Pure: claims and key in, text out; the time is
 * the caller's. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "broker/signing_key.h"

enum jwt_algorithm { JWT_PS256, JWT_RS256 }; /* as enum conf_assertion */

struct jwt_claims {
    /* NULL: the claim is left out. Texts must be UTF-8. */
    const char *issuer, *subject, *audience, *scope, *id;
    uint64_t issued_s, expires_s;
    uint64_t not_before_s; /* 0: left out */
};

/* The header names the key by all that it has: "kid", and the digests of its
 * certificate ("x5t#S256"; "x5t" too with RS256, which older servers want). malloc'd;
 * the caller wipes it. NULL: memory is out, or OpenSSL refused. */
char *jwt_sign(const struct signing_key *key, enum jwt_algorithm algorithm,
               const struct jwt_claims *claims);
