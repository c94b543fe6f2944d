/* A certificate as any server may have made it: what is told of it is printable, and ends
 * with the end of its life. */
#include <openssl/x509.h>
#include <stdio.h>

#include "fuzz.h"
#include "net/cert_facts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const unsigned char *at = data;
    X509 *cert = size < 200000 ? d2i_X509(NULL, &at, (long)size) : NULL;
    struct cert_facts facts;
    char until[30];

    cert_facts_read(cert, &facts);
    X509_free(cert);
    require(strlen(facts.text) < sizeof(facts.text));
    require(!facts.until_wall_ms == !facts.until[0]);
    for (const char *c = facts.text; *c; c++)
        require(*c >= ' ' && *c < 127);
    if (!facts.until_wall_ms)
        return 0;
    snprintf(until, sizeof(until), ", until %.10s", facts.until);
    require(strlen(facts.text) >= strlen(until));
    require(strcmp(facts.text + strlen(facts.text) - strlen(until), until) == 0);
    return 0;
}
