/* Key files and sealed values as anybody may have written them: the input is taken
 * for either. */
#include <sodium.h>
#include <stdlib.h>

#include "broker/store/seal.h"
#include "fuzz.h"

static const char our_key[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
static const struct seal_place place = {"account", "secrets"};

/* What we seal opens, and with one octet changed it does not. */
static void check_round(const struct keyring *ring, struct slice text)
{
    size_t len, opened;
    unsigned char *sealed = seal_close(ring, &place, text, &len);
    struct slice value = {(const char *)sealed, len};
    char *out;

    require(sealed && len == text.len + SEAL_OVERHEAD);
    require(seal_open(ring, &place, value, &out, &opened) == SEAL_OPENED);
    require(opened == text.len && (!opened || memcmp(out, text.ptr, opened) == 0));
    free(out);
    sealed[text.len % len] ^= 0x10;
    require(seal_open(ring, &place, value, &out, &opened) != SEAL_OPENED && !out);
    free(sealed);
}

static void check_value(const struct keyring *ring, struct slice value)
{
    char name[SEAL_NAME_CHARS];
    size_t len;
    char *out;

    seal_key_name(value, name);
    require(name[0]);
    /* Nobody but us has the key. */
    require(seal_open(ring, &place, value, &out, &len) != SEAL_OPENED && !out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = {(const char *)data, size};
    struct keyring ring;
    struct reason why;

    if (sodium_init() < 0)
        return 0;
    if (keyring_parse(&ring, input, "file", &why)) {
        require(ring.count >= 1 && ring.count <= KEYRING_MAX);
        check_round(&ring, input);
    } else {
        require(why.text[0] && !ring.keys && !ring.count);
    }
    keyring_clear(&ring);
    require(keyring_parse(&ring, slice_of(our_key), "file", NULL));
    check_value(&ring, input);
    check_round(&ring, input);
    keyring_clear(&ring);
    return 0;
}
