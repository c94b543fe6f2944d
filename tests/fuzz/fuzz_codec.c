/* base64 both ways: what is accepted is exactly what we would write. */
#include "base/codec.h"
#include "fuzz.h"

static void check_decode(struct slice text)
{
    char *plain = malloc(text.len + 1), *again = malloc(text.len + 5);
    ptrdiff_t len = base64_decode(text, plain, text.len);

    if (len >= 0) {
        size_t n = base64_encode(plain, (size_t)len, again);

        require(slice_equal((struct slice){again, n}, text));
        require(base64_decode(text, plain, (size_t)len) == len);
        require(!len || base64_decode(text, plain, (size_t)len - 1) == -1);
    }
    free(plain);
    free(again);
}

static void check_encode(struct slice plain)
{
    char *text = malloc(BASE64_LEN(plain.len) + 1), *again = malloc(plain.len + 1);
    size_t len = base64_encode(plain.ptr, plain.len, text);

    require(len == BASE64_LEN(plain.len) && text[len] == '\0');
    require(base64_decode((struct slice){text, len}, again, plain.len) == (ptrdiff_t)plain.len);
    require(slice_equal((struct slice){again, plain.len}, plain));
    free(text);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *hex = malloc(2 * size + 1);

    check_decode((struct slice){(const char *)data, size});
    check_encode((struct slice){(const char *)data, size});
    hex_encode(data, size, hex);
    require(strlen(hex) == 2 * size);
    free(hex);
    return 0;
}
