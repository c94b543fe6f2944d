/* Request targets, and percent encoding both ways. */
#include "broker/admin/target.h"
#include "fuzz.h"

static void encode_all(const char *text, char *out)
{
    static const char digits[] = "0123456789abcdef";

    for (; *text; text++) {
        *out++ = '%';
        *out++ = digits[(unsigned char)*text >> 4];
        *out++ = digits[(unsigned char)*text & 15];
    }
    *out = '\0';
}

/* What was decoded and is encoded again means the same. */
static void check_decode(const char *text)
{
    size_t len = strlen(text);
    char *plain = malloc(len + 1);
    char *again = malloc(3 * len + 1);

    require(plain && again);
    memcpy(plain, text, len + 1);
    if (percent_decode(plain)) {
        size_t plain_len = strlen(plain);

        require(plain_len <= len);
        encode_all(plain, again);
        require(percent_decode(again) && strcmp(again, plain) == 0);
    }
    free(plain);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice copy = exact_copy((struct slice){(const char *)data, size});
    char *text = malloc(size + 1);
    struct target target;
    struct reason why;

    require(text != NULL);
    memcpy(text, copy.ptr, size);
    text[size] = '\0';
    check_decode(text);
    if (target_parse(&target, text, &why)) {
        for (size_t i = 0; i < target.count; i++)
            require(target_query(&target, target.parameters[i].name) != NULL);
        require(target.count <= TARGET_PARAMETERS_MAX && !strchr(target.path, '?'));
    } else {
        require(why.text[0] != '\0');
    }
    target_clear(&target);
    free(text);
    exact_free(copy);
    return 0;
}
