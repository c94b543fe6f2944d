/* A certification authority of our own and a certificate for the listeners:
 * DIR/ca.pem, DIR/server.pem, DIR/server.key, made when one is missing. */
#pragma once

#include <openssl/x509.h>
#include <stdbool.h>

#include "base/str.h"
#include "sim/options.h"

struct certs {
    char *chain, *key; /* PEM */
};

bool certs_ready(struct certs *certs, const struct options *options, struct reason *why);
void certs_clear(struct certs *certs);

/* A certificate that an application signs its assertions with; NULL: it cannot
 * be made. */
X509 *certs_self_signed(EVP_PKEY *key, const char *common_name);
/* DIR/NAME in PEM: the certificate, the key, or both. */
bool certs_write(const char *dir, const char *name, X509 *cert, EVP_PKEY *key, struct reason *why);
