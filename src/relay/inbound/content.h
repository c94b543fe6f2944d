/* A message's content on its way in: decoded once, checked, stored in the
 * job's body. A fault stops the storing, never the reading: the client is
 * answered behind the true end, so that no octet of content is taken for a
 * command. */
#pragma once

#include "relay/body.h"
#include "relay/inbound/answers.h"
#include "smtp/dot.h"

struct content {
    struct body *body;
    struct dot_decoder dots; /* DATA */
    struct crlf_check crlf;  /* BDAT */
    uint64_t max_size;
    uint32_t max_line;
    uint64_t received; /* octets off the wire */
    uint64_t size;     /* decoded octets, stored or not */
    uint64_t line;     /* octets of the current line */
    uint64_t since;    /* ms; when the client was told to go on */
    bool begun;
    bool bare, too_long, failed; /* too_long: a line; failed: no room to store it */
    bool dropped;                /* there is a fault: nothing is stored any more */
};

void content_init(struct content *content, struct body *body, const struct conf *conf);
/* The client may send: the clock of the slowest allowed rate starts. */
void content_begin(struct content *content, uint64_t now);

/* Octets of DATA; returns how many were taken: all, or up to the end of data.
 * *end says which. */
size_t content_add_dots(struct content *content, struct slice bytes, bool *end);
/* Octets of a chunk; and behind the last one. */
void content_add_chunk(struct content *content, struct slice bytes);
void content_end_chunks(struct content *content);

static inline bool content_is_too_big(const struct content *content)
{
    return content->size > content->max_size;
}

/* False: *why is what the complete message is answered. */
bool content_is_good(const struct content *content, enum answer *why);

/* How long the client may still take for what it has sent so far, at the
 * lowest allowed rate behind some seconds of grace; 0: it was too slow. */
uint64_t content_patience(const struct content *content, const struct conf *conf, uint64_t now);
