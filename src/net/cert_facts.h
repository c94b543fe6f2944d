/* What a certificate says of itself, in words for an administrator. */
#pragma once

#include <openssl/ssl.h>
#include <stdint.h>

#define CERT_FACTS_TEXT 512
#define CERT_DATE_TEXT 21

struct cert_facts {
    char text[CERT_FACTS_TEXT]; /* "for a.example, b.example, issued by CA (Org), until 2026-12-31";
                                   printable ASCII; "": there is no certificate */
    char until[CERT_DATE_TEXT]; /* "2026-12-31T23:59:59Z"; "": not known */
    uint64_t until_wall_ms;     /* the same; 0: not known */
};

/* `cert` may be NULL. */
void cert_facts_read(const X509 *cert, struct cert_facts *out);

/* A handshake with this SSL that fails for a certificate leaves that one's facts in
 * `faulty`, which must last until cert_facts_unwatch. Verification is as it was. */
void cert_facts_watch(SSL *ssl, struct cert_facts *faulty);
void cert_facts_unwatch(SSL *ssl);
