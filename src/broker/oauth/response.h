/* What a token endpoint's answer means: PROVIDERS.md section 6, second table,
 * as data. Pure: octets in, values out. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum oauth_class {
    OAUTH_OK,
    OAUTH_TRANSIENT, /* try again, ever more slowly */
    OAUTH_THROTTLED, /* too often: wait as told */
    OAUTH_CONSENT,   /* this account's grant is dead: a person must act */
    OAUTH_APP,       /* the application's registration or our request is wrong */
    OAUTH_CLASSES
};

extern const char *const oauth_class_names[OAUTH_CLASSES];

#define OAUTH_TEXT_MAX 480
#define OAUTH_BODY_MAX 65536 /* of an answer, in octets */

struct oauth_answer { /* as HTTP delivered it */
    long status;
    struct slice body;
    struct slice retry_after; /* the header's value, "" none */
    struct slice content_type;
    struct slice date; /* the header's value, "" none */
    uint64_t wall_ms;  /* when it came: Retry-After may be a date */
};

struct oauth_response {
    enum oauth_class class_;
    bool clock;                /* what we signed has the wrong time */
    char *access_token;        /* OAUTH_OK: owned, visible ASCII */
    char *refresh_token;       /* when the answer has one */
    uint64_t expires_ms;       /* life of the access token; 0: not told */
    uint64_t retry_after_ms;   /* 0: not told */
    char error[64];            /* the protocol's word: invalid_grant; "" */
    unsigned aadsts;           /* Microsoft's number, 0 none */
    char text[OAUTH_TEXT_MAX]; /* for people: printable, one line */
};

void oauth_response_read(struct oauth_response *response, const struct oauth_answer *answer);
/* The same for requests without an answer: no connection, time out. */
void oauth_response_failed(struct oauth_response *response, const char *why);
void oauth_response_clear(struct oauth_response *response); /* wipes */

/* Replaces each occurrence of a secret in the text, for providers that repeat
 * what they were sent. */
void oauth_response_mask(struct oauth_response *response, const char *secret);
