/* What every unit test includes: cmocka in the order it needs, and checks that
 * say which row of a table failed. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/str.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* A slice in a table's row; NULs count. */
#define BYTES(literal)                                                                             \
    {                                                                                              \
        "" literal, sizeof(literal) - 1                                                            \
    }

static inline void check_slice(const char *row, struct slice got, struct slice wanted)
{
    if (!slice_equal(got, wanted))
        fail_msg("%s: got \"%.*s\" (%zu), wanted \"%.*s\" (%zu)", row, (int)got.len,
                 got.ptr ? got.ptr : "", got.len, (int)wanted.len, wanted.ptr ? wanted.ptr : "",
                 wanted.len);
}

/* NULL stands for an empty text. */
static inline void check_text(const char *row, struct slice got, const char *wanted)
{
    check_slice(row, got, slice_of(wanted));
}

static inline void check_num(const char *row, long long got, long long wanted)
{
    if (got != wanted)
        fail_msg("%s: got %lld, wanted %lld", row, got, wanted);
}

/* A copy of exactly len octets, so that a sanitizer sees a read behind it. */
static inline char *exact_copy(struct slice text)
{
    char *copy = malloc(text.len ? text.len : 1);

    assert_non_null(copy);
    if (text.len)
        memcpy(copy, text.ptr, text.len);
    return copy;
}

/* The same numbers on every run (xorshift64). */
static inline uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}
