/* AUTH PLAIN and AUTH LOGIN (RFC 4954, RFC 4616). */
#include <stdlib.h>

#include "relay/inbound/addresses.h"
#include "relay/inbound/auth.h"
#include "relay/inbound/commands.h"
#include "smtp/sasl.h"

/* The prompts of LOGIN, which no RFC describes: "Username:", "Password:". */
#define ASK_USER "VXNlcm5hbWU6"
#define ASK_PASSWORD "UGFzc3dvcmQ6"

/* A challenge too must have left before the response may come. */
static void challenge(struct session *session, struct slice text)
{
    session_reply(session, 334, (struct smtp_enhanced){0}, text);
    session->quiet = true;
}

/* The line lies in the loop's buffer or in the line reader, both ours to
 * write: no copy of a password stays behind. */
static void wipe(struct slice line)
{
    if (line.len)
        explicit_bzero((void *)(uintptr_t)line.ptr, line.len);
}

static void take_plain(struct session *session, struct slice line)
{
    size_t cap = line.len / 4 * 3 + 3;
    char *scratch = malloc(cap);
    struct slice login, password;
    bool decoded, kept = false;

    if (!scratch) {
        auth_refuse(session, ANSWER_LOGIN_LATER);
        return;
    }
    decoded = sasl_plain_decode(line, scratch, cap, &login, &password, NULL);
    if (decoded)
        kept = auth_set_login(session->auth, login) && auth_set_password(session->auth, password);
    explicit_bzero(scratch, cap);
    free(scratch);
    if (kept)
        auth_check(session);
    else
        auth_refuse(session, decoded ? ANSWER_LOGIN_LATER : ANSWER_AUTH_MALFORMED);
}

static void login_part(struct session *session, struct slice part)
{
    struct auth *auth = session->auth;

    if (auth->step == AUTH_LOGIN_USER) {
        auth->step = AUTH_LOGIN_PASSWORD;
        if (auth_set_login(auth, part))
            challenge(session, SLICE(ASK_PASSWORD));
        else
            auth_refuse(session, ANSWER_LOGIN_LATER);
        return;
    }
    if (auth_set_password(auth, part))
        auth_check(session);
    else
        auth_refuse(session, ANSWER_LOGIN_LATER);
}

static void take_login(struct session *session, struct slice line)
{
    size_t cap = line.len / 4 * 3 + 3;
    char *scratch = malloc(cap);
    ptrdiff_t len = scratch ? base64_decode(line, scratch, cap) : 0;

    if (scratch && len >= 0)
        login_part(session, (struct slice){scratch, (size_t)len});
    else
        auth_refuse(session, scratch ? ANSWER_AUTH_MALFORMED : ANSWER_LOGIN_LATER);
    if (scratch)
        explicit_bzero(scratch, cap);
    free(scratch);
}

/* "=" is an empty initial response (RFC 4954 section 4); some clients send it
 * as a response too. */
static void take_response(struct session *session, struct slice line)
{
    if (slice_equal(line, SLICE("=")))
        line.len = 0;
    if (session->auth->step == AUTH_PLAIN)
        take_plain(session, line);
    else
        take_login(session, line);
}

void auth_line(struct session *session, struct slice line)
{
    session->quiet = true;
    if (slice_equal(line, SLICE("*"))) {
        auth_refuse(session, ANSWER_AUTH_CANCELLED);
        return;
    }
    take_response(session, line);
    wipe(line);
}

static bool find_mechanism(struct slice name, enum auth_step *step)
{
    bool plain = slice_equal_nocase(name, SLICE("PLAIN"));

    *step = plain ? AUTH_PLAIN : AUTH_LOGIN_USER;
    return plain || slice_equal_nocase(name, SLICE("LOGIN"));
}

/* Whether there may be an exchange at all. */
static bool may_log_in(struct session *session)
{
    if (session->login) {
        session_refuse(session, ANSWER_ALREADY_LOGGED_IN);
    } else if (!auth_allowed(session)) {
        session_refuse(session, ANSWER_NEEDS_ENCRYPTION);
    } else if (session->address && client_address_barred(session->address, session_conf(session),
                                                         session_now(session))) {
        session_end_saying(session, ANSWER_TOO_MANY_FAILURES, END_LOGIN);
    } else {
        return true;
    }
    return false;
}

static void begin(struct session *session, struct slice mechanism, struct slice response)
{
    enum auth_step step;

    if (!find_mechanism(mechanism, &step))
        session_refuse(session, ANSWER_MECHANISM);
    else if (!auth_begin(session, step))
        session_say(session, ANSWER_LOGIN_LATER);
    else if (response.len)
        take_response(session, response);
    else
        challenge(session, step == AUTH_PLAIN ? SLICE("") : SLICE(ASK_USER));
}

void cmd_auth(struct session *session, struct slice rest)
{
    const char *blank = rest.len ? memchr(rest.ptr, ' ', rest.len) : NULL;
    struct slice mechanism = {rest.ptr, blank ? (size_t)(blank - rest.ptr) : rest.len};
    struct slice response = SLICE_NONE;

    if (blank)
        response = slice_trim((struct slice){blank + 1, rest.len - mechanism.len - 1});
    if (!may_log_in(session))
        return;
    if (!mechanism.len || (response.len && memchr(response.ptr, ' ', response.len)))
        session_refuse(session, ANSWER_AUTH_SYNTAX);
    else
        begin(session, mechanism, response);
    wipe(response);
}
