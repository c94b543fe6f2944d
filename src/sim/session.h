/* One SMTP connection to the simulator.
 *
 * session.c: its life, input, timers. commands.c: the verbs. auth.c: SASL.
 * content.c: DATA and BDAT, up to the verdict. faults.c: what knobs break.
 * reply.c: texts. outbox.c: when they leave.
 */
#pragma once

#include <openssl/evp.h>

#include "net/conn.h"
#include "sim/sim.h"
#include "smtp/dot.h"
#include "smtp/line.h"

enum session_state {
    SESSION_COMMAND,
    SESSION_AUTH,        /* 334 was sent, the first SASL message is due */
    SESSION_AUTH_FAILED, /* 334 with the failure was sent, its confirmation is due */
    SESSION_DATA,
    SESSION_BDAT,
    SESSION_TLS /* 220 to STARTTLS is queued: anything in plaintext is wrong */
};

enum chunk_mode {
    CHUNK_TAKE,
    CHUNK_REFUSE, /* its octets are dropped, `refusal` is the reply */
    CHUNK_SILENT  /* dropped, without a reply */
};

enum auth_mech { AUTH_XOAUTH2, AUTH_OAUTHBEARER, AUTH_PLAIN };

/* One mail transaction. Its buffers are kept for the next one. */
struct transaction {
    bool open; /* MAIL was accepted */
    bool utf8;
    bool chunked;  /* a BDAT came */
    bool failed;   /* a BDAT was refused: nothing but RSET helps */
    bool answered; /* reply_body has spoken; the end of data is met with silence */
    bool too_big, bare;
    bool body_fault_done, header_seen;
    unsigned rcpts;
    uint64_t size; /* content so far */
    uint64_t chunk_size, chunk_left;
    bool last; /* this chunk is the last one */
    enum chunk_mode mode;
    char refusal[512];
    struct dot_decoder dots;
    struct crlf_check crlf;
    char message_id[200];
    char *envelope; /* sender NUL recipient NUL ... */
    size_t envelope_len, envelope_cap;
    EVP_MD_CTX *digest;
    char *kept; /* the content's first octets, with --keep-content */
    size_t kept_len, kept_cap;
    int fd; /* the mail file being written, or -1 */
};

struct session {
    struct sim *sim;
    const struct listener *listener;
    const struct profile *profile;
    struct conn *conn; /* NULL during a simulated connect */
    int fd;            /* then the descriptor, else -1 */
    struct list_node node;
    uint64_t opened_ms;
    uint64_t number;   /* of the connection, from 1 */
    uint64_t messages; /* accepted on it */
    char peer[48];
    char id[28];
    enum session_state state;
    bool greeted; /* the greeting has left */
    bool helo, tls;
    bool ended; /* an ending is queued: input is ignored */
    bool mute;  /* stalled: neither reads commands nor answers */
    bool more;  /* input follows the command being handled */
    enum auth_mech mech;
    struct account *user;
    uint64_t token_expires_ms;
    bool no_mailbox;     /* the token is an application's that may not open this one */
    unsigned submitting; /* transactions whose final reply has not left */
    struct line_reader lines;
    struct transaction tx;
    struct outbox outbox;
    struct delay_entry wake;     /* for the outbox, or the simulated connect */
    enum out_kind after_drained; /* an ending that waits for octets to leave */
    struct timer idle, age, goodbye;
    struct timer stalled; /* looks whether the client of an unread body is still there */
    uint64_t flight_us;   /* when the input being handled came */
    uint64_t extra_us;    /* added to the next reply's delay, once */
    char verb[24];        /* the last unknown one */
    char text[512];       /* the next reply's text instead of the usual, once */
    char behind[128];     /* goes out behind the next reply, once */
};

static inline struct knob_scope session_scope(const struct session *session)
{
    struct knobs *own = session->user ? session->user->knobs : NULL;

    return (struct knob_scope){&session->sim->knobs, NULL, own};
}

/* A limit: the knob's, or the documented one where those are on, or 0. */
static inline uint64_t session_limit(const struct session *session, enum knob knob,
                                     unsigned documented)
{
    struct knob_scope scope = session_scope(session);
    unsigned otherwise = knob_on(scope, KNOB_REAL_LIMITS) ? documented : 0;

    return (uint64_t)knob_number(scope, knob, otherwise);
}

/* session.c */
void session_accepted(struct acceptor *acceptor, int fd, const struct net_address *peer);
void session_free(struct session *session);
void session_start_tls(struct session *session);
void session_end(struct session *session, enum out_kind kind);
void session_mute(struct session *session);
void session_stop_reading(struct session *session); /* mute, and the client's writes block */
/* The client broke the protocol: counted, and the text is kept for GET /state. */
void session_error(struct session *session, const char *what);
void session_logged_in(struct session *session, struct account *user, uint64_t token_expires_ms);
/* A transaction begins; the client has its final reply, or will never get one. */
void session_tx_begins(struct session *session);
void session_tx_ends(struct session *session);
void session_knobs_changed(struct session *session); /* timers follow the knobs */

/* reply.c: all fill in, delay, and close after a 421 */
void session_reply(struct session *session, enum reply reply);
void session_reply_text(struct session *session, const char *template);
void session_reply_ehlo(struct session *session);

/* commands.c */
void command_run(struct session *session, struct slice line);

/* auth.c */
void auth_begin(struct session *session, struct slice line, struct slice rest);
void auth_line(struct session *session, struct slice line);

/* content.c */
void content_begin_data(struct session *session);
void content_begin_chunk(struct session *session, uint64_t size, bool last, enum chunk_mode mode);
size_t content_take(struct session *session, struct slice bytes);
void transaction_init(struct transaction *tx);
void transaction_reset(struct session *session);
void transaction_close(struct session *session); /* judged: the final reply will end it */
void transaction_clear(struct transaction *tx);
bool transaction_add_address(struct transaction *tx, struct slice address);

/* verdict.c: the end of data */
void verdict_give(struct session *session);

/* faults.c. True: the knobs have dealt with this command; false: go on (the
 * reply's text or time may have been changed). */
bool fault_strikes(struct session *session, enum phase phase);
/* Its two halves, for commands whose reply has to wait: whether a fault has
 * taken the reply's place, and the reply that the knobs want or NULL. */
bool fault_acts(struct session *session, enum phase phase);
const char *fault_reply(struct session *session, enum phase phase);
