#include "broker/store/stale.h"

#include <sodium.h>
#include <stdlib.h>

uint32_t stale_digest(const char *token)
{
    unsigned char hash[crypto_generichash_BYTES];
    static const unsigned char purpose[] = "bearerd superseded token";
    uint32_t digest;

    crypto_generichash(hash, sizeof(hash), (const unsigned char *)token, strlen(token), purpose,
                       sizeof(purpose));
    memcpy(&digest, hash, STALE_BYTES);
    return digest;
}

void stale_take(struct stale_blob *blob, struct slice octets)
{
    size_t len = octets.len - octets.len % STALE_BYTES;
    size_t over = len > sizeof(blob->octets) ? len - sizeof(blob->octets) : 0;

    blob->len = len - over;
    if (blob->len)
        memcpy(blob->octets, octets.ptr + over, blob->len);
}

static bool blob_has(const struct stale_blob *blob, uint32_t digest)
{
    for (size_t at = 0; at < blob->len; at += STALE_BYTES) {
        if (memcmp(blob->octets + at, &digest, STALE_BYTES) == 0)
            return true;
    }
    return false;
}

void stale_add(struct stale_blob *blob, uint32_t digest)
{
    if (blob_has(blob, digest))
        return;
    if (blob->len == sizeof(blob->octets)) {
        blob->len -= STALE_BYTES;
        memmove(blob->octets, blob->octets + STALE_BYTES, blob->len);
    }
    memcpy(blob->octets + blob->len, &digest, STALE_BYTES);
    blob->len += STALE_BYTES;
}

uint32_t *stale_read(struct slice octets, uint32_t *count)
{
    struct stale_blob blob;
    uint32_t *digests;

    stale_take(&blob, octets);
    *count = (uint32_t)(blob.len / STALE_BYTES);
    digests = *count ? malloc(blob.len) : NULL;
    if (digests)
        memcpy(digests, blob.octets, blob.len);
    else
        *count = 0;
    return digests;
}

void stale_push(uint32_t **digests, uint32_t *count, uint32_t digest)
{
    struct stale_blob blob = {.len = 0};
    uint32_t *longer;

    stale_take(&blob, (struct slice){(const char *)*digests, *count * (size_t)STALE_BYTES});
    stale_add(&blob, digest);
    longer = realloc(*digests, blob.len);
    if (!longer)
        return;
    memcpy(longer, blob.octets, blob.len);
    *digests = longer;
    *count = (uint32_t)(blob.len / STALE_BYTES);
}

bool stale_has(const uint32_t *digests, uint32_t count, uint32_t digest)
{
    for (uint32_t i = 0; i < count; i++) {
        if (digests[i] == digest)
            return true;
    }
    return false;
}
