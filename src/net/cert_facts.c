#include "net/cert_facts.h"

#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "base/date.h"
#include "base/str.h"

#define NAMES_MAX 4 /* a certificate may have a hundred */
#define NAME_MAX_OCTETS 56

/* Short enough that the end of its life is still told behind all names. */
static void add_printable(struct text *text, struct slice octets)
{
    for (size_t i = 0; i < octets.len && i < NAME_MAX_OCTETS; i++)
        text_add_char(text, octets.ptr[i] >= ' ' && octets.ptr[i] < 127 ? octets.ptr[i] : '?');
    if (octets.len > NAME_MAX_OCTETS)
        text_add_str(text, "...");
}

static struct slice octets_of(const ASN1_STRING *string)
{
    if (!string)
        return SLICE_NONE;
    return (struct slice){(const char *)ASN1_STRING_get0_data(string),
                          (size_t)ASN1_STRING_length(string)};
}

static struct slice part_of(const X509_NAME *name, int nid)
{
    int at = X509_NAME_get_index_by_NID((X509_NAME *)(uintptr_t)name, nid, -1);

    if (at < 0)
        return SLICE_NONE;
    return octets_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
}

static void add_address(struct text *text, struct slice octets)
{
    char shown[INET6_ADDRSTRLEN] = "?";

    if (octets.len == 4 || octets.len == 16)
        inet_ntop(octets.len == 4 ? AF_INET : AF_INET6, octets.ptr, shown, sizeof(shown));
    text_add_str(text, shown);
}

/* False: it has none that count. */
static bool add_alternatives(struct text *text, const X509 *cert)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    int count = names ? sk_GENERAL_NAME_num(names) : 0, shown = 0, more = 0;

    for (int i = 0; i < count; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

        if (name->type != GEN_DNS && name->type != GEN_IPADD)
            continue;
        if (shown == NAMES_MAX) {
            more++;
            continue;
        }
        text_add_str(text, shown++ ? ", " : "for ");
        if (name->type == GEN_DNS)
            add_printable(text, octets_of(name->d.dNSName));
        else
            add_address(text, octets_of(name->d.iPAddress));
    }
    if (more)
        text_addf(text, " and %d more", more);
    GENERAL_NAMES_free(names);
    return shown > 0;
}

static void add_issuer(struct text *text, const X509 *cert)
{
    const X509_NAME *issuer = X509_get_issuer_name(cert);
    struct slice common = part_of(issuer, NID_commonName);
    struct slice organisation = part_of(issuer, NID_organizationName);

    if (!common.len && !organisation.len)
        return;
    text_add_str(text, ", issued by ");
    add_printable(text, common.len ? common : organisation);
    if (common.len && organisation.len) {
        text_add_str(text, " (");
        add_printable(text, organisation);
        text_add_char(text, ')');
    }
}

static void add_end(struct text *text, const X509 *cert, struct cert_facts *out)
{
    struct tm tm;
    time_t end;

    if (ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) != 1)
        return;
    end = timegm(&tm);
    if (end <= 0 || end > 253402300799) /* the year 9999 */
        return;
    out->until_wall_ms = (uint64_t)end * 1000;
    date_format(out->until_wall_ms, out->until);
    text_addf(text, ", until %.10s", out->until);
}

void cert_facts_read(const X509 *cert, struct cert_facts *out)
{
    struct text text;

    *out = (struct cert_facts){.until_wall_ms = 0};
    if (!cert)
        return;
    text_init(&text, out->text, sizeof(out->text));
    if (!add_alternatives(&text, cert)) {
        text_add_str(&text, "for ");
        add_printable(&text, part_of(X509_get_subject_name(cert), NID_commonName));
    }
    add_issuer(&text, cert);
    add_end(&text, cert, out);
}

/* --- those that fail -------------------------------------------------------------- */

static int on_verified(int ok, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct cert_facts *faulty = ok || !ssl ? NULL : SSL_get_app_data(ssl);

    if (faulty)
        cert_facts_read(X509_STORE_CTX_get_current_cert(store), faulty);
    return ok;
}

void cert_facts_watch(SSL *ssl, struct cert_facts *faulty)
{
    SSL_set_app_data(ssl, faulty);
    SSL_set_verify(ssl, SSL_get_verify_mode(ssl), on_verified);
}

void cert_facts_unwatch(SSL *ssl)
{
    SSL_set_app_data(ssl, NULL);
}
