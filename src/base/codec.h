/* base64 (RFC 4648 section 4) and hexadecimal. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

/* Octets that base64 of `len` octets takes, without terminator. */
#define BASE64_LEN(len) (((len) + 2) / 3 * 4)

/* Writes BASE64_LEN(len) octets and a NUL; `out` must hold them. Returns the
 * length without the NUL. */
size_t base64_encode(const void *bytes, size_t len, char *out);

/* Strict: alphabet, padding and zero trailing bits are checked, nothing is
 * skipped. Writes at most cap octets, returns the length or -1 when the text
 * is not base64 or does not fit. No terminator is written. */
ptrdiff_t base64_decode(struct slice text, void *out, size_t cap);

/* Octets that base64url (RFC 4648 section 5, without padding) of `len` octets takes. */
#define BASE64URL_LEN(len) (((len)*4 + 2) / 3)
/* Writes BASE64URL_LEN(len) octets and a NUL; `out` must hold BASE64_LEN(len) + 1.
 * Returns the length without the NUL. */
size_t base64url_encode(const void *bytes, size_t len, char *out);

/* 2*len digits and a NUL. */
void hex_encode(const void *bytes, size_t len, char *out);
