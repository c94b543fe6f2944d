#include "sim/access_token.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/codec.h"
#include "sim/jwt.h"
#include "sim/random.h"

#define NONCE 24 /* octets of the header's random part, at least */
#define FILLER ",\"xms_filler\":\"\"}"

static int64_t now_s(struct sim *sim)
{
    return (int64_t)(sim_wall_ms(sim) / 1000);
}

/* A number that stays the same for the same text, as identifiers do. */
static void object_id(const char *text, char out[37])
{
    unsigned char digest[32];
    char hex[65];

    EVP_Digest(text, strlen(text), digest, NULL, EVP_sha256(), NULL);
    hex_encode(digest, sizeof(digest), hex);
    snprintf(out, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

static void add_user_claims(json_t *claims, const struct access_order *order)
{
    const char *email = order->account->email;
    char id[37];

    object_id(email, id);
    json_object_set_new(claims, "oid", json_string(id));
    json_object_set_new(claims, "sub", json_string(id));
    json_object_set_new(claims, "upn", json_string(email));
    json_object_set_new(claims, "unique_name", json_string(email));
    json_object_set_new(claims, "scp", json_string(order->scope->permissions));
    json_object_set_new(claims, "idtyp", json_string("user"));
}

static json_t *roles_of(const struct client *client)
{
    return client->roles ? json_copy(client->roles) : json_pack("[s]", "SMTP.SendAsApp");
}

static void add_app_claims(json_t *claims, const struct access_order *order)
{
    char id[37];

    object_id(order->client->id, id);
    json_object_set_new(claims, "oid", json_string(id));
    json_object_set_new(claims, "sub", json_string(id));
    json_object_set_new(claims, "roles", roles_of(order->client));
    json_object_set_new(claims, "idtyp", json_string("app"));
}

static const char *audience_of(const struct access_order *order)
{
    return knob_text(order->knobs, KNOB_TOKEN_AUDIENCE, order->scope->audience);
}

static json_t *claims_of(struct sim *sim, const struct access_order *order)
{
    json_int_t now = (json_int_t)now_s(sim);
    json_t *claims = json_pack("{s:s, s:s, s:I, s:I, s:I, s:s, s:s, s:s}", "aud",
                               audience_of(order), "iss", "https://sts.windows.net/" SIM_TENANT "/",
                               "iat", now, "nbf", now, "exp", now + (json_int_t)order->seconds,
                               "appid", order->client->id, "tid", SIM_TENANT, "ver", "1.0");

    if (order->account)
        add_user_claims(claims, order);
    else
        add_app_claims(claims, order);
    return claims;
}

/* base64url of n octets never has 4k + 1 characters, so the header's length is
 * chosen such that the payload can fill what is left. */
static size_t make_header(struct sim *sim, size_t size, char *out, size_t cap, size_t *payload)
{
    char nonce[NONCE + 4];
    size_t len = 0, chars;

    for (size_t extra = 0; extra < 3; extra++) {
        random_text(nonce, NONCE + extra);
        len = (size_t)snprintf(
            out, cap, "{\"typ\":\"JWT\",\"nonce\":\"%s\",\"alg\":\"ES256\",\"kid\":\"%s\"}", nonce,
            sim->keys.issuer_id);
        if (size < JWT_SIZE(len, 0))
            break;
        chars = size - JWT_SIZE(len, 0);
        *payload = chars * 3 / 4;
        if (chars % 4 != 1)
            return len;
    }
    *payload = 0;
    return len;
}

/* Claims of no meaning make up the size. */
static char *make_payload(const json_t *claims, size_t wanted)
{
    char *text = json_dumps(claims, JSON_COMPACT | JSON_PRESERVE_ORDER), *filled;
    size_t len = strlen(text), more = sizeof(FILLER) - 2;

    if (len + more >= wanted)
        return text;
    filled = malloc(wanted + 1);
    memcpy(filled, text, len - 1);
    free(text);
    memcpy(filled + len - 1, FILLER, sizeof(FILLER));
    random_text(filled + len - 1 + sizeof(FILLER) - 3, wanted - len - more);
    memcpy(filled + wanted - 2, "\"}", 3);
    return filled;
}

static char *make_jwt(struct sim *sim, const json_t *claims, size_t size)
{
    char header[256], *payload, *token;
    size_t wanted, len = make_header(sim, size, header, sizeof(header), &wanted);

    payload = make_payload(claims, wanted);
    token = jwt_sign(sim->keys.issuer, (struct slice){header, len}, slice_of(payload));
    free(payload);
    return token;
}

static char *make_opaque(size_t size)
{
    static const char prefix[] = "ya29.a0";
    size_t len = sizeof(prefix) - 1, more = size > len + 16 ? size - len : 16;
    char *token = malloc(len + more + 1);

    memcpy(token, prefix, len);
    random_text(token + len, more);
    return token;
}

/* What Exchange looks at; Google's tokens it is the scope of. */
static bool is_for_mail(const struct access_order *order)
{
    if (order->client->profile != &profile_m365)
        return order->scope->smtp;
    if (!scope_is_resource_for_mail(audience_of(order)))
        return false;
    return order->account ? order->scope->smtp : client_has_role(order->client, "SMTP.SendAsApp");
}

struct access *access_issue(struct sim *sim, const struct access_order *order)
{
    const struct profile *profile = order->client->profile;
    size_t size = (size_t)knob_number(order->knobs, KNOB_TOKEN_SIZE, profile->token_size);
    json_t *claims = profile == &profile_m365 ? claims_of(sim, order) : NULL;
    char *token = claims ? make_jwt(sim, claims, size) : make_opaque(size);
    struct access *access = accounts_add_access(&sim->accounts, order->account, order->client,
                                                token, order->expires_ms);

    access->smtp = is_for_mail(order);
    json_decref(claims);
    free(token);
    return access;
}

char *identity_issue(struct sim *sim, const struct account *account, const struct client *client,
                     const char *nonce)
{
    json_int_t now = (json_int_t)now_s(sim);
    char issuer[128], id[37], *token;
    json_t *claims;

    object_id(account->email, id);
    snprintf(issuer, sizeof(issuer), "https://localhost:%d%s", sim->http.port,
             client->profile == &profile_m365 ? "/" SIM_TENANT "/v2.0" : "");
    claims = json_pack("{s:s, s:s, s:I, s:I, s:s, s:s, s:s, s:s}", "iss", issuer, "aud", client->id,
                       "iat", now, "exp", now + 3600, "sub", id, "email", account->email,
                       "preferred_username", account->email, "tid", SIM_TENANT);
    if (*nonce)
        json_object_set_new(claims, "nonce", json_string(nonce));
    token = make_jwt(sim, claims, 0);
    json_decref(claims);
    return token;
}
