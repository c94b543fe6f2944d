#include "broker/store/seal.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>

#include "broker/wipe.h"

#define VERSION 1
#define NONCE_BYTES crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_BYTES crypto_aead_xchacha20poly1305_ietf_ABYTES
#define HEAD_BYTES (1 + SEAL_ID_BYTES + NONCE_BYTES)

_Static_assert(SEAL_OVERHEAD == HEAD_BYTES + TAG_BYTES, "the header says how long it is");
_Static_assert(SEAL_KEY_BYTES == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "as libsodium");

/* --- keys --------------------------------------------------------------------- */

static void name_of(const unsigned char id[SEAL_ID_BYTES], char name[SEAL_NAME_CHARS])
{
    sodium_bin2hex(name, SEAL_NAME_CHARS, id, SEAL_ID_BYTES);
}

void keyring_name(const struct seal_key *key, char name[SEAL_NAME_CHARS])
{
    name_of(key->id, name);
}

static void make_id(struct seal_key *key)
{
    unsigned char hash[crypto_generichash_BYTES];
    static const unsigned char purpose[] = "bearerd key id";

    crypto_generichash(hash, sizeof(hash), purpose, sizeof(purpose), key->bytes,
                       sizeof(key->bytes));
    memcpy(key->id, hash, SEAL_ID_BYTES);
}

static const struct seal_key *find_key(const struct keyring *ring,
                                       const unsigned char id[SEAL_ID_BYTES])
{
    for (size_t i = 0; i < ring->count; i++) {
        if (memcmp(ring->keys[i].id, id, SEAL_ID_BYTES) == 0)
            return &ring->keys[i];
    }
    return NULL;
}

/* One line without its comment. */
static bool take_line(struct keyring *ring, struct slice line)
{
    struct seal_key *key = &ring->keys[ring->count];
    size_t len;

    if (!line.len)
        return true;
    if (line.len != 2 * (size_t)SEAL_KEY_BYTES || ring->count == KEYRING_MAX ||
        sodium_hex2bin(key->bytes, sizeof(key->bytes), line.ptr, line.len, NULL, &len, NULL) != 0 ||
        len != sizeof(key->bytes))
        return false;
    make_id(key);
    if (!find_key(ring, key->id))
        ring->count++;
    return true;
}

static struct slice strip(struct slice line)
{
    const char *comment = memchr(line.ptr, '#', line.len);

    if (comment)
        line.len = (size_t)(comment - line.ptr);
    if (line.len && line.ptr[line.len - 1] == '\r')
        line.len--;
    return slice_trim(line);
}

bool keyring_parse(struct keyring *ring, struct slice text, const char *name, struct reason *why)
{
    ring->count = 0;
    ring->keys = sodium_allocarray(KEYRING_MAX + 1, sizeof(*ring->keys));
    if (!ring->keys)
        return reason_set(why, "%s: out of memory", name);
    for (size_t number = 1; text.len; number++) {
        const char *end = memchr(text.ptr, '\n', text.len);
        struct slice line = {text.ptr, end ? (size_t)(end - text.ptr) : text.len};

        if (!take_line(ring, strip(line))) {
            keyring_clear(ring);
            return reason_set(why,
                              "%s: line %zu: a key must be 64 hexadecimal digits, and there may be "
                              "%d at most",
                              name, number, KEYRING_MAX);
        }
        text.ptr += line.len + (end != NULL);
        text.len -= line.len + (end != NULL);
    }
    if (ring->count)
        return true;
    keyring_clear(ring);
    return reason_set(why,
                      "%s: there is no key in it: it must have one a line, 64 hexadecimal "
                      "digits",
                      name);
}

void keyring_clear(struct keyring *ring)
{
    sodium_free(ring->keys); /* wipes */
    *ring = (struct keyring){NULL, 0};
}

void keyring_make_key(char digits[2 * SEAL_KEY_BYTES + 1])
{
    unsigned char bytes[SEAL_KEY_BYTES];

    randombytes_buf(bytes, sizeof(bytes));
    sodium_bin2hex(digits, 2 * SEAL_KEY_BYTES + 1, bytes, sizeof(bytes));
    explicit_bzero(bytes, sizeof(bytes));
}

/* --- values ------------------------------------------------------------------- */

/* What is checked with a value: version, key, account and column. The NUL between
 * the texts keeps "ab" + "c" apart from "a" + "bc". */
struct associated {
    unsigned char octets[1 + SEAL_ID_BYTES + SEAL_PLACE_MAX];
    size_t len;
};

static void associate(struct associated *data, const struct seal_place *place,
                      const unsigned char *head)
{
    size_t account = strlen(place->account) + 1, column = strlen(place->column);

    assert(account + column <= SEAL_PLACE_MAX);
    memcpy(data->octets, head, 1 + SEAL_ID_BYTES);
    memcpy(data->octets + 1 + SEAL_ID_BYTES, place->account, account);
    memcpy(data->octets + 1 + SEAL_ID_BYTES + account, place->column, column);
    data->len = 1 + SEAL_ID_BYTES + account + column;
}

unsigned char *seal_close(const struct keyring *ring, const struct seal_place *place,
                          struct slice text, size_t *len)
{
    unsigned char *out = malloc(text.len + SEAL_OVERHEAD);
    const unsigned char *nonce = out + 1 + SEAL_ID_BYTES;
    unsigned long long sealed;
    struct associated data;

    if (!out)
        return NULL;
    out[0] = VERSION;
    memcpy(out + 1, ring->keys[0].id, SEAL_ID_BYTES);
    randombytes_buf(out + 1 + SEAL_ID_BYTES, NONCE_BYTES);
    associate(&data, place, out);
    crypto_aead_xchacha20poly1305_ietf_encrypt(
        out + HEAD_BYTES, &sealed, (const unsigned char *)text.ptr, text.len, data.octets, data.len,
        NULL, nonce, ring->keys[0].bytes);
    *len = HEAD_BYTES + (size_t)sealed;
    return out;
}

static enum seal_result decrypt(const struct seal_key *key, const struct seal_place *place,
                                struct slice sealed, char *out, size_t *len)
{
    const unsigned char *octets = (const unsigned char *)sealed.ptr;
    unsigned long long opened = 0;
    struct associated data;
    int rc;

    associate(&data, place, octets);
    rc = crypto_aead_xchacha20poly1305_ietf_decrypt(
        (unsigned char *)out, &opened, NULL, octets + HEAD_BYTES, sealed.len - HEAD_BYTES,
        data.octets, data.len, octets + 1 + SEAL_ID_BYTES, key->bytes);
    out[opened] = '\0';
    *len = (size_t)opened;
    return rc == 0 ? SEAL_OPENED : SEAL_BROKEN;
}

static bool is_sealed(struct slice sealed)
{
    return sealed.len >= SEAL_OVERHEAD && sealed.ptr[0] == VERSION;
}

enum seal_result seal_open(const struct keyring *ring, const struct seal_place *place,
                           struct slice sealed, char **out, size_t *len)
{
    const struct seal_key *key;
    enum seal_result result;

    *out = NULL;
    *len = 0;
    if (!is_sealed(sealed))
        return SEAL_BROKEN;
    key = find_key(ring, (const unsigned char *)sealed.ptr + 1);
    if (!key)
        return SEAL_OTHER_KEY;
    *out = malloc(sealed.len - SEAL_OVERHEAD + 1);
    if (!*out)
        return SEAL_NO_MEMORY;
    result = decrypt(key, place, sealed, *out, len);
    if (result != SEAL_OPENED)
        secret_free_len(*out, sealed.len - SEAL_OVERHEAD + 1);
    if (result != SEAL_OPENED)
        *out = NULL;
    return result;
}

void seal_key_name(struct slice sealed, char name[SEAL_NAME_CHARS])
{
    if (is_sealed(sealed))
        name_of((const unsigned char *)sealed.ptr + 1, name);
    else
        slice_copy(SLICE("?"), name, SEAL_NAME_CHARS);
}

bool seal_is_by_first(const struct keyring *ring, struct slice sealed)
{
    return is_sealed(sealed) && ring->count &&
           memcmp(sealed.ptr + 1, ring->keys[0].id, SEAL_ID_BYTES) == 0;
}
