/* Values that only a key opens: XChaCha20-Poly1305 by libsodium.
 *
 *     version (1) | key's id (4) | nonce (24) | ciphertext | tag (16)
 *
 * What a value belongs to is part of the check, so that one cannot be moved to
 * another account or column. A sealed value is foreign input.
 */
#pragma once

#include "base/str.h"

#define SEAL_KEY_BYTES 32
#define SEAL_ID_BYTES 4
#define SEAL_NAME_CHARS (2 * SEAL_ID_BYTES + 1) /* a key's id in digits */
#define SEAL_OVERHEAD (1 + SEAL_ID_BYTES + 24 + 16)

/* The id is derived from the key and no secret. */
struct seal_key {
    unsigned char id[SEAL_ID_BYTES];
    unsigned char bytes[SEAL_KEY_BYTES];
};

/* The first seals, all of them open. In memory that is not swapped. */
struct keyring {
    struct seal_key *keys;
    size_t count;
};

#define KEYRING_MAX 64

/* A key a line in 64 hexadecimal digits; "#" begins a comment. `name` stands for
 * the file. On failure the ring is empty. */
bool keyring_parse(struct keyring *ring, struct slice text, const char *name, struct reason *why);
void keyring_clear(struct keyring *ring); /* wipes */
/* A new key, in the digits of a key file. */
void keyring_make_key(char digits[2 * SEAL_KEY_BYTES + 1]);

/* The account and the column that a value belongs to: together at most
 * SEAL_PLACE_MAX - 1 octets. */
#define SEAL_PLACE_MAX 1024
struct seal_place {
    const char *account, *column;
};

/* malloc'd, SEAL_OVERHEAD more than the text. NULL: memory is out. */
unsigned char *seal_close(const struct keyring *ring, const struct seal_place *place,
                          struct slice text, size_t *len);

enum seal_result {
    SEAL_OPENED,
    SEAL_OTHER_KEY, /* the ring does not have the key */
    SEAL_BROKEN,    /* changed, cut off, or of another place */
    SEAL_NO_MEMORY
};

/* `out` is malloc'd, NUL-terminated and to be wiped. */
enum seal_result seal_open(const struct keyring *ring, const struct seal_place *place,
                           struct slice sealed, char **out, size_t *len);
/* Which key a value was sealed with, in digits; "?" if it is none. */
void seal_key_name(struct slice sealed, char name[SEAL_NAME_CHARS]);
void keyring_name(const struct seal_key *key, char name[SEAL_NAME_CHARS]);
/* Whether the ring's first key has sealed it. */
bool seal_is_by_first(const struct keyring *ring, struct slice sealed);
