/* STARTTLS (RFC 3207). */
#include "net/tls.h"
#include "relay/inbound/commands.h"

bool session_offers_tls(const struct session *session)
{
    return session->tls == CONF_TLS_STARTTLS && session->conn->tls == CONN_PLAIN;
}

/* Whatever the client sent behind the command in plaintext is dropped, never
 * read as if it had come through TLS (CVE-2011-0411): conn_start_tls forgets
 * what is kept, session_input drops the rest of what is being read. */
static void start(struct session *session)
{
    SSL *ssl = tls_server(session->worker->settings->server_tls);

    if (!ssl) {
        session_say(session, ANSWER_NO_TLS_NOW);
        return;
    }
    session_say(session, ANSWER_STARTTLS_GO);
    session_forget(session);
    session_move(session, SESSION_HANDSHAKE);
    session->timeout_stale = true;
    conn_start_tls(session->conn, ssl);
}

void cmd_starttls(struct session *session, struct slice rest)
{
    if (session->conn->tls == CONN_TLS)
        session_refuse(session, ANSWER_ALREADY_TLS);
    else if (!session_offers_tls(session))
        session_refuse(session, ANSWER_NOT_OFFERED);
    else if (command_is_bare(session, rest))
        start(session);
}
