/* Two ends of a socketpair in one loop, or one end and a raw descriptor where
 * the peer must misbehave; each end counts what it is told. */
#pragma once

#include "net/conn.h"
#include "net/tls.h"

struct end {
    struct conn *conn;
    char *got;
    size_t got_len, got_cap;
    unsigned calls, events[CONN_TIMEOUT + 1];
    size_t take;                   /* of each delivery, then pause; 0: all */
    void (*on_data)(struct end *); /* behind taking it */
    void (*on_event)(struct end *, enum conn_event);
    struct end *peer;
};

extern struct loop loop;
extern SSL_CTX *server_tls, *client_tls; /* the client's trusts the server's */

/* Of a group of tests. */
int pair_set_up(void **state);
int pair_tear_down(void **state);

void turns(unsigned count); /* of the loop */
bool wait_for(const unsigned *event);
void wait_for_octets(struct end *end, size_t len);

void open_end(struct end *end, int fd);
int open_one(struct end *end); /* one end and the peer's bare descriptor */
void open_two(struct end *a, struct end *b, int buffer);
void close_end(struct end *end);
void secure(struct end *client, struct end *server, struct tls_peer *peer);
void say(int fd, const char *text);
void check_got(const char *row, struct end *end, const char *wanted);

/* For handlers of a test's own. */
void end_take(struct end *end, const char *bytes, size_t len);
void on_event(struct conn *conn, enum conn_event event);
void close_on_event(struct end *end, enum conn_event event);
