/* One AUTH exchange: cmd_auth.c speaks it, auth.c finds out whether the client
 * may log in. There is one while the session is in SESSION_AUTH and no longer,
 * so that a password is wiped with it.
 *
 *     credentials -> login known? --no--> ask the broker once
 *                 -> no password set: only trusted clients
 *                 -> remembered as right, or ask the broker
 *                 -> 235, or 535 after a delay that does not tell which was wrong
 */
#pragma once

#include "relay/inbound/session_private.h"
#include "relay/request.h"

enum auth_step { AUTH_PLAIN, AUTH_LOGIN_USER, AUTH_LOGIN_PASSWORD };

struct auth {
    struct session *session;
    enum auth_step step;    /* what the next line is */
    char *login, *password; /* NULL until known */
    size_t login_len, password_len;
    struct login *found; /* our reference */
    struct request request;
    bool looked_up;     /* the broker was asked for the login */
    uint64_t since;     /* when the credentials came */
    const char *reason; /* of a failure, for the log */
};

/* May this client send a password over this connection? */
bool auth_allowed(const struct session *session);

/* Begins an exchange; false when memory is out. */
bool auth_begin(struct session *session, enum auth_step step);
/* Ends it, wipes what it held; without one, nothing. */
void auth_free(struct session *session);
/* A response line of the client; in cmd_auth.c. */
void auth_line(struct session *session, struct slice line);

/* Copies what the client gave; false when memory is out. */
bool auth_set_login(struct auth *auth, struct slice login);
bool auth_set_password(struct auth *auth, struct slice password);
/* Both are there: the exchange ends in a reply, sooner or later. */
void auth_check(struct session *session);
/* Ends the exchange without a check. */
void auth_refuse(struct session *session, enum answer answer);

/* The session's timeout ran out in one of auth's waits. */
void auth_timeout(struct session *session);
