/* The session as the files of this folder see it.
 *
 *                  .--------- EHLO -----------.
 *     HANDSHAKE -> FRESH -> GREETED -> AUTH -> READY -> MAIL -> DATA --> VERDICT -> READY
 *                             ^  STARTTLS: back to FRESH  `-> BDAT <-> CHUNKS -'
 *
 * A session waits for at most one thing at a time; its connection is paused
 * then, so that commands are answered in order, and the connection's timeout is
 * the wait's. What belongs to one transaction is in struct transaction, what
 * belongs to one AUTH in struct auth: resetting either is freeing it.
 *
 * Callbacks end in session_leave: a session that ended is freed there and
 * nowhere else, so code between may still look at it.
 */
#pragma once

#include "net/conn.h"
#include "relay/directory.h"
#include "relay/inbound/answers.h"
#include "relay/inbound/session.h"
#include "smtp/line.h"

enum session_state {
    SESSION_HANDSHAKE, /* TLS */
    SESSION_FRESH,     /* no EHLO yet */
    SESSION_GREETED,   /* not logged in */
    SESSION_AUTH,      /* the next line is a response, or it is being checked */
    SESSION_READY,     /* logged in */
    SESSION_MAIL,      /* a transaction is open */
    SESSION_DATA,      /* content up to the final dot */
    SESSION_BDAT,      /* octets of a chunk */
    SESSION_CHUNKS,    /* between two chunks of a message */
    SESSION_VERDICT,   /* the message is complete, the provider has it or will */
    SESSION_DISCARD,   /* octets of a chunk that is refused */
    SESSION_ENDED,
    SESSION_STATES
};

enum session_wait {
    WAIT_NONE,
    WAIT_LOOKUP,   /* for the broker: is there such a login? */
    WAIT_PASSWORD, /* for the broker: is it right? */
    WAIT_DELAY,    /* a failed login is answered late */
    WAIT_MEMORY,   /* message memory is out */
    WAIT_RCPT,     /* for the provider's answer to RCPT */
    WAIT_FINAL,    /* for the job */
    WAIT_OUTPUT,   /* the client does not read its replies */
    WAITS
};

enum session_end {
    END_QUIT,
    END_EOF,
    END_FAILED, /* reset, TLS error */
    END_TIMEOUT,
    END_DRAIN,
    END_SHUTDOWN,
    END_ABUSE, /* a rule or a limit was broken */
    END_LOGIN, /* failed too often, or the account changed */
    ENDS
};

extern const char *const session_state_names[SESSION_STATES];
extern const char *const session_wait_names[WAITS];

struct auth;
struct client_address;
struct transaction;

struct session {
    struct worker *worker;
    struct conn *conn; /* NULL when ended */
    uint64_t serial;
    enum session_state state; /* session_move only */
    enum session_wait wait;   /* session_wait and session_go_on only */
    enum conf_tls tls;        /* of the listener */
    bool trusted;             /* one of trusted_clients */
    bool greeted;             /* EHLO or HELO was said */
    bool quiet;               /* input before our reply left is input ahead of its turn */
    bool mail_refused;        /* RCPT and DATA pipelined behind it are no errors */
    bool timeout_stale;       /* a line or some content came: the clock starts anew */
    unsigned errors, bad_lines, login_failures, idle_commands;
    uint64_t wait_until;            /* WAIT_MEMORY polls until then */
    struct client_address *address; /* NULL for trusted clients */
    struct line_reader line;
    struct login *login; /* our reference */
    struct auth *auth;
    struct transaction *transaction;
    uint64_t discard_left; /* SESSION_DISCARD, and the answer behind it */
    enum answer discard_answer;
    struct list_node worker_node;
    char client[64]; /* the address as text */
};

static inline uint64_t session_now(const struct session *session)
{
    return loop_now(&session->worker->loop);
}

static inline const struct conf *session_conf(const struct session *session)
{
    return worker_conf(session->worker);
}

/* The one function that changes the state; asserts that the step is legal. */
void session_move(struct session *session, enum session_state to);
/* Back to command lines, in the state that follows from what is there. */
void session_rest(struct session *session);

/* Stops reading until session_go_on; the event handler ends the wait when `ms`
 * are over (0: never). */
void session_wait(struct session *session, enum session_wait wait, uint64_t ms);
void session_go_on(struct session *session);

/* A reply of the provider or one with a value in its text. */
void session_reply(struct session *session, int code, struct smtp_enhanced enhanced,
                   struct slice text);
void session_say(struct session *session, enum answer answer);
/* The same, counted as the client's error: the last one allowed ends the
 * session, so nothing may follow in the caller. */
void session_refuse(struct session *session, enum answer answer);
void session_refuse_text(struct session *session, int code, struct smtp_enhanced enhanced,
                         const char *text);
/* For the operator: a client that breaks the rules. `kind` is a fixed word. */
void session_violation(struct session *session, const char *kind);

/* The one way out. Says `answer` first; the conn is given up. */
void session_end(struct session *session, enum session_end why);
void session_end_saying(struct session *session, enum answer answer, enum session_end why);
/* The account has gone or is another. */
void session_end_of_login(struct session *session);
/* Ends each callback: frees the session when it has ended. */
void session_leave(struct session *session);

/* Forgets all that the client has said and who it is (RFC 3207 section 4.2). */
void session_forget(struct session *session);

/* Is STARTTLS offered now? */
bool session_offers_tls(const struct session *session);

/* input.c: octets of the client. */
size_t session_input(struct session *session, struct slice bytes);
