/* What a session will say, each with the time when it leaves, in order:
 * replies, and at last how the connection ends.
 *
 * Every reply goes this way, also when it leaves at once, so that delays,
 * pacing and endings compose and never overtake one another. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OUT_ITEM_BYTES 480

enum out_kind {
    OUT_BYTES,
    OUT_TLS,    /* the TLS handshake begins */
    OUT_FINISH, /* goodbye of TLS, FIN */
    OUT_DROP,   /* FIN at once */
    OUT_RESET   /* RST */
};

struct out_item {
    struct out_item *next;
    uint64_t due; /* us */
    enum out_kind kind;
    bool final;       /* a transaction's last reply */
    uint64_t message; /* seq of the message that it acknowledges, 0: none */
    size_t len;
    char bytes[OUT_ITEM_BYTES];
};

struct out_pool {
    struct out_item *spare;
};

void out_pool_clear(struct out_pool *pool);

struct outbox {
    struct out_item *head, *tail;
};

struct session;

/* Queues octets `extra_us` later than the round trip asks for. */
void outbox_add(struct session *session, const char *bytes, size_t len, uint64_t extra_us);
/* The octets queued last are a transaction's final reply. */
void outbox_mark_final(struct session *session, uint64_t message);
void outbox_end(struct session *session, enum out_kind kind);
/* Hands what is due to the connection. The session may be gone afterwards. */
void outbox_release(struct session *session);
void outbox_clear(struct session *session);
