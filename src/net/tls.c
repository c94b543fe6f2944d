#include "net/tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

/* Index of the tls_peer pointer in an SSL; set up once per process. */
static int peer_index(void)
{
    static int index = -1;

    if (index < 0)
        index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    return index;
}

static bool openssl_reason(struct reason *why, const char *what)
{
    char text[200];
    unsigned long code = ERR_peek_last_error();

    ERR_error_string_n(code, text, sizeof(text));
    ERR_clear_error();
    return reason_set(why, "%s: %s", what, code ? text : "out of memory");
}

static SSL_CTX *new_context(const SSL_METHOD *method)
{
    SSL_CTX *context = SSL_CTX_new(method);

    if (!context)
        return NULL;
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                     SSL_OP_IGNORE_UNEXPECTED_EOF);
    /* One read() per event instead of one for each record's header and body. */
    SSL_CTX_set_read_ahead(context, 1);
    return context;
}

static bool add_anchors(SSL_CTX *context, struct slice pem, struct reason *why)
{
    X509_STORE *store = SSL_CTX_get_cert_store(context);
    BIO *in = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    X509 *cert;
    size_t count = 0;

    while (in && (cert = PEM_read_bio_X509(in, NULL, NULL, NULL))) {
        count += (size_t)(X509_STORE_add_cert(store, cert) == 1);
        X509_free(cert);
    }
    BIO_free(in);
    ERR_clear_error(); /* "no start line" ends every file */
    if (!count)
        return reason_set(why, "the trust store holds no certificate in PEM form");
    return true;
}

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_peer *peer = SSL_get_ex_data(ssl, peer_index());

    if (!peer)
        return 0;
    if (peer->count == TLS_SESSIONS_PER_PEER) {
        SSL_SESSION_free(peer->sessions[0]);
        memmove(peer->sessions, peer->sessions + 1, --peer->count * sizeof(peer->sessions[0]));
    }
    peer->sessions[peer->count++] = session;
    return 1; /* the reference is ours now */
}

SSL_CTX *tls_client_context(struct slice ca_pem, struct reason *why)
{
    SSL_CTX *context = new_context(TLS_client_method());

    if (!context) {
        openssl_reason(why, "cannot set up TLS");
        return NULL;
    }
    if (!add_anchors(context, ca_pem, why)) {
        SSL_CTX_free(context);
        return NULL;
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, keep_session);
    peer_index();
    return context;
}

static bool use_key_pair(SSL_CTX *context, struct slice chain_pem, struct slice key_pem,
                         struct reason *why)
{
    BIO *chain = BIO_new_mem_buf(chain_pem.ptr, (int)chain_pem.len);
    BIO *key_in = BIO_new_mem_buf(key_pem.ptr, (int)key_pem.len);
    X509 *cert = chain ? PEM_read_bio_X509(chain, NULL, NULL, NULL) : NULL;
    EVP_PKEY *key = key_in ? PEM_read_bio_PrivateKey(key_in, NULL, NULL, (void *)"") : NULL;
    bool ok = false;
    X509 *next;

    if (!cert)
        openssl_reason(why, "no certificate in PEM form");
    else if (!key)
        openssl_reason(why, "no unencrypted private key in PEM form");
    else if (SSL_CTX_use_certificate(context, cert) != 1 ||
             SSL_CTX_use_PrivateKey(context, key) != 1 || SSL_CTX_check_private_key(context) != 1)
        openssl_reason(why, "certificate and key do not fit together");
    else
        ok = true;
    while (ok && (next = PEM_read_bio_X509(chain, NULL, NULL, NULL)))
        SSL_CTX_add0_chain_cert(context, next);
    ERR_clear_error();
    X509_free(cert);
    EVP_PKEY_free(key);
    BIO_free(chain);
    BIO_free(key_in);
    return ok;
}

SSL_CTX *tls_server_context(struct slice chain_pem, struct slice key_pem, struct reason *why)
{
    SSL_CTX *context = new_context(TLS_server_method());

    if (!context) {
        openssl_reason(why, "cannot set up TLS");
        return NULL;
    }
    if (!use_key_pair(context, chain_pem, key_pem, why)) {
        SSL_CTX_free(context);
        return NULL;
    }
    SSL_CTX_set_session_id_context(context, (const unsigned char *)"smtp", 4);
    return context;
}

void tls_peer_init(struct tls_peer *peer)
{
    peer->count = 0;
}

void tls_peer_clear(struct tls_peer *peer)
{
    while (peer->count)
        SSL_SESSION_free(peer->sessions[--peer->count]);
}

static void resume_session(SSL *ssl, struct tls_peer *peer)
{
    SSL_SESSION *session;

    if (!peer->count)
        return;
    session = peer->sessions[--peer->count];
    if (SSL_SESSION_is_resumable(session))
        SSL_set_session(ssl, session);
    SSL_SESSION_free(session);
}

static bool expect_host(SSL *ssl, const char *host)
{
    unsigned char binary[16];

    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (inet_pton(AF_INET, host, binary) == 1 || inet_pton(AF_INET6, host, binary) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

SSL *tls_client(SSL_CTX *context, const char *host, struct tls_peer *peer)
{
    SSL *ssl = SSL_new(context);

    if (!ssl)
        return NULL;
    if (!expect_host(ssl, host)) {
        SSL_free(ssl);
        return NULL;
    }
    SSL_set_connect_state(ssl);
    if (peer) {
        SSL_set_ex_data(ssl, peer_index(), peer);
        resume_session(ssl, peer);
    }
    return ssl;
}

void tls_forget_peer(SSL *ssl)
{
    SSL_set_ex_data(ssl, peer_index(), NULL);
}

SSL *tls_server(SSL_CTX *context)
{
    SSL *ssl = SSL_new(context);

    if (ssl)
        SSL_set_accept_state(ssl);
    return ssl;
}

void tls_error_text(const SSL *ssl, char *out, size_t cap)
{
    unsigned long code = ERR_peek_error();
    const char *detail = code ? ERR_reason_error_string(code) : NULL;
    long verdict = SSL_get_verify_result(ssl);
    struct text text;

    text_init(&text, out, cap);
    text_add_str(&text, detail ? detail : "protocol error");
    if (verdict != X509_V_OK)
        text_addf(&text, " (%s)", X509_verify_cert_error_string(verdict));
    ERR_clear_error();
}
