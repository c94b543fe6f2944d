#include "net/conn.h"

#include <assert.h>
#include <errno.h>
#include <linux/sockios.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "net/tls.h"

/* A paused connection reads on for so much, so that the peer's end is noticed
 * and a pipelining client need not wait; then the kernel's buffer fills. */
#define CONN_AHEAD 16384
#define CONN_FINISH_MS 5000
#define CONN_FINISH_DISCARD (1u << 20)
#define CONN_WRITEV 16
#define POKE_BYTES 4096
/* One busy peer yields to the others after so much input in one turn. */
#define CONN_TURN_BYTES (4 * LOOP_SCRATCH_BYTES)

enum io_status { IO_OK, IO_AGAIN, IO_EOF, IO_FAILED };

struct conn_ops {
    /* Reads at most cap octets. *more: there may be more without waiting. */
    enum io_status (*read)(struct conn *conn, void *bytes, size_t cap, size_t *len, bool *more);
    /* Writes as much of the queue as goes. */
    enum io_status (*write)(struct conn *conn);
};

static void on_poll(uv_poll_t *poll, int status, int events);

static enum io_status fail(struct conn *conn, const char *what, const char *detail)
{
    conn->failed = true;
    if (!conn->error)
        conn->error = malloc(sizeof(*conn->error));
    if (conn->error)
        reason_set(conn->error, "%s: %s", what, detail);
    return IO_FAILED;
}

const char *conn_error(const struct conn *conn)
{
    return conn->error ? conn->error->text : "connection failed";
}

static enum io_status plain_read(struct conn *conn, void *bytes, size_t cap, size_t *len,
                                 bool *more)
{
    ssize_t n;

    do
        n = recv(conn->fd, bytes, cap, 0);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        *len = (size_t)n;
        *more = *len == cap; /* a short read has emptied the socket */
        return IO_OK;
    }
    if (n == 0)
        return IO_EOF;
    if (errno == EAGAIN)
        return IO_AGAIN;
    return fail(conn, "read", strerror(errno));
}

static enum io_status plain_write(struct conn *conn)
{
    while (conn->out.size) {
        struct iovec parts[CONN_WRITEV];
        struct msghdr message = {.msg_iov = parts};
        struct chain_reader reader;
        const unsigned char *run;
        size_t len, total = 0;
        ssize_t n;

        chain_reader_init(&reader, &conn->out);
        while (message.msg_iovlen < CONN_WRITEV && (len = chain_read(&reader, &run, SIZE_MAX))) {
            parts[message.msg_iovlen++] = (struct iovec){(void *)(uintptr_t)run, len};
            total += len;
        }
        n = sendmsg(conn->fd, &message, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? IO_AGAIN : fail(conn, "write", strerror(errno));
        chain_consume(&conn->out, (size_t)n);
        conn->bytes_out += (size_t)n;
        if ((size_t)n < total)
            return IO_AGAIN;
    }
    return IO_OK;
}

static enum io_status tls_status(struct conn *conn, int rc, const char *what)
{
    char detail[256];

    switch (SSL_get_error(conn->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        return IO_AGAIN;
    case SSL_ERROR_WANT_WRITE:
        conn->want_write = true;
        return IO_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return IO_EOF;
    case SSL_ERROR_SYSCALL:
        if (ERR_peek_error() == 0)
            return errno == 0 ? IO_EOF : fail(conn, what, strerror(errno));
        break;
    default:
        break;
    }
    tls_error_text(conn->ssl, detail, sizeof(detail));
    return fail(conn, what, detail);
}

static enum io_status tls_read(struct conn *conn, void *bytes, size_t cap, size_t *len, bool *more)
{
    int rc;

    ERR_clear_error();
    errno = 0;
    rc = SSL_read_ex(conn->ssl, bytes, cap, len);
    if (rc <= 0)
        return tls_status(conn, rc, "TLS read");
    *more = SSL_has_pending(conn->ssl) != 0;
    return IO_OK;
}

static enum io_status tls_write(struct conn *conn)
{
    while (conn->out.size) {
        size_t len, sent;
        const unsigned char *run = chain_peek(&conn->out, &len);
        int rc;

        ERR_clear_error();
        errno = 0;
        rc = SSL_write_ex(conn->ssl, run, len, &sent);
        if (rc <= 0) {
            enum io_status status = tls_status(conn, rc, "TLS write");

            return status == IO_EOF ? fail(conn, "TLS write", "closed by the peer") : status;
        }
        chain_consume(&conn->out, sent);
        conn->bytes_out += sent;
    }
    return IO_OK;
}

static const struct conn_ops plain_ops = {plain_read, plain_write};
static const struct conn_ops tls_ops = {tls_read, tls_write};

static bool wants_read(const struct conn *conn)
{
    if (conn->eof || conn->failed)
        return false;
    return conn->kept.size < CONN_AHEAD;
}

/* Tells epoll only what changed. */
static void update_poll(struct conn *conn)
{
    int events = 0;

    if (conn->closed)
        return;
    if (conn->tls == CONN_HANDSHAKE || wants_read(conn))
        events |= UV_READABLE;
    if (conn->want_write)
        events |= UV_WRITABLE;
    if (events == conn->polled)
        return;
    conn->polled = events;
    if (events)
        uv_poll_start(&conn->poll, events, on_poll);
    else
        uv_poll_stop(&conn->poll);
}

static void tell(struct conn *conn, enum conn_event event)
{
    if (conn->closed)
        return;
    if (!conn->finishing)
        conn->handler->event(conn, event);
    else if (event != CONN_EOF || !conn->out.size) /* a half-closed peer still reads */
        conn_close(&conn);
}

static void on_timeout(struct timer *timer)
{
    tell(container_of(timer, struct conn, timeout), CONN_TIMEOUT);
}

struct conn *conn_open(struct loop *loop, int fd, const struct conn_handler *handler, void *owner)
{
    struct conn *conn = calloc(1, sizeof(*conn));

    if (!conn || uv_poll_init(&loop->uv, &conn->poll, fd) < 0) {
        close(fd);
        free(conn);
        return NULL;
    }
    conn->loop = loop;
    conn->handler = handler;
    conn->owner = owner;
    conn->ops = &plain_ops;
    conn->fd = fd;
    conn->poll.data = conn;
    chain_init(&conn->out, &loop->chunks);
    chain_init(&conn->kept, &loop->chunks);
    timer_init(&conn->timeout, on_timeout);
    list_push_tail(&loop->connections, &conn->loop_node);
    update_poll(conn);
    return conn;
}

static void mark_dirty(struct conn *conn)
{
    if (!list_node_linked(&conn->dirty_node) && !conn->closed)
        list_push_tail(&conn->loop->dirty, &conn->dirty_node);
}

bool conn_write(struct conn *conn, const void *bytes, size_t len)
{
    if (conn->failed)
        return false;
    mark_dirty(conn);
    if (!chain_add(&conn->out, bytes, len)) {
        fail(conn, "write", "out of memory");
        return false;
    }
    return true;
}

void conn_hold(struct conn *conn)
{
    conn->held = !conn->want_write && conn->tls != CONN_HANDSHAKE;
}

void conn_let_out(struct conn *conn)
{
    if (conn->held && conn->out.size)
        mark_dirty(conn);
    conn->held = false;
}

bool conn_write_secret(struct conn *conn, const void *bytes, size_t len)
{
    bool ok = conn_write(conn, bytes, len);

    conn->out.secret = conn->out.head != NULL;
    return ok;
}

/* Calls the handler and returns what it took; all of it, when nobody wants the
 * rest any more: the connection has ended, or began TLS. */
static size_t hand_over(struct conn *conn, const void *bytes, size_t len)
{
    size_t used;

    conn->dropped = false;
    used = conn->handler->data(conn, (struct slice){bytes, len});
    if (conn->closed || conn->finishing || conn->dropped)
        return len;
    assert(used == len || conn->paused);
    return used;
}

/* Delivers octets; what the handler leaves is kept, which it may only while
 * paused. */
static void deliver(struct conn *conn, const void *bytes, size_t len)
{
    size_t used = 0;

    conn->bytes_in += len;
    if (conn->finishing) {
        if (conn->bytes_in > CONN_FINISH_DISCARD)
            conn_close(&conn);
        return;
    }
    if (!conn->paused && !conn->kept.size) /* else it belongs behind what is kept */
        used = hand_over(conn, bytes, len);
    if (used < len && !chain_add(&conn->kept, (const char *)bytes + used, len - used))
        fail(conn, "read", "out of memory");
}

static void tell_end(struct conn *conn)
{
    if (conn->closed || conn->eof_told)
        return;
    if (conn->failed) {
        conn->eof_told = true;
        tell(conn, CONN_FAILED);
    } else if (conn->eof && !conn->kept.size) {
        conn->eof_told = true;
        tell(conn, CONN_EOF);
    }
}

static void read_into(struct conn *conn, unsigned char *scratch, size_t room)
{
    bool more = true;
    size_t turn = 0;

    while (more && !conn->closed && conn->tls != CONN_HANDSHAKE && wants_read(conn) &&
           turn < CONN_TURN_BYTES) {
        bool keeps = conn->paused || conn->kept.size;
        size_t cap = keeps && room > CONN_AHEAD ? CONN_AHEAD : room, len = 0;
        enum io_status status = conn->ops->read(conn, scratch, cap, &len, &more);

        if (status == IO_AGAIN)
            break;
        if (status == IO_OK) {
            turn += len;
            deliver(conn, scratch, len);
        } else if (status == IO_EOF) {
            conn->eof = true;
        }
    }
    /* OpenSSL may hold decrypted octets that epoll does not know of. */
    if (more && !conn->closed && conn->tls == CONN_TLS && wants_read(conn) && turn &&
        !list_node_linked(&conn->resume_node))
        list_push_tail(&conn->loop->resumed, &conn->resume_node);
    tell_end(conn);
}

static void read_some(struct conn *conn)
{
    read_into(conn, conn->loop->scratch, LOOP_SCRATCH_BYTES);
}

void conn_deliver_kept(struct conn *conn)
{
    while (!conn->closed && !conn->paused && conn->kept.size) {
        /* Copied out, because the handler may drop what is kept (STARTTLS). */
        size_t len, used;
        const unsigned char *run = chain_peek(&conn->kept, &len);

        memcpy(conn->loop->scratch, run, len);
        used = hand_over(conn, conn->loop->scratch, len);
        if (conn->kept.size) /* not dropped by the handler */
            chain_consume(&conn->kept, used);
    }
    if (conn->closed)
        return;
    if (!conn->paused && conn->tls == CONN_TLS && SSL_has_pending(conn->ssl))
        read_some(conn);
    tell_end(conn);
    if (!conn->closed)
        update_poll(conn);
}

/* OpenSSL reads ahead: what it holds, the kernel no longer knows of. */
static bool something_there(const struct conn *conn)
{
    char octet;

    if (conn->tls == CONN_TLS && SSL_has_pending(conn->ssl))
        return true;
    return recv(conn->fd, &octet, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN;
}

void conn_poke(struct conn *conn)
{
    /* Not the loop's scratch: the caller may be in the middle of another
     * connection's input, which lies there. */
    unsigned char own[POKE_BYTES];

    if (conn->closed || !wants_read(conn) || !something_there(conn))
        return;
    read_into(conn, own, sizeof(own));
    if (!conn->closed)
        update_poll(conn);
}

void conn_pause(struct conn *conn)
{
    conn->paused = true;
}

void conn_resume(struct conn *conn)
{
    if (!conn->paused)
        return;
    conn->paused = false;
    if (!list_node_linked(&conn->resume_node) && !conn->closed)
        list_push_tail(&conn->loop->resumed, &conn->resume_node);
}

bool conn_drop_kept(struct conn *conn)
{
    bool any = conn->kept.size > 0;

    chain_clear(&conn->kept);
    conn->dropped = true;
    return any;
}

void conn_set_timeout(struct conn *conn, uint64_t ms)
{
    if (ms)
        loop_timer_set(conn->loop, &conn->timeout, ms);
    else
        loop_timer_cancel(conn->loop, &conn->timeout);
}

static void handshake(struct conn *conn)
{
    int rc;

    ERR_clear_error();
    errno = 0;
    conn->want_write = false;
    rc = SSL_do_handshake(conn->ssl);
    if (rc == 1) {
        conn->tls = CONN_TLS;
        conn->ops = &tls_ops;
        if (conn->out.size)
            mark_dirty(conn);
        tell(conn, CONN_SECURED);
        if (!conn->closed && wants_read(conn))
            read_some(conn);
        return;
    }
    if (tls_status(conn, rc, "TLS handshake") == IO_EOF)
        fail(conn, "TLS handshake", "closed by the peer");
    tell_end(conn);
}

void conn_start_tls(struct conn *conn, SSL *ssl)
{
    conn_drop_kept(conn);
    if (conn->out.size && plain_write(conn) != IO_OK && !conn->failed)
        fail(conn, "TLS handshake", "the peer does not read");
    conn->ssl = ssl;
    if (!ssl || SSL_set_fd(ssl, conn->fd) != 1)
        fail(conn, "TLS handshake", "out of memory");
    conn->tls = CONN_HANDSHAKE;
    conn->paused = false;
    /* The first step runs from the end of the turn, so that the owner's
     * callback has returned. */
    mark_dirty(conn);
}

static void finish_step(struct conn *conn)
{
    if (conn->out.size)
        return;
    if (conn->ssl && conn->tls == CONN_TLS) {
        ERR_clear_error();
        SSL_shutdown(conn->ssl);
    }
    shutdown(conn->fd, SHUT_WR);
    if (conn->eof)
        conn_close(&conn);
}

/* A peer that refuses a message early says why and closes; our write then
 * fails although its reply lies in our socket. Read that before giving up. */
static void read_last_words(struct conn *conn)
{
    conn->failed = false;
    conn->eof_told = true; /* whatever the read says, the write's failure is the end */
    read_some(conn);
    if (conn->closed)
        return;
    conn->eof_told = false;
    conn->failed = true;
    tell_end(conn);
}

void conn_flush(struct conn *conn)
{
    bool had = conn->out.size > 0;

    if (conn->closed || (conn->held && !conn->failed))
        return;
    if (conn->tls == CONN_HANDSHAKE) {
        if (conn->failed)
            tell_end(conn);
        else
            handshake(conn);
        if (!conn->closed)
            update_poll(conn);
        return;
    }
    conn->want_write = false;
    if (!conn->failed)
        conn->want_write = conn->ops->write(conn) == IO_AGAIN && conn->out.size > 0;
    if (conn->failed)
        read_last_words(conn);
    else if (conn->finishing)
        finish_step(conn);
    else if (had && !conn->out.size)
        tell(conn, CONN_DRAINED);
    if (!conn->closed)
        update_poll(conn);
}

/* libuv has stopped the poll. What the peer sent before it vanished is read
 * first; that read usually meets the error as well. */
static void on_descriptor_error(struct conn *conn)
{
    int error = 0;
    socklen_t len = sizeof(error);

    conn->polled = 0;
    if (conn->tls != CONN_HANDSHAKE && wants_read(conn))
        read_some(conn);
    if (conn->closed || conn->failed)
        return;
    conn->eof_told = false; /* a half-closed peer has gone for good */
    getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    fail(conn, "connection", error ? strerror(error) : "reset by the peer");
    tell_end(conn);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct conn *conn = poll->data;

    if (status < 0) {
        on_descriptor_error(conn);
    } else if (conn->tls == CONN_HANDSHAKE) {
        handshake(conn);
    } else {
        if (events & UV_WRITABLE)
            conn_flush(conn);
        if (!conn->closed && wants_read(conn))
            read_some(conn);
    }
    if (!conn->closed)
        update_poll(conn);
}

static void on_closed(uv_handle_t *handle)
{
    struct conn *conn = handle->data;

    free(conn->error);
    free(conn);
}

void conn_close(struct conn **owned)
{
    struct conn *conn = *owned;
    struct loop *loop;

    *owned = NULL;
    if (!conn || conn->closed)
        return;
    loop = conn->loop;
    conn->closed = true;
    loop_timer_cancel(loop, &conn->timeout);
    if (list_node_linked(&conn->resume_node))
        list_remove(&loop->resumed, &conn->resume_node);
    if (list_node_linked(&conn->dirty_node))
        list_remove(&loop->dirty, &conn->dirty_node);
    list_remove(&loop->connections, &conn->loop_node);
    chain_clear(&conn->out);
    chain_clear(&conn->kept);
    if (conn->ssl) {
        /* A session of a connection that was cut short may be used again. */
        SSL_set_quiet_shutdown(conn->ssl, 1);
        SSL_shutdown(conn->ssl);
        SSL_free(conn->ssl);
        conn->ssl = NULL;
    }
    uv_close((uv_handle_t *)&conn->poll, on_closed);
    close(conn->fd);
}

void conn_abort(struct conn **owned)
{
    struct conn *conn = *owned;
    struct linger reset = {.l_onoff = 1};
    int unsent = 0;

    if (conn && !conn->closed && ioctl(conn->fd, SIOCOUTQ, &unsent) == 0 && unsent > 0)
        setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    conn_close(owned);
}

static size_t ignore_data(struct conn *conn, struct slice bytes)
{
    (void)conn;
    return bytes.len;
}

static void ignore_event(struct conn *conn, enum conn_event event)
{
    (void)conn;
    (void)event;
}

static const struct conn_handler finishing_handler = {ignore_data, ignore_event};

void conn_finish(struct conn **owned)
{
    struct conn *conn = *owned;

    *owned = NULL;
    if (!conn || conn->closed)
        return;
    if (conn->failed || conn->tls == CONN_HANDSHAKE) {
        conn_close(&conn);
        return;
    }
    conn->handler = &finishing_handler;
    conn->owner = NULL;
    conn->finishing = true;
    conn->paused = false;
    conn->bytes_in = 0;
    chain_clear(&conn->kept);
    conn_set_timeout(conn, CONN_FINISH_MS);
    mark_dirty(conn);
}
