/* The messages that were accepted: the last `max` of them, in a ring whose
 * slots keep their memory. Content is kept only on demand. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

#define DIGEST_OCTETS 32

struct message {
    uint64_t seq;
    const char *user; /* the account's address */
    char peer[48];    /* the client's */
    char *envelope;   /* sender NUL recipient NUL ... */
    size_t envelope_len, envelope_cap;
    unsigned rcpts;
    uint64_t size; /* content as received, dots removed */
    unsigned char digest[DIGEST_OCTETS];
    bool digested;
    bool chunked;                /* came by BDAT */
    bool bare;                   /* has a bare CR, bare LF or NUL */
    bool utf8;                   /* SMTPUTF8 */
    bool told;                   /* the final reply was handed to the client's connection */
    int reply;                   /* its code, 0 when none was made */
    uint64_t connection, number; /* which connection, which message on it */
    uint64_t at_ms;              /* wall clock */
    char *content;               /* the first content_len octets, or NULL */
    size_t content_len;
};

struct recorder {
    struct message *ring;
    size_t cap, max; /* slots there are, slots there may be */
    uint64_t next;   /* seq of the next message, from 1 */
    uint64_t oldest; /* seq of the oldest that is shown */
};

void recorder_init(struct recorder *recorder, size_t max);
void recorder_clear(struct recorder *recorder);
void recorder_forget(struct recorder *recorder); /* seq goes on */

/* The slot for the next message, its old content dropped and its envelope
 * filled; NULL when nothing is to be kept or memory is out. The seq counts on
 * in any case. */
struct message *recorder_add(struct recorder *recorder, const char *envelope, size_t len);
static inline uint64_t recorder_last(const struct recorder *recorder)
{
    return recorder->next - 1;
}
void recorder_told(struct recorder *recorder, uint64_t seq);

/* Messages with a higher seq than `since`, at most `limit`. */
json_t *recorder_show(const struct recorder *recorder, uint64_t since, uint64_t limit);
