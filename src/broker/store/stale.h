/* Refresh tokens that the endpoint has replaced, as short digests: enough to know one when it
 * comes back, from an old copy of a file say, and nothing to get it from. An account has the
 * last STALE_MAX of them; the oldest goes first.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

#define STALE_MAX 24  /* a day, where an endpoint replaces them each hour */
#define STALE_BYTES 4 /* of a digest: one in 4 thousand million others has the same */

uint32_t stale_digest(const char *token);

/* As the database has them. */
struct stale_blob {
    unsigned char octets[STALE_MAX * STALE_BYTES];
    size_t len;
};

void stale_take(struct stale_blob *blob, struct slice octets);
void stale_add(struct stale_blob *blob, uint32_t digest);

/* As memory has them: malloc'd, NULL for none or when memory is out. */
uint32_t *stale_read(struct slice octets, uint32_t *count);
void stale_push(uint32_t **digests, uint32_t *count, uint32_t digest);
bool stale_has(const uint32_t *digests, uint32_t count, uint32_t digest);
