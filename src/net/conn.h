/* One stream connection: a descriptor, plain or TLS, its output queue and its
 * timeout. What runs above it never knows whether there is TLS.
 *
 *     idle ---- data arrives ----> handler->data(bytes) returns octets consumed
 *     conn_pause: the rest, and a bounded read-ahead, are kept
 *     conn_resume: kept octets are delivered at the end of the turn
 *
 * Ownership: conn_open gives the caller a pointer; conn_close and conn_finish
 * take it back and null it, from any callback. After that no callback comes,
 * so the owner may free itself at once.
 */
#pragma once

#include <openssl/ssl.h>
#include <uv.h>

#include "base/chain.h"
#include "base/list.h"
#include "base/str.h"
#include "net/loop.h"
#include "net/timer.h"

struct conn;

enum conn_event {
    CONN_SECURED, /* the TLS handshake is done and, as a client, verified */
    CONN_DRAINED, /* everything written has been handed to the kernel */
    CONN_EOF,     /* the peer will send no more; kept input was consumed */
    CONN_FAILED,  /* reset, TLS error...; `why` of conn_error() says what */
    CONN_TIMEOUT  /* conn_set_timeout ran out */
};

struct conn_handler {
    /* Returns how many octets it took; fewer than bytes.len only if it has
     * called conn_pause. */
    size_t (*data)(struct conn *conn, struct slice bytes);
    /* After EOF, FAILED and TIMEOUT the owner usually closes; it must after
     * FAILED. DRAINED comes at the end of each turn in which the queue became
     * empty. */
    void (*event)(struct conn *conn, enum conn_event event);
};

enum conn_tls_state { CONN_PLAIN, CONN_HANDSHAKE, CONN_TLS };

struct conn_ops; /* plain or TLS transfer functions, private to conn.c */

struct conn {
    struct loop *loop;
    const struct conn_handler *handler;
    void *owner; /* the session or client that uses this connection */
    const struct conn_ops *ops;
    int fd;
    uv_poll_t poll;
    int polled; /* events that poll waits for now */
    SSL *ssl;
    enum conn_tls_state tls;
    struct chain out;
    struct chain kept; /* input not consumed while paused */
    struct timer timeout;
    struct list_node loop_node, resume_node, dirty_node;
    uint64_t bytes_in, bytes_out; /* of the application, without TLS */
    struct reason *error;         /* allocated when there is one */
    bool paused, eof, eof_told, failed, closed, finishing, want_write;
    bool held;    /* output stays in the queue */
    bool dropped; /* conn_drop_kept was called since the handler was */
};

/* Takes over a connected non-blocking descriptor. NULL when memory is out (the
 * descriptor is closed then). */
struct conn *conn_open(struct loop *loop, int fd, const struct conn_handler *handler, void *owner);

/* Queues octets; they leave at the end of the turn. False: memory is out, the
 * connection is failed and the event follows. */
bool conn_write(struct conn *conn, const void *bytes, size_t len);
/* The same for a credential: the queue's memory is wiped behind it. */
bool conn_write_secret(struct conn *conn, const void *bytes, size_t len);
/* Octets not yet handed to the kernel. */
static inline uint64_t conn_pending(const struct conn *conn)
{
    return conn->out.size;
}

/* What is queued stays there until conn_let_out, so that it leaves with what comes then;
 * not where the peer is behind with reading already. */
void conn_hold(struct conn *conn);
void conn_let_out(struct conn *conn);

void conn_pause(struct conn *conn);
void conn_resume(struct conn *conn);
/* Drops input that was kept or is being delivered: what came in plaintext
 * before TLS. Returns whether there was any. */
bool conn_drop_kept(struct conn *conn);

void conn_set_timeout(struct conn *conn, uint64_t ms); /* 0: none */

/* Begins TLS. Output queued before goes out in plaintext first, kept input is
 * dropped. CONN_SECURED or CONN_FAILED follows. `ssl` is taken over; see
 * tls.h. */
void conn_start_tls(struct conn *conn, SSL *ssl);

/* Closes at once; what is queued is lost. */
void conn_close(struct conn **owned);
/* The same for the peer: it is not left with what the kernel still holds, for
 * as long as it takes to read that, but knows at once that this is over. */
void conn_abort(struct conn **owned);
/* Sends what is queued, says goodbye (TLS close_notify, FIN), discards what
 * the peer still sends, and closes; a few seconds at most. A plain close()
 * with unread input would reset the connection and could destroy the last
 * reply before the peer reads it. */
void conn_finish(struct conn **owned);

/* Looks now, without waiting, whether the peer has said or ended something;
 * the handler is called from inside if it has. For a connection that was idle
 * and is about to be used. */
void conn_poke(struct conn *conn);

const char *conn_error(const struct conn *conn); /* after CONN_FAILED */

/* For loop.c: end-of-turn work. */
void conn_flush(struct conn *conn);
void conn_deliver_kept(struct conn *conn);
