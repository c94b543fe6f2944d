/* One account as the operator wrote it, checked, with the provider's defaults
 * filled in: what a row of accounts.json becomes.
 *
 * No text is NULL, an absent one is "". A record holds the refresh token, the client
 * secret and a key, so it never leaves the broker, and is wiped when freed. There may
 * be 100,000 of them: a record is one block of memory, and what many have in
 * common they share.
 */
#pragma once

#include <jansson.h>

#include "broker/signing_key.h"
#include "broker/store/problems.h"
#include "conf/conf.h"

/* How the account gets its access tokens without a person. */
enum record_grant {
    GRANT_REFRESH_TOKEN,
    GRANT_CLIENT_CREDENTIALS, /* as the application itself */
    GRANT_SERVICE_ACCOUNT,    /* Google's, for the mailbox */
    RECORD_GRANTS
};

extern const char *const record_grant_names[RECORD_GRANTS]; /* "refresh_token"... */

/* What most accounts of a provider have alike. */
struct account_terms {
    uint32_t max_concurrent, max_connections, max_messages_per_connection;
    struct conf_limits limits;
    struct conf_prewarm prewarm;
    uint64_t max_age_ms, idle_ms;
    uint64_t refresh_ahead_ms, retry_max_delay_ms;
    uint32_t retry_max_attempts;
    double retry_backoff;
};

struct account_record {
    const char *id;
    const char *email; /* as written */
    const char *login; /* lower case: what clients say */
    const char *sasl_user;
    const char *provider; /* lower case */
    const char *vmta_name;
    const char *source_address; /* "" the system's choice */
    const char *endpoint;       /* host:port of the SMTP server */
    const char *host;           /* of it */
    const char *token_url;
    const char *app;       /* whose credentials these are; "" its own */
    const char *client_id; /* of a service account: its address */
    const char *client_secret, *refresh_token;
    const struct signing_key *key; /* in place of a secret; NULL none; counted */
    const char *scope;
    const char *tenant;
    const char *extra; /* further form fields, encoded: "a=b&c=d" */
    const char *password_hash;
    const char *disabled_reason; /* for clients and people */
    const char *limit_group;     /* "" those of its domain */
    size_t block;                /* octets of this record and the texts behind it */
    uint32_t port;
    uint32_t tls;       /* enum conf_upstream_tls */
    uint32_t mechanism; /* enum conf_mechanism */
    uint32_t bdat;      /* enum conf_auto */
    bool disabled;
    uint8_t grant;                     /* enum record_grant */
    uint8_t assertion;                 /* enum conf_assertion */
    uint64_t secret_expires_ms;        /* wall time, of the secret or certificate; 0 not known */
    const struct account_terms *terms; /* shared */
    /* Of the store, not of the operator: no part of what makes records the same. */
    uint64_t kept_expires_ms; /* wall time, of the access token that it keeps; 0: none */
    uint32_t kept_life_ms;
    uint32_t superseded_count;
    uint32_t *superseded; /* stale.h; owned, NULL: none */
};

/* Checks one object. NULL and a reason that names field, value and cure when
 * it cannot serve. Keys that nobody knows are warnings: files of the original
 * carry leftovers, and an account that works is worth more than a tidy file.
 * `where` begins each warning ("accounts.json: record 3"). */
struct account_record *record_parse(const json_t *object, const struct conf *conf,
                                    const char *where, struct problems *problems,
                                    struct reason *why);
void record_free(struct account_record *record);
/* The provider has replaced it. False: memory is out, and the old one stays. */
bool record_set_refresh_token(struct account_record *record, const char *token);

/* The id that the record has or gets by default: what names it in the store.
 * False when there is none or it does not fit. */
bool record_id(const json_t *object, char *out, size_t cap);
/* What its clients say: the e-mail in lower case. False as above. */
bool record_login(const json_t *object, char *out, size_t cap);
/* The e-mail for messages, "?" when there is none. Never fails. */
const char *record_email(const json_t *object);
/* Whether a key's value may be seen by who sees the store. What nobody knows may
 * be a secret with a misspelt name. */
bool record_key_is_public(const char *key);
/* Only comments (keys that begin with '_'): not an account at all. */
bool record_is_comment(const json_t *object);

/* What an access token hangs on: place, application, grant, and this refresh token in the place
 * of the record's. */
#define RECORD_BINDING 16
void record_binding(const struct account_record *record, const char *refresh_token,
                    unsigned char out[RECORD_BINDING]);
/* Whether a token of one serves the other: same grant at the same place. */
bool record_same_credentials(const struct account_record *a, const struct account_record *b);
/* Whether a connection of one serves the other: credentials, endpoint, SASL
 * user, source address, client password. */
bool record_same_identity(const struct account_record *a, const struct account_record *b);
bool record_same(const struct account_record *a, const struct account_record *b);
