/* Form fields: any text is read without harm, and what was written is read back. */
#include <stdlib.h>

#include "broker/form.h"
#include "fuzz.h"

struct pair {
    struct slice key, value;
    size_t count;
    size_t octets;
};

static void count(void *arg, const char *key, struct slice value)
{
    struct pair *pair = arg;

    require(value.ptr[value.len] == '\0');
    pair->count++;
    pair->octets += strlen(key) + value.len + 1;
}

static void compare(void *arg, const char *key, struct slice value)
{
    struct pair *pair = arg;

    require(slice_equal(slice_of(key), pair->key));
    require(slice_equal(value, pair->value));
    pair->count++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    struct pair read = {.count = 0}, written = {.count = 0};
    struct form form;
    size_t len;

    require(text != NULL);
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    len = strlen(text);
    require(form_each(text, count, &read));
    require(read.octets <= len + 1); /* nothing becomes longer */
    /* The key is what stands before the first NUL, the value what stands behind it. */
    written.key = (struct slice){text, len};
    written.value = len < size ? (struct slice){text + len + 1, size - len - 1} : SLICE("");
    form_init(&form);
    form_add(&form, text, written.value);
    require(form_each(form.at, compare, &written) && written.count == 1);
    form_clear(&form);
    free(text);
    return 0;
}
