/* TLS contexts (OpenSSL 3): TLS 1.2 and up, always verified as a client.
 *
 * Contexts may be shared by threads. Client sessions (tickets) are kept per
 * thread and peer, several each: a TLS 1.3 ticket serves once. */
#pragma once

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/list.h"
#include "base/str.h"

/* Trust anchors from PEM text. NULL and a reason on failure. */
SSL_CTX *tls_client_context(struct slice ca_pem, struct reason *why);
/* Certificate chain and private key from PEM text; they must belong together. */
SSL_CTX *tls_server_context(struct slice chain_pem, struct slice key_pem, struct reason *why);

#define TLS_SESSIONS_PER_PEER 8

/* One peer's resumable sessions, as seen by one thread. It must outlive the
 * connections made with it. */
struct tls_peer {
    SSL_SESSION *sessions[TLS_SESSIONS_PER_PEER];
    size_t count;
};

void tls_peer_init(struct tls_peer *peer);
void tls_peer_clear(struct tls_peer *peer);

/* A client SSL that demands a valid chain for `host` (name or address), sends
 * SNI for a name, and resumes a session of `peer` when there is one (NULL: no
 * resumption). NULL when memory is out. */
SSL *tls_client(SSL_CTX *context, const char *host, struct tls_peer *peer);
/* Call before the peer is cleared while connections still use it. */
void tls_forget_peer(SSL *ssl);
SSL *tls_server(SSL_CTX *context);

/* Why the last operation failed, with the certificate's fault where there is
 * one. Empties OpenSSL's error queue. */
void tls_error_text(const SSL *ssl, char *out, size_t cap);
