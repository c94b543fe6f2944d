#include "broker/oauth/grant.h"

#include <sodium.h>

#include "base/codec.h"
#include "broker/oauth/jwt.h"
#include "broker/wipe.h"

/* Signed a moment ago, for clocks that differ a little; Microsoft wants a short life,
 * Google at most an hour from `iat` on. */
#define SLACK_S 30
#define ASSERTION_S 540
#define SERVICE_ACCOUNT_S 3600

/* The enumerations name the same in the same order. */
_Static_assert((int)CONF_ASSERTION_PS256 == (int)JWT_PS256 &&
                   (int)CONF_ASSERTION_RS256 == (int)JWT_RS256,
               "algorithms");

/* Takes the assertion over. */
static bool add_assertion(struct form *form, const char *key, char *assertion)
{
    if (!assertion)
        return false;
    form_add(form, key, slice_of(assertion));
    secret_free(&assertion);
    return true;
}

/* The application by its key (RFC 7523 section 2.2). */
static bool add_client_assertion(struct form *form, const struct account_record *record,
                                 uint64_t now_s)
{
    unsigned char bytes[16];
    char id[2 * sizeof(bytes) + 1];
    struct jwt_claims claims = {.issuer = record->client_id,
                                .subject = record->client_id,
                                .audience = record->token_url,
                                .id = id,
                                .issued_s = now_s - SLACK_S,
                                .not_before_s = now_s - SLACK_S,
                                .expires_s = now_s + ASSERTION_S};

    randombytes_buf(bytes, sizeof(bytes)); /* each is good for one request */
    hex_encode(bytes, sizeof(bytes), id);
    form_add(form, "client_assertion_type",
             SLICE("urn:ietf:params:oauth:client-assertion-type:jwt-bearer"));
    return add_assertion(form, "client_assertion",
                         jwt_sign(record->key, (enum jwt_algorithm)record->assertion, &claims));
}

static bool add_client(struct form *form, const struct account_record *record, uint64_t now_s)
{
    form_add(form, "client_id", slice_of(record->client_id));
    if (record->key)
        return add_client_assertion(form, record, now_s);
    /* A public client of Microsoft must not send one (AADSTS700025), and has
     * none in its record. */
    if (record->client_secret[0])
        form_add(form, "client_secret", slice_of(record->client_secret));
    return true;
}

/* Google's way to act for a mailbox of a domain that allows it (RFC 7523 section 2.1). */
static bool add_service_account(struct form *form, const struct account_record *record,
                                uint64_t now_s)
{
    struct jwt_claims claims = {.issuer = record->client_id,
                                .subject = record->sasl_user,
                                .audience = record->token_url,
                                .scope = record->scope,
                                .issued_s = now_s - SLACK_S,
                                .expires_s = now_s - SLACK_S + SERVICE_ACCOUNT_S};

    form_add(form, "grant_type", SLICE("urn:ietf:params:oauth:grant-type:jwt-bearer"));
    return add_assertion(form, "assertion", jwt_sign(record->key, JWT_RS256, &claims));
}

static bool add_grant(struct form *form, const struct account_record *record,
                      const char *refresh_token, uint64_t now_s)
{
    switch ((enum record_grant)record->grant) {
    case GRANT_SERVICE_ACCOUNT:
        return add_service_account(form, record, now_s);
    case GRANT_CLIENT_CREDENTIALS:
        form_add(form, "grant_type", SLICE("client_credentials"));
        return add_client(form, record, now_s);
    case GRANT_REFRESH_TOKEN:
    case RECORD_GRANTS:
        break;
    }
    form_add(form, "grant_type", SLICE("refresh_token"));
    if (!add_client(form, record, now_s))
        return false;
    form_add(form, "refresh_token", slice_of(refresh_token));
    return true;
}

bool grant_write(struct form *form, const struct account_record *record, const char *refresh_token,
                 uint64_t wall_ms)
{
    if (!add_grant(form, record, refresh_token, wall_ms / 1000))
        return false;
    if (record->scope[0] && record->grant != GRANT_SERVICE_ACCOUNT) /* there it is a claim */
        form_add(form, "scope", slice_of(record->scope));
    form_add_encoded(form, record->extra);
    return !form->failed;
}

/* --- somebody signs in ------------------------------------------------------------ */

static bool finish(struct form *form, const struct account_record *record, const char *scope,
                   uint64_t wall_ms)
{
    if (!add_client(form, record, wall_ms / 1000))
        return false;
    if (scope[0])
        form_add(form, "scope", slice_of(scope));
    form_add_encoded(form, record->extra);
    return !form->failed;
}

bool grant_write_code(struct form *form, const struct account_record *record, const char *code,
                      const char *verifier, const char *redirect_uri, uint64_t wall_ms)
{
    form_add(form, "grant_type", SLICE("authorization_code"));
    form_add(form, "code", slice_of(code));
    form_add(form, "redirect_uri", slice_of(redirect_uri));
    form_add(form, "code_verifier", slice_of(verifier));
    return finish(form, record, "", wall_ms);
}

bool grant_write_device(struct form *form, const struct account_record *record,
                        const char *device_code, uint64_t wall_ms)
{
    form_add(form, "grant_type", SLICE("urn:ietf:params:oauth:grant-type:device_code"));
    form_add(form, "device_code", slice_of(device_code));
    return finish(form, record, "", wall_ms);
}

bool grant_write_device_begin(struct form *form, const struct account_record *record,
                              const char *scope, uint64_t wall_ms)
{
    return finish(form, record, scope, wall_ms);
}
