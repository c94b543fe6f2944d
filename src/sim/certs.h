/* A certification authority of our own and a certificate for the listeners:
 * DIR/ca.pem, DIR/server.pem, DIR/server.key, made when one is missing. */
#pragma once

#include <stdbool.h>

#include "base/str.h"
#include "sim/options.h"

struct certs {
    char *chain, *key; /* PEM */
};

bool certs_ready(struct certs *certs, const struct options *options, struct reason *why);
void certs_clear(struct certs *certs);
