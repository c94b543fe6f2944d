/* What the harnesses share. */
#pragma once

#include <stdlib.h>

#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A broken property; never compiled out, unlike assert. */
static inline void require(bool holds)
{
    if (!holds)
        abort();
}

/* A copy of exactly its size, so that a read behind it is seen. */
static inline struct slice exact_copy(struct slice bytes)
{
    char *copy = malloc(bytes.len ? bytes.len : 1);

    require(copy != NULL);
    if (bytes.len)
        memcpy(copy, bytes.ptr, bytes.len);
    return (struct slice){copy, bytes.len};
}

static inline void exact_free(struct slice copy)
{
    free((char *)copy.ptr);
}

/* The first octet of the input, which steers; 0 when there is none. */
static inline unsigned take_octet(struct slice *input)
{
    unsigned octet = input->len ? (unsigned char)input->ptr[0] : 0;

    if (input->len)
        *input = (struct slice){input->ptr + 1, input->len - 1};
    return octet;
}

/* The next piece of at most `step` octets. */
static inline struct slice take_piece(struct slice *input, size_t step)
{
    struct slice piece = {input->ptr, step < input->len ? step : input->len};

    *input = (struct slice){input->ptr + piece.len, input->len - piece.len};
    return piece;
}

/* Does `part` lie within `whole`? Empty ones may lie anywhere. */
static inline bool is_within(struct slice part, struct slice whole)
{
    return !part.len || (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len);
}
