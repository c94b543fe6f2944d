#include "relay/inbound/auth.h"

#include <assert.h>
#include <stdlib.h>

#include "relay/inbound/addresses.h"
#include "relay/inbound/transaction.h"

#define BROKER_MS 30000 /* an Argon2id takes a fraction of a second; many may queue */

bool auth_allowed(const struct session *session)
{
    return session->conn->tls == CONN_TLS || session->trusted ||
           !session_conf(session)->auth_requires_tls;
}

bool auth_begin(struct session *session, enum auth_step step)
{
    struct auth *auth = calloc(1, sizeof(*auth));

    assert(!session->auth);
    if (!auth)
        return false;
    auth->session = session;
    auth->step = step;
    auth->since = session_now(session);
    session->auth = auth;
    session_move(session, SESSION_AUTH);
    return true;
}

static void drop_password(struct auth *auth)
{
    if (auth->password)
        explicit_bzero(auth->password, auth->password_len);
    free(auth->password);
    auth->password = NULL;
}

void auth_free(struct session *session)
{
    struct auth *auth = session->auth;

    session->auth = NULL;
    if (!auth)
        return;
    request_cancel(&auth->request);
    drop_password(auth);
    login_unref(auth->found);
    free(auth->login);
    free(auth);
}

bool auth_set_login(struct auth *auth, struct slice login)
{
    auth->login = slice_dup(login);
    auth->login_len = login.len;
    return auth->login != NULL;
}

bool auth_set_password(struct auth *auth, struct slice password)
{
    auth->password = slice_dup(password);
    auth->password_len = password.len;
    return auth->password != NULL;
}

static struct slice login_of(const struct auth *auth)
{
    return (struct slice){auth->login, auth->login_len};
}

void auth_refuse(struct session *session, enum answer answer)
{
    auth_free(session);
    transaction_reset(session);
    session_rest(session);
    session_refuse(session, answer);
}

/* --- outcomes --- */

static void log_failure(struct session *session, const char *reason)
{
    log_event(LOG_WARN, "client_auth_failed", log_u("session", session->serial),
              log_s("client", session->client), log_sl("login", login_of(session->auth)),
              log_s("reason", reason));
}

/* Not the client's fault, so it is neither delayed nor counted. */
static void cannot_tell(struct session *session, const char *reason)
{
    log_failure(session, reason);
    auth_free(session);
    session_rest(session);
    session_say(session, ANSWER_LOGIN_LATER);
}

/* The answer comes a fixed time after the credentials, so that it does not tell
 * by its speed whether a password was looked at. */
static void fail(struct session *session, const char *reason)
{
    uint64_t taken = session_now(session) - session->auth->since;
    uint64_t delay = session_conf(session)->auth_failure_delay_ms;

    drop_password(session->auth);
    session->auth->reason = reason;
    session_wait(session, WAIT_DELAY, delay > taken ? delay - taken : 1);
}

static void count_failure(struct session *session)
{
    const struct conf *conf = session_conf(session);

    stats_add(&session->worker->stats->client_auth_failed_total, 1);
    session->login_failures++;
    if (session->address && client_address_failed(session->address, conf, session_now(session)))
        log_event(LOG_WARN, "client_barred", log_s("client", session->client),
                  log_u("failures", conf->auth_failures_per_address),
                  log_u("window_ms", conf->auth_failure_window_ms));
}

static bool failed_too_often(const struct session *session)
{
    uint32_t most = session_conf(session)->auth_failures_per_connection;

    return most && session->login_failures >= most;
}

static void failure_is_due(struct session *session)
{
    log_failure(session, session->auth->reason);
    count_failure(session);
    auth_free(session);
    transaction_reset(session);
    session_rest(session);
    if (failed_too_often(session))
        session_end_saying(session, ANSWER_TOO_MANY_FAILURES, END_LOGIN);
    else
        session_say(session, ANSWER_LOGIN_FAILED);
}

static void succeed(struct session *session)
{
    if (atomic_load(&session->auth->found->removed)) {
        cannot_tell(session, "the account changed meanwhile");
        return;
    }
    session->login = session->auth->found;
    session->auth->found = NULL;
    log_event(LOG_INFO, "client_login", log_u("session", session->serial),
              log_s("client", session->client), log_sl("login", login_of(session->auth)),
              log_s("account", session->login->id), log_b("tls", session->conn->tls == CONN_TLS));
    stats_add(&session->worker->stats->client_auth_ok_total, 1);
    auth_free(session);
    session_rest(session);
    session_say(session, ANSWER_LOGGED_IN);
}

/* --- the check --- */

static void check_login(struct session *session);

static void on_looked_up(struct request *request, const struct ipc_message *answer)
{
    struct session *session = request->owner;

    (void)answer; /* the directory knows, and whoever else asked has put it there */
    session_go_on(session);
    check_login(session);
    session_leave(session);
}

/* A name that no account can have is not worth a question. */
static bool is_plausible(struct slice login)
{
    for (size_t i = 0; i < login.len; i++) {
        if ((unsigned char)login.ptr[i] < 32 || login.ptr[i] == 127)
            return false;
    }
    return login.len > 0 && login.len <= IPC_ID_MAX;
}

static void look_up(struct session *session)
{
    struct auth *auth = session->auth;

    auth->looked_up = true;
    if (request_lookup(session->worker, &auth->request, login_of(auth), on_looked_up, session))
        session_wait(session, WAIT_LOOKUP, BROKER_MS);
    else
        cannot_tell(session, "the lookup could not be sent");
}

static void password_is_right(struct session *session, uint64_t generation)
{
    struct auth *auth = session->auth;
    struct directory *directory = session->worker->relay->directory;

    if (generation != auth->found->generation) {
        cannot_tell(session, "the account changed meanwhile");
        return;
    }
    login_remember_password(directory, auth->found,
                            (struct slice){auth->password, auth->password_len});
    succeed(session);
}

static void on_password(struct request *request, const struct ipc_message *answer)
{
    struct session *session = request->owner;

    session_go_on(session);
    if (answer->u.password_done.ok == 1)
        password_is_right(session, answer->u.password_done.generation);
    else if (answer->u.password_done.ok == 0)
        fail(session, "wrong password");
    else
        cannot_tell(session, "the password could not be checked");
    session_leave(session);
}

static void check_password(struct session *session)
{
    struct auth *auth = session->auth;
    struct slice password = {auth->password, auth->password_len};

    if (login_password_remembered(session->worker->relay->directory, auth->found, password))
        succeed(session);
    else if (request_password(session->worker, &auth->request, slice_of(auth->found->id), password,
                              on_password, session))
        session_wait(session, WAIT_PASSWORD, BROKER_MS);
    else
        cannot_tell(session, "the password check could not be sent");
}

static void check_login(struct session *session)
{
    struct auth *auth = session->auth;

    auth->found = directory_find(session->worker->relay->directory, login_of(auth));
    if (!auth->found && !auth->looked_up)
        look_up(session);
    else if (!auth->found)
        fail(session, "no such login");
    else if (auth->found->has_password)
        check_password(session);
    else if (session->trusted)
        succeed(session);
    else
        fail(session, "the account has no password and the client is not trusted");
}

void auth_check(struct session *session)
{
    session->auth->since = session_now(session);
    if (is_plausible(login_of(session->auth)))
        check_login(session);
    else
        fail(session, "no such login");
}

void auth_timeout(struct session *session)
{
    bool delay = session->wait == WAIT_DELAY;

    session_go_on(session);
    if (delay)
        failure_is_due(session);
    else
        cannot_tell(session, "the broker did not answer in time");
}
