/* Byte slices, a bounded text builder, and the reason of a failure.
 *
 * A slice borrows its bytes; it is not terminated. A text builder writes into
 * memory of its user, always keeps it NUL-terminated and remembers overflow
 * instead of writing past the end.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const char *ptr;
    size_t len;
};

#define SLICE(literal) ((struct slice){"" literal, sizeof(literal) - 1})
#define SLICE_NONE ((struct slice){NULL, 0})

static inline struct slice slice_of(const char *text)
{
    return (struct slice){text, text ? strlen(text) : 0};
}

bool slice_equal(struct slice a, struct slice b);
/* ASCII case-insensitive; other octets compare as they are. */
bool slice_equal_nocase(struct slice a, struct slice b);
bool slice_starts_nocase(struct slice text, struct slice prefix);
/* Where `needle` begins in `text`, ASCII case-insensitive, or -1. */
ptrdiff_t slice_find_nocase(struct slice text, struct slice needle);
struct slice slice_trim(struct slice text); /* spaces and tabs, both ends */
/* Decimal digits only, no sign, no overflow; false leaves *out alone. */
bool slice_to_u64(struct slice text, uint64_t *out);
/* Copies at most cap-1 octets and terminates; false when it was cut. */
bool slice_copy(struct slice text, char *out, size_t cap);
/* Allocated, terminated copy, or NULL when memory is out. */
char *slice_dup(struct slice text);

char ascii_lower(char c);
void ascii_lower_in_place(char *text);

struct text {
    char *at;
    size_t len, cap; /* cap counts the terminator */
    bool cut;        /* something did not fit */
};

void text_init(struct text *text, char *memory, size_t cap);
void text_add(struct text *text, const char *bytes, size_t len);
void text_add_str(struct text *text, const char *str);
void text_add_slice(struct text *text, struct slice slice);
void text_add_char(struct text *text, char c);
void text_add_u64(struct text *text, uint64_t value);
void text_addf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Why something failed, in words for the operator: field, value and cure. */
struct reason {
    char text[384];
};

/* Sets the text (cut to size) and returns false, so that a failing function
 * can end in `return reason_set(why, ...)`. `why` may be NULL. */
bool reason_set(struct reason *why, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The entry of `names` (NULL-terminated) nearest to `word` by edit distance,
 * or NULL when none is near enough to be worth a suggestion. */
const char *nearest_name(const char *word, const char *const *names);
