/* A message's content: decoded once, in memory while there is plenty, then in an
 * unlinked temporary file. Large ones, over the spill threshold, have the first half of
 * the memory budget to themselves and everybody; the other half is for small ones, so
 * that these need no file while large ones are under way. It belongs to the session's worker; the
 * account's owner may read it while it holds the job. */
#pragma once

#include "base/chain.h"
#include "relay/worker.h"

struct body {
    struct worker *worker;
    struct chain memory; /* all of it; once there is a file, the first part or nothing */
    int fd;              /* -1, or the temporary file with the rest */
    uint64_t size;
    uint64_t charged; /* octets counted against the relay's memory budget */
    char last;        /* the last octet, for ends_crlf */
    bool has_8bit;    /* an octet above 127 */
    bool ends_crlf;   /* or is empty */
    bool failed;      /* disk or memory full; the rest was dropped */
};

void body_init(struct body *body, struct worker *worker);
/* False when disk or memory is out; see `failed`. */
bool body_add(struct body *body, const void *bytes, size_t len);
void body_clear(struct body *body);

/* True while the relay is over its memory budget: do not begin to take another
 * message in. Bodies already begun spill, so they end and free theirs. */
bool body_memory_tight(struct worker *worker);

struct body_reader {
    const struct body *body;
    struct chain_reader chain;
    uint64_t offset;
};

void body_reader_init(struct body_reader *reader, const struct body *body);
/* The next run of at most `max` octets: in memory, or read into `scratch`
 * (`max` octets). 0 at the end, -1 when the file cannot be read. */
ptrdiff_t body_read(struct body_reader *reader, const unsigned char **run, unsigned char *scratch,
                    size_t max);
