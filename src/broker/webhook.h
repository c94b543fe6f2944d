/* The receiver of events: an HTTPS server of the operator's that gets each as a signed POST.
 *
 *     queue (events.queue at most) --one at a time, in order--> receiver
 *                ^---- waits: time-out, 5xx, 429, 408 ----|
 *
 * An event is sent until the receiver says 2xx, refuses it for good (any other status), or is
 * older than events.retry_for. A receiver may get one twice and knows it by its id. What
 * waits is in memory only: it does not survive our end.
 *
 *     Bearerd-Event: the id
 *     Bearerd-Signature: t=SECONDS,v1=HEX
 *
 * HEX is HMAC-SHA256 with the secret over "SECONDS.BODY"; SECONDS since 1970, of this try.
 */
#pragma once

#include "conf/conf.h"
#include "net/loop.h"

#define WEBHOOK_ID_CHARS 32
#define WEBHOOK_SIGNATURE_MAX 96 /* with its NUL */
#define WEBHOOK_SECRET_MIN 16

struct http;
struct http_request;

struct webhook_stats {
    uint64_t sent, failed, dropped; /* failed: refused or given up; dropped: for lack of room */
};

struct webhook {
    struct loop *loop;
    struct http *http;
    const struct conf *conf; /* replaced by reloads */
    const char *secret;      /* likewise */
    struct list queue;       /* the first one is the one that is sent */
    struct http_request *request;
    struct timer timer;
    unsigned failures; /* in a row */
    bool dropping;     /* said so */
    struct webhook_stats stats;
};

void webhook_init(struct webhook *webhook, struct loop *loop, struct http *http);
/* Both live until the next call. What waits goes to the new receiver. */
void webhook_configure(struct webhook *webhook, const struct conf *conf, const char *secret);
void webhook_clear(struct webhook *webhook);

static inline bool webhook_is_on(const struct webhook *webhook)
{
    return webhook->conf && webhook->conf->webhook_url[0];
}

/* Queues one; the body, JSON, is taken over (malloc'd), also when it cannot be queued. */
void webhook_add(struct webhook *webhook, const char id[WEBHOOK_ID_CHARS + 1], char *body);

/* The value of Bearerd-Signature. */
void webhook_sign(const char *secret, uint64_t seconds, struct slice body,
                  char out[WEBHOOK_SIGNATURE_MAX]);
